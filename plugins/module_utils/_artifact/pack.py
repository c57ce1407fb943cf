# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the blobs of an artifact: tar and every compression in one pass over the tree, with the digests of all.

The tar is cut into blocks. Each thing that has to see them in order has a thread of its own, and gzip's blocks are
compressed by all processors. The bytes of a blob depend on the tar and on the build of zlib or zstd, and never on the
number of processors.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import struct
import subprocess
import typing as t
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from .._core.errors import ContainerlessError
from . import tar

# The knee of each curve for a tree of Python code: above it, seconds buy next to nothing.
_GZIP_LEVEL, _ZSTD_LEVEL = 6, 9
_BLOCK = 256 * 1024
# No name, no time, an unknown system (RFC 1952, 2.3).
_GZIP_HEAD = bytes((0x1F, 0x8B, zlib.DEFLATED, 0, 0, 0, 0, 0, 0, 0xFF))
# How far back deflate refers (RFC 1951, 2).
_WINDOW = 32 * 1024
# Each of its threads takes some 30 MB.
_MAX_ZSTD_THREADS = 4
_T = t.TypeVar("_T")


@dataclass(frozen=True)
class Packed:
    """SHA-256 and size in bytes of a stream."""

    sha256: str
    size: int


class _Stream:
    """Digest and size of all that is written, into a file or into nothing."""

    def __init__(self, file: t.IO[bytes] | None = None) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        self._sha256.update(data)
        self._size += len(data)
        if self._file:
            self._file.write(data)

    @property
    def packed(self) -> Packed:
        if self._file:
            self._file.flush()
        return Packed(self._sha256.hexdigest(), self._size)


class _Lane(t.Generic[_T]):
    """Does one thing with each item, in order and in a thread of its own. Few items wait, so memory is bounded."""

    def __init__(self, work: t.Callable[[_T], object], most: int) -> None:
        self._work, self._most = work, most
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[object]] = deque()

    def put(self, item: _T) -> None:
        """Add an item; raise what an earlier one led to."""
        if len(self._waiting) == self._most:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._work, item))

    def finish(self) -> None:
        """Wait for all items; raise what one of them led to."""
        while self._waiting:
            self._waiting.popleft().result()

    def __enter__(self) -> _Lane[_T]:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._pool.shutdown(cancel_futures=True)


class _Identity:
    """Takes the blocks of a tar as they are."""

    def __init__(self, file: t.IO[bytes] | None, threads: int, stack: contextlib.ExitStack) -> None:
        self._out = _Stream(file)
        self._lane = stack.enter_context(_Lane(self._out.write, 2 * threads))

    def put(self, block: bytes) -> None:
        self._lane.put(block)

    def finish(self) -> Packed:
        self._lane.finish()
        return self._out.packed


class _Gzip:
    """One gzip member. Each block is compressed apart, with the end of the one before it as a dictionary."""

    def __init__(self, file: t.IO[bytes], threads: int, stack: contextlib.ExitStack) -> None:
        self._out = _Stream(file)
        self._crc = self._size = 0
        self._before = b""
        self._pool = stack.enter_context(ThreadPoolExecutor(threads))
        self._lane = stack.enter_context(_Lane(self._write, 2 * threads))
        self._out.write(_GZIP_HEAD)

    def put(self, block: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> None:
        self._lane.put((block, self._pool.submit(_deflated, block, self._before, flush)))
        self._before = block[-_WINDOW:]

    def finish(self) -> Packed:
        self.put(b"", zlib.Z_FINISH)
        self._lane.finish()
        self._out.write(struct.pack("<LL", self._crc, self._size % 2**32))
        return self._out.packed

    def _write(self, item: tuple[bytes, Future[bytes]]) -> None:
        block, deflated = item
        self._crc = zlib.crc32(block, self._crc)
        self._size += len(block)
        self._out.write(deflated.result())


def _deflated(block: bytes, before: bytes, flush: int) -> bytes:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=before)
    return packer.compress(block) + packer.flush(flush)


