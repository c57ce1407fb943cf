# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The build host's half of a build in a process of its own, as the module runs it: JSON comes in, JSON goes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

ROOMS = ("/dev/shm", "/var/tmp")


def spread(order: str) -> None:
    """Let whatever the build starts import `order`/sitecustomize.py, which the scrubbed environment would prevent."""
    run = subprocess.run

    def run_in_order(*args: t.Any, **options: t.Any) -> t.Any:
        env = options["env"]
        options["env"] = {**env, "PYTHONPATH": os.pathsep.join(filter(None, (order, env.get("PYTHONPATH"))))}
        return run(*args, **options)

    subprocess.run = t.cast("t.Any", run_in_order)


def main() -> None:
    """Build; print the documents or the error, and what lies where builds work."""
    asked = json.load(sys.stdin)
    sys.path.insert(0, asked["plugins"])
    if asked["order"]:
        spread(asked["order"])
    from module_utils._artifact.build import build
    from module_utils._core import canonical
    from module_utils._core.errors import ContainerlessError

    try:
        built = build(**asked["build"])
    except (ContainerlessError, OSError) as exc:
        answer: dict[str, t.Any] = {"error": str(exc)}
    else:
        answer = {"seconds": built.seconds, "warnings": built.warnings}
        for name in ("manifest", "provenance", "sbom"):
            answer[name] = canonical.dumps(getattr(built, name, None)).decode()
    rooms = [asked["build"]["folder"]] if asked["build"]["folder"] else ROOMS
    answer["left"] = sorted(str(path) for room in rooms for path in Path(room).iterdir())
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
