# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The compressed tars of an artifact: what its provenance says of them, and how they are read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ..module_utils._core import names
from ..module_utils._core.errors import InvalidDocument

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True)
class Blob:
    """One compressed form of a tar. Its digest is no part of any identity."""

    encoding: str
    sha256: str
    size: int


def named_by(provenance: dict[str, t.Any], said: str) -> list[Blob]:
    """Return the blobs that a provenance names, the preferred one first."""
    try:
        found = [
            Blob(str(blob["encoding"]), names.check_digest(blob["sha256"], said), int(blob["size"]))
            for blob in provenance["blobs"]
        ]
    except (KeyError, TypeError, ValueError):
        raise InvalidDocument(f"{said}: blobs must be a list of encoding, sha256 and size") from None
    if not found:
        raise InvalidDocument(f"{said} names no blob")
    return found


def save(pieces: Iterable[bytes], blob: Blob, dest: Path, said: str) -> None:
    """Write a blob to a file that gets its name only once it is whole and its digest is right."""
    with _new_file(dest) as stream:
        digest, size = hashlib.sha256(), 0
        for piece in pieces:
            size += len(piece)
            if size > blob.size:
                break
            digest.update(piece)
            stream.write(piece)
        if (digest.hexdigest(), size) != (blob.sha256, blob.size):
            raise InvalidDocument(f"{said} was changed after it was published")


@contextlib.contextmanager
def _new_file(dest: Path) -> Iterator[t.IO[bytes]]:
    with tempfile.NamedTemporaryFile(dir=dest.parent, prefix=f".{dest.name}.", delete=False) as stream:
        try:
            yield stream
            stream.flush()
            os.replace(stream.name, dest)  # noqa: PTH105
        except BaseException:
            Path(stream.name).unlink(missing_ok=True)
            raise
