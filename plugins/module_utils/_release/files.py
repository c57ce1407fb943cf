# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that survive a power cut: written aside, flushed, renamed, and the folder flushed too (fsync(2), rename(2))."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import time
import typing as t

from .._core.errors import ContainerlessError


def flush_directory(path: str) -> None:
    """Make renames and creations in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write(path: str, data: bytes, mode: int = 0o644) -> None:
    """Replace a file atomically and durably; it has its mode before it has its name."""
    aside = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(aside)
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "wb") as handle:
        os.fchmod(fd, mode)
        handle.write(data)
        handle.flush()
        os.fsync(fd)
    os.rename(aside, path)
    flush_directory(os.path.dirname(path))


def read(path: str) -> bytes | None:
    """Return the bytes of a file, or None where there is none."""
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def names(path: str, pattern: str) -> list[str]:
    """Return the names in a folder that match as a whole, sorted; a missing folder holds none."""
    try:
        return sorted(name for name in os.listdir(path) if re.fullmatch(pattern, name))
    except FileNotFoundError:
        return []


def read_folder(path: str, pattern: str) -> dict[str, str]:
    """Return the texts of the files of a folder whose whole name matches; a missing folder holds none."""
    return {name: (read(f"{path}/{name}") or b"").decode() for name in names(path, pattern)}


def remove(path: str) -> None:
    """Remove a file durably; a missing one is fine."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        flush_directory(os.path.dirname(path))


def link(target: str, path: str) -> None:
    """Point a symlink somewhere in one rename: whoever opens it sees the old or the new one, never none.

    One that points there already is left alone, so a boot needs no writable disk for it.
    """
    aside = f"{path}.new"
    with contextlib.suppress(OSError):
        if os.readlink(path) == target and not os.path.lexists(aside):
            return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(aside)
    os.symlink(target, aside)
    os.rename(aside, path)


def second_name(path: str, other: str) -> None:
    """Give a file a second name (link(2)), durably; what had that name loses it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(other)
    os.link(path, other)
    flush_directory(os.path.dirname(other))


def rename(path: str, other: str) -> None:
    """Give a file another name in its folder, durably; needs no space on the disk."""
    os.rename(path, other)
    flush_directory(os.path.dirname(other))


def directory(path: str, mode: int = 0o755) -> None:
    """Make a folder with exactly this mode whatever the umask, new parents 0755; an existing one gets the mode."""
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        directory(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, mode)
    if os.stat(path, follow_symlinks=False).st_mode & 0o7777 != mode:
        os.chmod(path, mode)


def replace_folder(path: str, contents: dict[str, bytes]) -> bool:
    """Make a folder hold exactly these files (relative names, mode 0644). Returns whether anything changed.

    A folder can't be exchanged in one rename, so a reader may miss it for a moment: only used for what nothing that
    runs reads.
    """
    if os.path.isdir(path) and read_tree(path) == contents:
        return False
    aside = f"{path}.new"
    shutil.rmtree(aside, ignore_errors=True)
    for name, data in contents.items():
        target = os.path.join(aside, name)
        directory(os.path.dirname(target))
        write(target, data)
    shutil.rmtree(path, ignore_errors=True)
    os.rename(aside, path)
    flush_directory(os.path.dirname(path))
    return True


def read_tree(path: str) -> dict[str, bytes]:
    """Return the bytes of all files below a folder by their relative names; a missing folder holds none."""
    found: dict[str, bytes] = {}
    for folder, _folders, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            found[os.path.relpath(full, path)] = read(full) or b""
    return found


@contextlib.contextmanager
def lock(path: str, owner: str, wait: float) -> t.Iterator[None]:
    """Hold an app's lock on this host; the kernel frees it when the process dies.

    `wait` in seconds. Raises ContainerlessError with the owner who holds it.
    """
    fd = _locked(path, time.monotonic() + wait)
    try:
        with contextlib.suppress(OSError):  # for people only: no full or read-only disk may keep a boot from going on
            os.ftruncate(fd, 0)
            os.pwrite(fd, owner.encode(), 0)
        yield
    finally:
        os.close(fd)


def _locked(path: str, deadline: float) -> int:
    """Return a locked file that still stands at its path: a removal may have taken the one that was waited for."""
    while True:
        directory(os.path.dirname(path))
        fd = _open_lock(path)
        try:
            _wait_for(fd, path, deadline)
            if os.path.exists(path) and os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _open_lock(path: str) -> int:
    """Open the file of a lock; reading suffices for flock(2), so what is live comes up on a read-only disk too."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        if exc.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _wait_for(fd: int, path: str, deadline: float) -> None:
    while not _try_lock(fd):
        if time.monotonic() >= deadline:
            holder = os.pread(fd, 400, 0).decode("utf-8", "replace").strip()
            raise ContainerlessError(
                f"another release holds {path} ({holder}); wait for it or raise app_release_lock_wait"
            )
        time.sleep(0.1)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
