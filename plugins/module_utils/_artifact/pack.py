# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the blob of an artifact: tar and gzip in one pass, with the digests of both."""

from __future__ import annotations

import gzip
import hashlib
import io
import typing as t
from dataclasses import dataclass

from . import tar

LEVEL = 6


@dataclass(frozen=True)
class Packed:
    """Digest and size of a stream."""

    sha256: str
    size: int


class Counter(io.RawIOBase):
    """Passes bytes on and keeps their digest and number."""

    def __init__(self, out: t.Any) -> None:
        super().__init__()
        self.out = out
        self.sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """Say that this can be written."""
        return True

    def write(self, data: t.Any) -> int:
        """Write all of data."""
        self.sha256.update(data)
        self.size += len(data)
        self.out.write(data)
        return len(data)

    @property
    def packed(self) -> Packed:
        """What has been written so far."""
        return Packed(self.sha256.hexdigest(), self.size)


def pack(root: str, dest: str, mtime: int) -> tuple[Packed, Packed]:
    """Write the tree to dest as .tar.gz; return what the plain tar was and what the file is."""
    with open(dest, "wb") as file:
        blob = Counter(file)
        with gzip.GzipFile(
            filename="", mode="wb", compresslevel=LEVEL, fileobj=t.cast("t.IO[bytes]", blob), mtime=0
        ) as zipped:
            plain = Counter(zipped)
            tar.write_tar(root, t.cast("t.BinaryIO", plain), mtime=mtime)
        return plain.packed, blob.packed
