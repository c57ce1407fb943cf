# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proves that a blob is the artifact of its manifest, byte by byte, on a machine that need not be able to run it."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

from .._core import canonical
from .._core.errors import ContainerlessError
from . import sbom, tree, unpack

META_SBOM = f"META/{sbom.FILE}"


def blob(stream: t.BinaryIO, *, encoding: str, manifest: dict[str, t.Any], folder: str) -> None:
    """Unpack a blob into a folder of its own below `folder`, compare all of it with the manifest, and remove it.

    The tar has to have the manifest's SHA-256 and size, each member the form that our writer gives it, each file the
    SHA-256 of META/tree.sha256, that list and the SBOM the manifest's. Raises ContainerlessError with what differs.
    """
    root = Path(folder, "tree")
    try:
        unpack.extract(stream, encoding, manifest, root)
        drift = tree.verify(str(root), manifest["tree"]["sha256"])
        if drift:
            raise ContainerlessError(f"the artifact's files are not those that were sealed: {'; '.join(drift[:3])}")
        described = root / META_SBOM
        if not described.is_file() or canonical.sha256(described.read_bytes()) != manifest["sbom"]["sha256"]:
            raise ContainerlessError(
                f"the artifact's {META_SBOM} is not the one that its manifest names; build it again"
            )
    finally:
        shutil.rmtree(root, ignore_errors=True)
