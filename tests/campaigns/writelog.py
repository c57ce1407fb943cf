# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log that QEMU's driver blklogwrites keeps of a disk, and its replay onto a copy of the disk as it was before.

The format is that of the kernel's dm-log-writes: a superblock, then entries of one sector, each followed by what was
written. Requests stand in the order in which the disk finished them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAGIC, VERSION = 0x6A736677736872, 1
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")


class BadLog(Exception):
    """The log is torn, or none at all."""


@dataclass(frozen=True)
class Entry:
    """A request to the disk: bytes from `offset` on, which stand at `data` of the log where it brings any."""

    number: int
    flags: int
    offset: int
    length: int
    data: int

    @property
    def is_flush(self) -> bool:
        """What the disk finished before is on it now. With FUA only the request itself is: no flush of the others."""
        return bool(self.flags & FLUSH)

    @property
    def is_write(self) -> bool:
        return self.length > 0 and not self.flags & (DISCARD | MARK)


def entries(log: BinaryIO) -> Iterator[Entry]:
    """Return the requests of a log in their order. Raises BadLog."""
    head = log.read(_SUPER.size)
    if len(head) < _SUPER.size:
        raise BadLog("the log is shorter than its superblock: nothing was flushed while it was written")
    magic, version, count, sector = _SUPER.unpack(head)
    if magic != MAGIC or version != VERSION or sector < _ENTRY.size:
        raise BadLog(f"no log of writes: magic {magic:#x}, version {version}, sectors of {sector} bytes")
    end, place = os.fstat(log.fileno()).st_size, sector
    for number in range(count):
        log.seek(place)
        raw = log.read(_ENTRY.size)
        if len(raw) < _ENTRY.size:
            raise BadLog(f"the log ends before entry {number} of {count}")
        first, sectors, flags, extra = _ENTRY.unpack(raw)
        place += sector
        entry = Entry(number, flags, first * sector, sectors * sector, place)
        # A discard brings no data; a mark brings its text, whose length is told apart.
        place += entry.length if entry.is_write else -(-extra // sector) * sector
        if place > end:
            raise BadLog(f"the log ends within entry {number} of {count}")
        yield entry


def flushes(log: Path) -> list[int]:
    """Return the numbers of the entries that made all writes before them durable: those after which any came."""
    found: list[int] = []
    written = False
    with log.open("rb") as handle:
        for entry in entries(handle):
            written = written or entry.is_write
            if entry.is_flush and written:
                found.append(entry.number)
                written = False
    return found


class Replay:
    """Brings a disk from flush to flush."""

    def __init__(self, log: Path, disk: Path) -> None:
        self._log, self._disk = log.open("rb"), disk.open("r+b")
        self._todo = entries(self._log)
        self.writes = 0

    def until(self, number: int) -> None:
        """Write everything up to the entry of this number; the caller goes forward only."""
        for entry in self._todo:
            if entry.is_write:
                self._log.seek(entry.data)
                self._disk.seek(entry.offset)
                self._disk.write(self._log.read(entry.length))
                self.writes += 1
            if entry.number >= number:
                break
        self._disk.flush()

    def close(self) -> None:
        self._log.close()
        self._disk.close()
