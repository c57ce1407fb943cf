# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the blob of an artifact as its tar, in small pieces, so that a hostile one fills neither memory nor disk."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import shutil
import subprocess
import typing as t
import zlib

from .._core.errors import ContainerlessError

CHUNK = 256 * 1024
# What is read at once of a compressed blob: deflate copies the rest that it could not use yet.
_PACKED = 64 * 1024
_MAGIC = b"\x28\xb5\x2f\xfd"
_RUN = 1
# Python names it from 3.10 on (fcntl(2)); with 64 KiB, program and reader wait for each other all the time.
_F_SETPIPE_SZ = 1031
_CUT = "the artifact's blob ends before its tar does; fetch it again"
_MORE = "the artifact's blob has data after its end; fetch it again"


def readable() -> list[str]:
    """Return the encodings that this host can unpack: zstd by Python 3.14 or newer, or by the program."""
    return ["gzip", "identity", *(["zstd"] if _library() or shutil.which("zstd") else [])]


def check(encoding: str) -> None:
    """Raise when this host can't unpack an encoding."""
    if encoding not in readable():
        raise ContainerlessError(
            f"a blob with encoding {encoding!r} can't be unpacked on this host, only {', '.join(readable())}; build it"
            " with gzip among app_build_encodings"
        )


def pieces(blob: t.BinaryIO, encoding: str) -> t.Generator[bytes, None, None]:
    """Yield the tar in pieces of at most CHUNK bytes. `blob` stands at its start; for zstd it is a file on the disk.

    Raises ContainerlessError for a blob that is damaged, cut off, more than one stream or followed by something, and
    for an encoding that this host can't read. Whoever stops early closes the generator.
    """
    check(encoding)
    library = _library()
    if encoding == "identity":
        return _plain(blob)
    if encoding == "gzip":
        return _decoded(blob, _Gunzip(), zlib.error)
    return _decoded(blob, library.ZstdDecompressor(), library.ZstdError) if library else _by_program(blob)


def _library() -> t.Any:
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return None


def _damaged(what: object) -> ContainerlessError:
    return ContainerlessError(f"the artifact's blob is damaged ({what}); fetch it again")


def _plain(blob: t.BinaryIO) -> t.Generator[bytes, None, None]:
    yield from iter(lambda: blob.read(CHUNK), b"")


class _Gunzip:
    """zlib's decompressor with the interface that all younger ones of Python share."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _decoded(blob: t.BinaryIO, decoder: t.Any, error: type[Exception]) -> t.Generator[bytes, None, None]:
    while not decoder.eof:
        wanted = decoder.needs_input
        packed = blob.read(_PACKED) if wanted else b""
        try:
            data = decoder.decompress(packed, CHUNK)
        except error as exc:
            raise _damaged(exc) from None
        if data:
            yield data
        elif wanted and not packed:
            raise ContainerlessError(_CUT)
    if decoder.unused_data or blob.read(1):
        raise ContainerlessError(_MORE)


def _by_program(blob: t.BinaryIO) -> t.Generator[bytes, None, None]:
    start = blob.tell()
    # The program takes any number of frames, also such that hold nothing; Python's decompressor takes one.
    end, size = _frame_end(blob), blob.seek(0, os.SEEK_END)
    if end != size:
        raise ContainerlessError(_CUT if end > size else _MORE)
    os.lseek(blob.fileno(), start, os.SEEK_SET)
    with subprocess.Popen(["zstd", "-dcq"], stdin=blob, stdout=-1, stderr=-1) as process:
        out, err = t.cast("t.Any", process.stdout), t.cast("t.Any", process.stderr)
        try:
            with contextlib.suppress(OSError):
                fcntl.fcntl(out, _F_SETPIPE_SZ, 4 * CHUNK)
            yield from iter(lambda: out.read(CHUNK), b"")
            said = " ".join(err.read().decode("utf-8", "replace").split())
            if process.wait():
                raise _damaged(said or f"zstd: exit status {process.returncode}")
        finally:
            process.kill()


def _frame_end(blob: t.BinaryIO) -> int:
    """Return where the zstd frame ends that starts here, by the headers of frame and blocks (RFC 8878, 3.1.1)."""
    head = blob.read(5)
    if len(head) < 5 and _MAGIC.startswith(head[:4]):
        raise ContainerlessError(_CUT)
    if head[:4] != _MAGIC:
        raise _damaged("it is not zstd")
    flags = head[4]
    single = flags >> 5 & 1
    blob.seek((not single) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6], os.SEEK_CUR)
    last = 0
    while not last:
        block = blob.read(3)
        if len(block) < 3:
            raise ContainerlessError(_CUT)
        number = int.from_bytes(block, "little")
        last, kind, size = number & 1, number >> 1 & 3, number >> 3
        blob.seek(1 if kind == _RUN else size, os.SEEK_CUR)
    return blob.tell() + (4 if flags & 4 else 0)
