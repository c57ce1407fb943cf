# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of machines on this host: made of folders, mounted, compared by what stands in our folders."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...plugins.module_utils._machine.host import search_path

#: All that a release writes, and what it must not touch beside that: units and the tool's command.
OURS = (
    "srv/containerless",
    "etc/containerless",
    "etc/systemd/system",
    "var/lib/containerless",
    "usr/local",
)

_TREE = re.compile("srv/containerless/[^/]+/trees/[0-9a-f]{64}")
_NAME_ONLY = re.compile(
    "srv/containerless/[^/]+/trees/(?![0-9a-f]{64}$).*|var/lib/containerless/[^/]+/data|etc/containerless/.*[.]new"
)


def run(*argv: str) -> None:
    """Run a tool of this host."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")


def keep_mounts() -> None:
    """Give this process mounts of its own: they end with it, and no machine of others takes a copy of them along."""
    os.unshare(os.CLONE_NEWNS)
    run("mount", "--make-rprivate", "/")


@contextmanager
def room(image: Path, place: Path, size: str) -> Iterator[None]:
    """Mount a file system whose files share blocks (XFS) for the disks, where this host can make one."""
    if not shutil.which("mkfs.xfs", path=search_path()):
        print("xfsprogs is missing: each copy of a disk takes half a second", flush=True)
        yield
        return
    if not image.exists():
        image.parent.mkdir(parents=True, exist_ok=True)
        run("truncate", f"--size={size}", str(image))
        run("mkfs.xfs", "-q", str(image))
    with mounted(image, place, "loop,discard"):
        yield


def make(layers: Sequence[Path], disk: Path, size: str) -> None:
    """Make a disk of folders that lie over each other, the first on top."""
    disk.unlink(missing_ok=True)
    merged = disk.with_suffix(".merged")
    merged.mkdir(exist_ok=True)
    mount = f'mount -t overlay overlay -o lowerdir="$1" "$2" && exec mkfs.ext4 -q -F -L root -d "$2" "$3" {size}'
    script = ["sh", "-euc", mount, "sh", ":".join(str(layer) for layer in layers), str(merged), str(disk)]
    run("unshare", "--mount", "--propagation", "private", *script)
    merged.rmdir()


@contextmanager
def readable(disk: Path, place: Path) -> Iterator[Path]:
    """Show what a boot would find on a disk and leave it as it is: a copy is mounted."""
    probe = copy(disk, disk.with_suffix(".probe"))
    try:
        with mounted(probe, place, "loop,nobarrier") as root:
            yield root
    finally:
        probe.unlink()


def overlay(base: Path, path: Path, kind: str) -> Path:
    """Make a disk of what is written over another one, of kind raw or qcow2."""
    path.unlink(missing_ok=True)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(base), str(path))
    return path


def copy(source: Path, target: Path) -> Path:
    """Copy a disk as it is, holes too; where the file system can share blocks this costs nothing."""
    run("cp", "--reflink=auto", "--sparse=auto", str(source), str(target))
    return target


def flatten(disk: Path, raw: Path) -> Path:
    """Write a qcow2 disk with all that lies under it into one raw file."""
    run("qemu-img", "convert", "-O", "raw", str(disk), str(raw))
    return raw


@contextmanager
def mounted(disk: Path, place: Path, options: str = "loop") -> Iterator[Path]:
    """Mount a raw disk: the kernel replays the file system's journal, as after any power cut."""
    place.mkdir(parents=True, exist_ok=True)
    run("mount", "-o", options, str(disk), str(place))
    try:
        yield place
    finally:
        _unmount(place, time.monotonic() + 10)


def _unmount(place: Path, deadline: float) -> None:
    """The mounts of a machine that was ended go a moment after its processes."""
    while True:
        try:
            return run("umount", str(place))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def digest(root: Path, folders: Sequence[str] = OURS) -> str:
    """Return a digest of what a boot finds in our folders: names, modes, owners, links, contents.

    Of what is being unpacked or written aside and of the app's own data only the name counts: the one is removed, the
    other is the database's business. Of whole trees sizes stand for contents: the tool verifies them after each boot.
    """
    total = hashlib.sha256()
    for folder in folders:
        if os.path.lexists(root / folder):
            _add(total, str(root / folder), folder)
    return total.hexdigest()


def _add(total: hashlib._Hash, folder: str, name: str, *, read: bool = True) -> None:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        seen, path = entry.stat(follow_symlinks=False), f"{name}/{entry.name}"
        content = ""
        if stat.S_ISLNK(seen.st_mode):
            content = os.readlink(entry.path)
        elif stat.S_ISREG(seen.st_mode):
            content = hashlib.sha256(Path(entry.path).read_bytes()).hexdigest() if read else str(seen.st_size)
        total.update(f"{path}\0{seen.st_mode:o} {seen.st_uid} {seen.st_gid}\0{content}\n".encode())
        if stat.S_ISDIR(seen.st_mode) and not _NAME_ONLY.fullmatch(path):
            _add(total, entry.path, path, read=read and not _TREE.fullmatch(path))
