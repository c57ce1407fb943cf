# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import elf


def library(*versions: str) -> bytes:
    """Return a 64-bit shared library that needs versions of one other library, and holds nothing else."""
    names = b"\0libc.so.6\0" + b"".join(v.encode() + b"\0" for v in versions)
    needs = struct.pack("<HHIII", 1, len(versions), 1, 16, 0)
    at = 11
    for number, version in enumerate(versions, start=1):
        needs += struct.pack("<IHHII", 0, 0, number, at, 16 if number < len(versions) else 0)
        at += len(version) + 1
    start = 64
    table = start + len(names) + len(needs)
    header = (
        elf.MAGIC
        + bytes([2, 1, 1])
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, table, 0, 64, 0, 0, 64, 3, 0)
    )
    rows = [
        (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (0, 3, 0, 0, start, len(names), 0, 0, 1, 0),
        (0, 0x6FFFFFFE, 0, 0, start + len(names), len(needs), 1, 1, 4, 0),
    ]
    return header + names + needs + b"".join(struct.pack("<IIQQQQIIQQ", *row) for row in rows)


def test_the_newest_symbol_decides() -> None:
    data = library("GLIBC_2.2.5", "GLIBC_2.28", "GLIBC_2.3", "CXXABI_1.3")
    assert elf.needed_versions(data) == {b"GLIBC_2.2.5", b"GLIBC_2.28", b"GLIBC_2.3", b"CXXABI_1.3"}
    assert elf.glibc_min(data) == (2, 28)


def test_a_tree_needs_what_its_neediest_file_needs(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "text.py").write_text("GLIBC_2.99")
    assert elf.tree_glibc_min(str(tmp_path)) == "2.17"
    (tmp_path / "lib" / "old.so").write_bytes(library("GLIBC_2.2.5"))
    assert elf.tree_glibc_min(str(tmp_path)) == "2.17"
    (tmp_path / "lib" / "new.so").write_bytes(library("GLIBC_2.34"))
    (tmp_path / "lib" / "broken.so").write_bytes(library("GLIBC_2.40")[:-100])
    assert elf.tree_glibc_min(str(tmp_path)) == "2.34"


def test_a_broken_file_is_an_error() -> None:
    with pytest.raises(ValueError, match="."):
        elf.needed_versions(library("GLIBC_2.40")[:100])


def test_a_real_library_of_this_machine() -> None:
    real = [path.read_bytes() for path in Path("/lib").glob("*-linux-gnu/libm.so.6")]
    if not real:
        pytest.skip("no glibc here")
    assert any(name.startswith(b"GLIBC_2.") for name in elf.needed_versions(real[0]))
