# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host: hands a written request to the engine and prints what it returned, as release_on_host does.

python3 drive.py REQUEST.json
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main(path: str) -> None:
    with open(path, encoding="utf-8") as handle:
        document = json.load(handle)
    sys.path.insert(0, document["rooms"])
    from containerless._core.errors import ContainerlessError  # type: ignore[import-not-found]
    from containerless._release import request  # type: ignore[import-not-found]
    from containerless._release.evidence import ReleaseFailed  # type: ignore[import-not-found]

    result: dict[str, Any]
    try:
        result = request.act(document["params"], document["check"])
    except ReleaseFailed as exc:
        result = {"failed": True, "msg": str(exc), "evidence": exc.evidence}
    except ContainerlessError as exc:
        result = {"failed": True, "msg": str(exc)}
    print(json.dumps(result))
    sys.exit(bool(result.get("failed")))


if __name__ == "__main__":
    main(sys.argv[1])
