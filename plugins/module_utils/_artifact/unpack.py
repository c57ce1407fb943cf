# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the blob of an artifact to a tree on a host: whole and flushed under its final name, or not there at all."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import io
import os
import re
import shutil
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .._core.errors import ContainerlessError
from .._core.names import DIGEST
from . import identity, inflate, tar, tree

_LEFTOVER = re.compile(rf"\.{DIGEST}\.[a-z0-9]+")


class _Tar(io.RawIOBase):
    """The uncompressed tar of a blob: never more bytes than the manifest names, with their SHA-256.

    A thread inflates and hashes one piece ahead of the one that writes files; both release the GIL most of the time.
    """

    def __init__(self, blob: t.BinaryIO, encoding: str, size: int) -> None:
        self.sha256 = hashlib.sha256()
        self.seen = 0
        self._pieces = inflate.pieces(blob, encoding)
        self._size = size
        self._left = memoryview(b"")
        self._pool = ThreadPoolExecutor(1)
        self._ahead = self._pool.submit(self._piece)

    def close(self) -> None:
        self._pool.shutdown()
        self._pieces.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        if not self._left:
            self._left = memoryview(self._ahead.result())
            if self._left:
                self._ahead = self._pool.submit(self._piece)
        part = self._left[: len(buffer)]
        buffer[: len(part)] = part
        self._left = self._left[len(part) :]
        return len(part)

    def _piece(self) -> bytes:
        data = next(self._pieces, b"")
        self.seen += len(data)
        if self.seen > self._size:
            raise ContainerlessError(f"the artifact's tar is longer than the {self._size} bytes of its manifest")
        self.sha256.update(data)
        return data


def install(blob: t.BinaryIO, *, encoding: str, manifest: dict[str, t.Any], trees: str, interpreter: str) -> bool:
    """Make `trees`/<content_id> from a blob. True: unpacked now; False: it was there and whole, the blob was not read.

    The tree is verified and flushed before it gets its name; one that was there and is not whole is replaced. Raises
    ContainerlessError and leaves what was there. Two runs at once wait for each other.
    """
    content_id = identity.content_id(manifest)
    inflate.check(encoding)
    home = Path(os.path.realpath(interpreter))
    if not os.access(home, os.X_OK) or home.is_dir():
        raise ContainerlessError(f"the interpreter {interpreter!r} of this host can't be executed")
    hosts = _host_files(home, manifest["python"]["version"])
    try:
        folder = _make_folder(Path(trees))
        with _locked(folder):
            for leftover in folder.iterdir():
                if _LEFTOVER.fullmatch(leftover.name):
                    shutil.rmtree(leftover)
            final = folder / content_id
            if not _drift(final, manifest, hosts):
                return False
            fresh = folder / f".{content_id}.{os.getpid()}"
            try:
                extract(blob, encoding, manifest, fresh)
                _write_host_files(fresh, hosts)
                _prove(fresh, manifest, hosts)
                _replace(fresh, final)
                _sync_folder(folder)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    except OSError as exc:
        what = exc.filename if isinstance(exc.filename, str) else trees
        raise ContainerlessError(f"can't unpack the artifact to {what}: {exc.strerror or exc}") from None
    return True


def _make_folder(folder: Path) -> Path:
    """Make a folder with all above it, open to every user whatever the umask: the app has to read its code."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)
    return folder


@contextlib.contextmanager
def _locked(folder: Path) -> t.Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _host_files(interpreter: Path, version: str) -> dict[str, str]:
    """Return what is written on the host: a configuration and the targets of two links."""
    # Without the second line the packages of the system would be importable: a missing key means true.
    config = f"home = {interpreter.parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    return dict(zip(tree.HOST_FILES, (config, str(interpreter), "python")))


def _write_host_files(root: Path, hosts: dict[str, str]) -> None:
    config, *links = hosts
    for folder in (root / "venv", root / "venv/bin"):
        if folder.is_symlink() or not folder.is_dir():
            raise ContainerlessError(f"the artifact has no folder {folder.relative_to(root)}; build it again")
    with (root / config).open("x", encoding="utf-8") as out:
        out.write(hosts[config])
    (root / config).chmod(0o644)
    for link in links:
        (root / link).symlink_to(hosts[link])


def extract(blob: t.BinaryIO, encoding: str, manifest: dict[str, t.Any], fresh: Path) -> None:
    """Unpack a blob to `fresh`, which must not exist yet; what stands in its files is still to be verified.

    Raises ContainerlessError when it is not the tar of the manifest; the caller then removes what is there.
    """
    limits = tar.Size(manifest["tree"]["files"], manifest["tree"]["bytes"])
    with _Tar(blob, encoding, manifest["tar"]["size"]) as raw:
        found = tar.extract(t.cast("t.BinaryIO", io.BufferedReader(raw, inflate.CHUNK)), str(fresh), limits)
    if raw.sha256.hexdigest() != manifest["tar"]["sha256"] or raw.seen != manifest["tar"]["size"]:
        raise ContainerlessError("the artifact's tar has not the SHA-256 and size of its manifest; fetch it again")
    if found != limits:
        raise ContainerlessError(
            f"the artifact holds {found.files} files and {found.bytes} bytes, its manifest says otherwise"
        )


def _drift(root: Path, manifest: dict[str, t.Any], hosts: dict[str, str]) -> list[str]:
    config, *links = hosts
    drift = tree.verify(str(root), manifest["tree"]["sha256"])
    if not drift:
        drift = [f"{link}: leads elsewhere" for link in links if not _is_link(root / link, hosts[link])]
        if not (root / config).is_file() or (root / config).read_bytes() != hosts[config].encode():
            drift.append(f"{config}: changed")
    return drift


def _is_link(path: Path, target: str) -> bool:
    return path.is_symlink() and os.readlink(path) == target


def _refuse_drift(root: Path, manifest: dict[str, t.Any], hosts: dict[str, str]) -> None:
    drift = _drift(root, manifest, hosts)
    if drift:
        raise ContainerlessError(f"the unpacked tree is not the one that was sealed: {'; '.join(drift[:3])}")


def _prove(fresh: Path, manifest: dict[str, t.Any], hosts: dict[str, str]) -> None:
    """Flush the tree while it is read and verified: one waits for the disk, the other one for the processor."""
    with ThreadPoolExecutor(1) as pool:
        flushed = pool.submit(_flush, fresh)
        # All is read again although it was hashed on its way: that proves what stands under each name, not what was
        # meant to, for 0.2 s. It comes from the page cache, so it says nothing of the disk: `verify` does, later.
        _refuse_drift(fresh, manifest, hosts)
        flushed.result()


def _replace(fresh: Path, final: Path) -> None:
    """Give the tree its name. A damaged one of that name is moved aside first; the next run would remove its rest."""
    aside = fresh.with_suffix(".old")
    if os.path.lexists(final):
        final.rename(aside)
    fresh.rename(final)
    shutil.rmtree(aside, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _flush(folder: Path) -> None:
    """Flush the file system that holds the folder: 0.3 s for 6,400 files, where an fsync of each takes 11 s."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(fd):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(fd)
