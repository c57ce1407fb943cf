# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import random
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import inflate
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError

from .children import children

NO_LIBRARY = sys.version_info < (3, 14)
needs_zstd = pytest.mark.skipif("zstd" not in inflate.readable(), reason="nothing here reads zstd")
ENCODINGS = ["gzip", pytest.param("zstd", marks=needs_zstd)]
SMALL = b"".join(b"VALUE_%d = %d\n" % (line, line) for line in range(40))
LARGE = random.Random(1).randbytes(100_000)


def packed(data: bytes, encoding: str, *options: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(data, 6, mtime=0)
    argv = ["zstd", "-qc", *(options or ("-9",))]
    return subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True).stdout


def read(blob: bytes, encoding: str) -> bytes:
    with tempfile.TemporaryFile() as file:
        file.write(blob)
        file.seek(0)
        found = list(inflate.pieces(t.cast("t.BinaryIO", file), encoding))
    assert all(0 < len(piece) <= inflate.CHUNK for piece in found)
    return b"".join(found)


@pytest.mark.parametrize("data", [b"", b"x", SMALL, LARGE, bytes(10**6)], ids=len)
@pytest.mark.parametrize("encoding", [*ENCODINGS, "identity"])
def test_what_was_packed_comes_back(encoding: str, data: bytes) -> None:
    assert read(data if encoding == "identity" else packed(data, encoding), encoding) == data


FRAMES = ["-1", "-19", "--no-check", "-T2", "--stream-size=100000"]


@needs_zstd
@pytest.mark.parametrize("option", FRAMES)
def test_every_kind_of_zstd_frame_is_read(option: str, tmp_path: Path) -> None:
    assert read(packed(LARGE, "zstd", option), "zstd") == LARGE
    (tmp_path / "data").write_bytes(SMALL)
    # Of a file the program knows the size, so the frame has another header.
    sized = subprocess.run(["zstd", "-qc", option, tmp_path / "data"], stdout=-1, check=False).stdout
    assert not sized or read(sized, "zstd") == SMALL


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.exhaustive
def test_one_flipped_bit_never_gives_other_bytes(encoding: str) -> None:
    blob = packed(SMALL, encoding)
    harmless = set()
    for at in range(len(blob)):
        # All bits of the headers, one of each further byte.
        for bit in range(8) if at < 20 else [at % 8]:
            bad = blob[:at] + bytes([blob[at] ^ 1 << bit]) + blob[at + 1 :]
            try:
                assert read(bad, encoding) == SMALL
                harmless.add(at)
            except ContainerlessError:
                pass
    # Time, system, flags that nobody reads; the size of a window; a bit that only fills up a byte.
    assert len(harmless) <= 7
    assert not children("zstd")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_blob_that_is_cut_off_is_refused(encoding: str) -> None:
    blob = packed(LARGE, encoding)
    for size in (*range(12), *range(0, len(blob), 4096), *range(len(blob) - 12, len(blob))):
        with pytest.raises(ContainerlessError, match="blob ends before its tar does"):
            read(blob[:size], encoding)
    assert not children("zstd")


SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
TAILS = [b"x", bytes(8), b"\x28\xb5\x2f\xfd", SKIPPABLE, "empty", "again"]


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_data_after_the_end_is_refused(encoding: str, tail: bytes | str) -> None:
    blob = packed(SMALL, encoding)
    more = {"empty": packed(b"", encoding), "again": blob}[tail] if isinstance(tail, str) else tail
    with pytest.raises(ContainerlessError, match="data after its end"):
        read(blob + more, encoding)


def test_data_after_the_end_is_refused_where_a_read_ends_with_the_stream() -> None:
    blob = next(blob for size in range(65536, 65000, -1) if len(blob := packed(LARGE[:size], "gzip")) == 65536)
    with pytest.raises(ContainerlessError, match="data after its end"):
        read(blob + b"x", "gzip")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("blob", [b"<html>not found</html>", SKIPPABLE, bytes(100), packed(SMALL, "gzip")[1:]])
def test_something_else_is_refused(encoding: str, blob: bytes) -> None:
    with pytest.raises(ContainerlessError, match="blob is damaged"):
        read(blob, encoding)


@needs_zstd
def test_a_window_of_two_gigabytes_is_refused() -> None:
    one_raw_block = (1 | len(SMALL) << 3).to_bytes(3, "little") + SMALL
    assert read(b"\x28\xb5\x2f\xfd\x00\x58" + one_raw_block, "zstd") == SMALL
    with pytest.raises(ContainerlessError, match="blob is damaged"):
        read(b"\x28\xb5\x2f\xfd\x00\xa8" + one_raw_block, "zstd")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_who_stops_early_leaves_no_process(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(packed(bytes(50_000_000), encoding))
    with (tmp_path / "bomb").open("rb") as blob:
        pieces = inflate.pieces(blob, encoding)
        assert len(next(pieces)) <= inflate.CHUNK
        pieces.close()
    assert not children("zstd")


def test_an_encoding_that_is_unknown_names_the_option() -> None:
    with pytest.raises(ContainerlessError, match="'br' can't be unpacked on this host, only gzip, identity.*encodings"):
        read(b"", "br")


@pytest.mark.skipif(not NO_LIBRARY, reason="Python reads zstd itself")
def test_a_host_without_zstd_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert inflate.readable() == ["gzip", "identity"]
    with pytest.raises(ContainerlessError, match="'zstd' can't be unpacked on this host, only gzip, identity"):
        read(b"", "zstd")
    (tmp_path / "zstd").symlink_to("/bin/true")
    assert inflate.readable() == ["gzip", "identity", "zstd"]


def test_the_program_is_enough() -> None:
    assert ("zstd" in inflate.readable()) == (not NO_LIBRARY or shutil.which("zstd") is not None)
