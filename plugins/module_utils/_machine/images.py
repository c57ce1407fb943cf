# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build images into the cache: once per recipe, under a name that only a whole image ever has."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from . import host, processes
from .errors import MachineError
from .locks import locked_file
from .recipes import Recipe, apt_options_from_host, build_argv, sources_from_host

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .paths import Cache, ImagePaths

DISK_SIZE = "8G"

# Own namespaces: ending the first process ends the whole build, with its mounts.
_CONTAINED = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
# Without root, the user's own ids play root's part.
_AS_ROOT = ["unshare", "--user", "--map-root-user", "--map-auto"]


def ensure(cache: Cache, recipe: Recipe) -> None:
    """Build the image when it is missing."""
    image = cache.image(recipe.folder)
    if image.root.is_dir():
        return
    host.require(["mmdebstrap", "unshare", *([] if host.is_root() else ["newuidmap"])])
    cache.images.mkdir(parents=True, exist_ok=True)
    with locked_file(image.progress) as log:
        if not image.root.is_dir():
            _build(image, recipe, log)


def ensure_disk(image: ImagePaths) -> None:
    """Make a disk of the image, as virtual machines need it, when it is missing."""
    if image.disk.is_file():
        return
    host.require(["mkfs.ext4", "unshare", *([] if host.is_root() else ["newuidmap"])])
    with locked_file(image.progress) as log:
        if not image.disk.is_file():
            _make_disk(image, log)


def _build(image: ImagePaths, recipe: Recipe, log: int) -> None:
    _discard(image.partial)
    image.partial.mkdir()
    targets = host.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)", "Created-By: Packages"]
    )
    rootfs = image.partial / "rootfs"
    argv = build_argv(
        recipe,
        str(rootfs),
        sources_from_host(targets, recipe.suite),
        apt_options_from_host(host.run(["apt-config", "dump"])),
    )
    _logged(f"Building the image {recipe.name}", argv, image, log)
    for name in ("vmlinuz", "initrd.img"):
        _logged(f"Copying {name}", ["install", "-m", "0644", str(rootfs / name), str(image.partial / name)], image, log)
    image.partial.rename(image.root)


def _make_disk(image: ImagePaths, log: int) -> None:
    fresh = image.disk.with_suffix(".partial")
    fresh.unlink(missing_ok=True)
    argv = ["mkfs.ext4", "-q", "-F", "-L", "root", "-d", str(image.rootfs), str(fresh), DISK_SIZE]
    _logged("Making the disk", argv, image, log)
    fresh.rename(image.disk)


def _logged(title: str, argv: Sequence[str], image: ImagePaths, log: int) -> None:
    started = time.monotonic()
    _write(image.progress, f"{title}\n")
    wrapped = [*([] if host.is_root() else _AS_ROOT), *_CONTAINED, *argv]
    done = subprocess.run(
        wrapped,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        check=False,
        env=host.with_path(processes.environment(image.partial)),
    )
    if done.returncode != 0:
        raise MachineError(f"{title} failed ({done.returncode}), {image.progress} says why.")
    _write(image.progress, f"{title}: done in {time.monotonic() - started:.1f} s\n")


def _write(progress: Path, text: str) -> None:
    with progress.open("a") as handle:
        handle.write(text)


def _discard(partial: Path) -> None:
    """Remove what a builder left that was killed."""
    processes.end(partial)
    if partial.exists() and host.is_root():
        shutil.rmtree(partial)
    elif partial.exists():
        host.run([*_AS_ROOT, "rm", "-rf", "--", str(partial)])
