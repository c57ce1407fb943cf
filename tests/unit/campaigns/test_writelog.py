# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of writes: taken apart, and replayed flush by flush."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from ansible_collections.containerless.django.tests.campaigns.writelog import (
    DISCARD,
    FLUSH,
    FUA,
    MAGIC,
    MARK,
    BadLog,
    Replay,
    entries,
    flushes,
)

SECTOR = 512


def entry(sector: int, sectors: int, flags: int = 0, data: bytes = b"", extra: int = 0) -> bytes:
    return struct.pack("<QQQQ", sector, sectors, flags, extra).ljust(SECTOR, b"\0") + data


def write(sector: int, letter: bytes, sectors: int = 1, flags: int = 0) -> bytes:
    return entry(sector, sectors, flags, letter * SECTOR * sectors)


def log(folder: Path, *parts: bytes, count: int | None = None, magic: int = MAGIC) -> Path:
    path = folder / "log"
    head = struct.pack("<QQQI", magic, 1, len(parts) if count is None else count, SECTOR).ljust(SECTOR, b"\0")
    path.write_bytes(head + b"".join(parts))
    return path


FLUSHED = entry(0, 0, FLUSH)


def test_entries_know_where_their_data_is(tmp_path: Path) -> None:
    path = log(tmp_path, write(3, b"a", 2), FLUSHED, entry(8, 4, DISCARD), entry(0, 0, MARK, b"m" * SECTOR, 5))
    path.write_bytes(path.read_bytes() + b"of a later run, not in the superblock")
    with path.open("rb") as handle:
        first, flush, discard, mark = entries(handle)
    assert (first.offset, first.length, first.data, first.is_write) == (3 * SECTOR, 2 * SECTOR, 2 * SECTOR, True)
    assert (flush.is_flush, flush.is_write, flush.data) == (True, False, 5 * SECTOR)
    assert (discard.is_write, discard.data) == (False, 6 * SECTOR)
    assert (mark.is_write, mark.data) == (False, 7 * SECTOR)


def test_only_flushes_after_writes_change_what_a_cut_leaves(tmp_path: Path) -> None:
    path = log(tmp_path, FLUSHED, write(0, b"a"), write(1, b"b", flags=FUA), FLUSHED, FLUSHED, write(0, b"c"), FLUSHED)
    assert flushes(path) == [3, 6]


def test_a_replay_goes_from_flush_to_flush(tmp_path: Path) -> None:
    path = log(tmp_path, write(1, b"a"), write(2, b"b"), FLUSHED, write(1, b"c"), FLUSHED, write(0, b"lost"[:1]))
    disk = tmp_path / "disk"
    disk.write_bytes(b"." * SECTOR * 4)
    replay = Replay(path, disk)
    seen = []
    for number in flushes(path):
        replay.until(number)
        seen.append(disk.read_bytes()[::SECTOR])
    replay.close()
    assert seen == [b".ab.", b".cb."]
    assert replay.writes == 3


def test_zeros_are_written_too(tmp_path: Path) -> None:
    path = log(tmp_path, write(1, b"\0"), FLUSHED)
    disk = tmp_path / "disk"
    disk.write_bytes(b"." * SECTOR * 3)
    replay = Replay(path, disk)
    replay.until(1)
    replay.close()
    assert disk.read_bytes()[::SECTOR] == b".\0."


@pytest.mark.parametrize(
    ("parts", "count", "magic", "words"),
    [
        pytest.param([FLUSHED], 1, 7, "no log of writes", id="another-file"),
        pytest.param([FLUSHED], 2, MAGIC, "ends before entry 1 of 2", id="no-entry"),
        pytest.param([write(0, b"a")[:-1]], 1, MAGIC, "ends within entry 0 of 1", id="torn-data"),
    ],
)
def test_a_torn_log_is_refused(tmp_path: Path, parts: list[bytes], count: int, magic: int, words: str) -> None:
    with pytest.raises(BadLog, match=words):
        flushes(log(tmp_path, *parts, count=count, magic=magic))


def test_an_empty_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    with pytest.raises(BadLog, match="nothing was flushed"):
        flushes(path)
