# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads from ELF files the oldest glibc on which they can be loaded (section .gnu.version_r, LSB and gABI)."""

from __future__ import annotations

import os
import re
import struct
import typing as t
from pathlib import Path

MAGIC = b"\x7fELF"
#: No host that we support has an older one; a tree without ELF files says this.
OLDEST = (2, 17)

_SHT_GNU_VERNEED = 0x6FFFFFFE
_GLIBC = re.compile(rb"GLIBC_([0-9]+)\.([0-9]+)")


class _Section(t.NamedTuple):
    kind: int
    offset: int
    size: int
    link: int
    entries: int


def _sections(data: bytes) -> list[_Section]:
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    if wide:
        (table,), (size, count) = struct.unpack_from(order + "Q", data, 40), struct.unpack_from(order + "HH", data, 58)
        form, pick = order + "IIQQQQIIQQ", (1, 4, 5, 6, 7)
    else:
        (table,), (size, count) = struct.unpack_from(order + "I", data, 32), struct.unpack_from(order + "HH", data, 46)
        form, pick = order + "IIIIIIIIII", (1, 4, 5, 6, 7)
    rows = (struct.unpack_from(form, data, table + number * size) for number in range(count))
    return [_Section(*(row[column] for column in pick)) for row in rows]


def _string(data: bytes, table: _Section, offset: int) -> bytes:
    start = table.offset + offset
    return data[start : data.index(b"\0", start)]


def needed_versions(data: bytes) -> set[bytes]:
    """Return the symbol versions that an ELF file needs of other libraries. Raises ValueError for a broken file."""
    found: set[bytes] = set()
    try:
        order, sections = "<" if data[5] == 1 else ">", _sections(data)
        for section in (s for s in sections if s.kind == _SHT_GNU_VERNEED):
            at = section.offset
            for _library in range(section.entries):
                _version, count, _file, aux, following = struct.unpack_from(order + "HHIII", data, at)
                entry = at + aux
                for _symbol in range(count):
                    _hash, _flags, _other, name, after = struct.unpack_from(order + "IHHII", data, entry)
                    found.add(_string(data, sections[section.link], name))
                    entry += after
                at += following
    except (struct.error, IndexError) as exc:
        raise ValueError(str(exc)) from None
    return found


def glibc_min(data: bytes) -> tuple[int, int]:
    """Return the oldest glibc that offers every symbol version the file needs."""
    matches = (_GLIBC.fullmatch(name) for name in needed_versions(data))
    return max(((int(m[1]), int(m[2])) for m in matches if m), default=OLDEST)


def tree_glibc_min(root: str) -> str:
    """Return the oldest glibc for all ELF files below a folder, as X.Y. What only looks like ELF does not count."""
    lowest = OLDEST
    for folder, _folders, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink():
                continue
            with path.open("rb") as stream:
                data = stream.read() if stream.read(4) == MAGIC else b""
            try:
                lowest = max(lowest, glibc_min(MAGIC + data) if data else OLDEST)
            except ValueError:
                continue
    return f"{lowest[0]}.{lowest[1]}"