class _Zstd:
    """One zstd frame, written by the program."""

    def __init__(self, file: t.IO[bytes], threads: int, stack: contextlib.ExitStack) -> None:
        program = shutil.which("zstd")
        if program is None:
            raise ContainerlessError(
                "the build host has no program zstd: install its package zstd, or take zstd out of app_build_encodings"
            )
        # Any number of threads writes the same bytes; --single-thread would write others.
        argv = [program, "-q", "-c", f"-{_ZSTD_LEVEL}", f"-T{min(threads, _MAX_ZSTD_THREADS)}"]
        self._out = _Stream(file)
        self._lane = stack.enter_context(_Lane(self._feed, 2 * threads))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        # Last, so that it is the first to go: the threads above wait for it.
        self._process = stack.enter_context(_process(argv))
        self._read = pool.submit(self._drain)

    def put(self, block: bytes) -> None:
        self._lane.put(block)

    def finish(self) -> Packed:
        self._lane.finish()
        self._feed(b"", last=True)
        self._read.result()
        if self._process.wait():
            raise self._failure()
        return self._out.packed

    def _feed(self, block: bytes, last: bool = False) -> None:
        into = t.cast("t.IO[bytes]", self._process.stdin)
        try:
            into.write(block)
            if last:
                into.close()
        except BrokenPipeError:
            self._read.result()
            raise self._failure() from None

    def _drain(self) -> None:
        packed = t.cast("io.BufferedReader", self._process.stdout)
        try:
            for piece in iter(lambda: packed.read1(_BLOCK), b""):
                self._out.write(piece)
        except BaseException:
            self._process.kill()  # Nobody reads on, so it would wait, and who feeds it too.
            raise

    def _failure(self) -> ContainerlessError:
        said = t.cast("t.IO[bytes]", self._process.stderr).read().decode("utf-8", "replace").strip()
        return ContainerlessError(f"zstd failed on the build host: {said or f'exit status {self._process.wait()}'}")


@contextlib.contextmanager
def _process(argv: list[str]) -> t.Iterator[subprocess.Popen[bytes]]:
    # Without an environment, as ZSTD_CLEVEL and its like would change the bytes.
    process = subprocess.Popen(argv, stdin=-1, stdout=-1, stderr=-1, env={})
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                t.cast("t.IO[bytes]", pipe).close()


class _Packer(t.Protocol):
    def put(self, block: bytes) -> None: ...

    def finish(self) -> Packed: ...


_PACKERS: dict[str, t.Callable[[t.IO[bytes], int, contextlib.ExitStack], _Packer]] = {
    "gzip": _Gzip,
    "identity": _Identity,
    "zstd": _Zstd,
}


class _Blocks(io.RawIOBase):
    """Cuts what is written into blocks of one size and hands each to all packers."""

    def __init__(self, packers: t.Sequence[_Packer]) -> None:
        super().__init__()
        self._packers = packers
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: t.Any) -> int:
        self._held += data
        while len(self._held) >= _BLOCK:
            self._put(bytes(self._held[:_BLOCK]))
            del self._held[:_BLOCK]
        return len(data)

    def finish(self) -> list[Packed]:
        if self._held:
            self._put(bytes(self._held))
        return [packer.finish() for packer in self._packers]

    def _put(self, block: bytes) -> None:
        for packer in self._packers:
            packer.put(block)


def pack(
    root: str, folder: str, mtime: int, encodings: t.Sequence[str], threads: int | None = None
) -> tuple[Packed, dict[str, Packed]]:
    """Write `folder`/blob.<encoding> for each encoding: gzip, identity or zstd.

    Returns what the plain tar was and what each blob is. `mtime`, in seconds, is the time of all members. `threads` is
    how many compress; None: one for each processor that this process may use. Raises ContainerlessError and leaves no
    blob, for what has no place in a tar too.
    """
    unknown = [encoding for encoding in encodings if encoding not in _PACKERS]
    if unknown or not encodings:
        raise ContainerlessError(
            f"app_build_encodings must name some of {', '.join(_PACKERS)}, not {', '.join(unknown) or 'nothing'}"
        )
    workers = threads or len(os.sched_getaffinity(0))
    paths = {encoding: os.path.join(folder, f"blob.{encoding}") for encoding in encodings}
    try:
        with contextlib.ExitStack() as stack:
            files = {encoding: stack.enter_context(open(path, "wb")) for encoding, path in paths.items()}
            packers = [_PACKERS[encoding](file, workers, stack) for encoding, file in files.items()]
            blocks = _Blocks([_Identity(None, workers, stack), *packers])
            tar.write_tar(root, t.cast("t.BinaryIO", blocks), mtime=mtime)
            plain, *packed = blocks.finish()
            return plain, dict(zip(paths, packed))
    except BaseException as exc:
        for path in paths.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        if isinstance(exc, OSError):
            what = exc.filename if isinstance(exc.filename, str) else folder
            raise ContainerlessError(f"can't pack the artifact: {what}: {exc.strerror or exc}") from None
        raise
