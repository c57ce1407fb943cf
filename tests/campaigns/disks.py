# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of machines on this host: made of folders, mounted, compared by what stands in our folders."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

#: All that a release writes, and what it must not touch beside that: units and the tool's command.
OURS = (
    "srv/containerless",
    "etc/containerless",
    "etc/systemd/system",
    "var/lib/containerless",
    "usr/local",
)


def run(*argv: str) -> None:
    """Run a tool of this host."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")


def make(layers: Sequence[Path], disk: Path, size: str) -> None:
    """Make a disk of folders that lie over each other, the first on top."""
    disk.unlink(missing_ok=True)
    merged = disk.with_suffix(".merged")
    merged.mkdir(exist_ok=True)
    mount = f'mount -t overlay overlay -o lowerdir="$1" "$2" && exec mkfs.ext4 -q -F -L root -d "$2" "$3" {size}'
    script = ["sh", "-euc", mount, "sh", ":".join(str(layer) for layer in layers), str(merged), str(disk)]
    run("unshare", "--mount", "--propagation", "private", *script)
    merged.rmdir()


def copy(source: Path, target: Path) -> Path:
    """Copy a disk as it is, holes too."""
    run("cp", "--sparse=auto", str(source), str(target))
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
        run("umount", "--lazy", str(place))


def digest(root: Path, folders: Sequence[str] = OURS) -> str:
    """Return a digest of everything that a program could see in our folders: names, modes, owners, contents."""
    total = hashlib.sha256()
    for folder in folders:
        for path in _walk(root / folder):
            total.update(_line(root, path))
    return total.hexdigest()


def _walk(top: Path) -> Iterator[Path]:
    if not os.path.lexists(top):
        return
    yield top
    if top.is_dir() and not top.is_symlink():
        for child in sorted(top.iterdir()):
            yield from _walk(child)


def _line(root: Path, path: Path) -> bytes:
    seen = path.lstat()
    content = ""
    if stat.S_ISLNK(seen.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(seen.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{path.relative_to(root)}\0{seen.st_mode:o} {seen.st_uid} {seen.st_gid}\0{content}\n".encode()
