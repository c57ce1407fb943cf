# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of ours is measured, each in a fresh process of the target's Python: build, unpack or verify, by argv."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ...plugins.module_utils._artifact import build, identity, tree, unpack
from ...plugins.module_utils._core import canonical

MANIFEST, SECONDS, BLOB = "manifest.json", "seconds.json", "blob.gzip"


def build_artifact(bundle: str, out: str, folder: str, python: str) -> None:
    """Build as module artifact_on_host does; keep the manifest and the seconds of each step beside the blob."""
    built = build.build(bundle, out, folder, python)
    Path(out, MANIFEST).write_bytes(canonical.dumps(built.manifest))
    Path(out, SECONDS).write_text(json.dumps(built.seconds), encoding="utf-8")


def unpack_artifact(out: str, trees: str, python: str) -> None:
    """Unpack, verify and flush as a release does."""
    manifest = json.loads(Path(out, MANIFEST).read_bytes())
    with Path(out, BLOB).open("rb") as blob:
        unpack.install(blob, encoding="gzip", manifest=manifest, trees=trees, interpreter=python)


def verify_tree(out: str, trees: str) -> None:
    """Look for drift as the host tool does."""
    manifest = json.loads(Path(out, MANIFEST).read_bytes())
    drift = tree.verify(os.path.join(trees, identity.content_id(manifest)), manifest["tree"]["sha256"])
    if drift:
        sys.exit(f"the tree is not whole: {drift[0]}")


ACTIONS: dict[str, Callable[..., None]] = {"build": build_artifact, "unpack": unpack_artifact, "verify": verify_tree}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](*sys.argv[2:])
