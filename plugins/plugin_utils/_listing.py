# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of an artifact's files, read from the head of its blob: META stands first in the tar.

Nothing of the head is believed before the list has the SHA-256 that the manifest names.
"""

from __future__ import annotations

import io
import sys
import tarfile
import tempfile
import typing as t

from ..module_utils._artifact import inflate, tree
from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError, InvalidDocument

if t.TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes that the head may have; an artifact whose META holds more is none of ours.
_MOST = 64 * 1024 * 1024
_FAULTS = (ContainerlessError, tarfile.TarError, EOFError, OSError, ValueError)


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file that can be read once, and not endlessly."""

    def __init__(self, pieces: Iterable[bytes], most: int) -> None:
        self._pieces = iter(pieces)
        self._left = memoryview(b"")
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
            self._most -= len(piece)
            if self._most < 0:
                raise ValueError("too long")
        part = self._left[: len(buffer)]
        buffer[: len(part)] = part
        self._left = self._left[len(part) :]
        return len(part)


def read(pieces: Iterable[bytes], encoding: str, sha256: str, said: str) -> dict[str, str]:
    """Return path and SHA-256 of each file of an artifact from the pieces of its blob, of which few are taken.

    `sha256` is that of the list, as the manifest's tree.sha256; `said` names the blob. Raises InvalidDocument.
    """
    try:
        with _opened(pieces, encoding) as blob:
            plain = inflate.pieces(t.cast("t.BinaryIO", blob), encoding)
            found = _member(io.BufferedReader(_Stream(plain, _MOST)))
            plain.close()
    except _FAULTS as exc:
        raise InvalidDocument(f"{said} was changed, its list of files can't be read: {exc}") from None
    if canonical.sha256(found) != sha256:
        raise InvalidDocument(f"{said} was changed: it has not the list of files that its manifest names")
    return tree.parse_sums(found)


def _opened(pieces: Iterable[bytes], encoding: str) -> t.IO[bytes]:
    if encoding != "zstd" or sys.version_info >= (3, 14):
        return io.BufferedReader(_Stream(pieces, sys.maxsize))
    file = tempfile.TemporaryFile(prefix="containerless-")  # noqa: SIM115 - the caller closes it
    file.writelines(pieces)  # The program zstd wants a whole file.
    file.seek(0)
    return file


def _member(plain: t.IO[bytes]) -> bytes:
    """Return the list of files from the stream of a tar."""
    with tarfile.open(fileobj=plain, mode="r|") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name == tree.SUMS else None
            if stream is not None:
                return stream.read()
    raise ValueError(f"{tree.SUMS} is missing")
