# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where images and machines are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping

# A socket's path has at most 107 bytes, and ssh makes its own under a name that is longer by 17.
MAX_WORK_DIR = 80


def default_cache(environ: Mapping[str, str]) -> Path:
    """The user's cache folder, as the XDG base directory specification has it."""
    base = environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path(environ.get("HOME", "/root")) / ".cache"
    return root / "containerless" / "machines"


@dataclass(frozen=True)
class Cache:
    """The folder that holds all images and machines."""

    root: Path

    @property
    def images(self) -> Path:
        """One folder per image, named after its recipe."""
        return self.root / "images"

    @property
    def kvm_verdicts(self) -> Path:
        """What the probe of KVM said, by host."""
        return self.root / "kvm.json"

    @property
    def ports(self) -> Path:
        """Which ports are taken, one file each."""
        return self.root / "ports"

    def image(self, folder: str) -> ImagePaths:
        """The files of one image."""
        return ImagePaths(self.images, folder)

    def project(self, project: str) -> Path:
        """The folder of all machines of a project."""
        return self.root / "projects" / project

    def machine(self, project: str, name: str) -> MachinePaths:
        """The files of one machine."""
        return MachinePaths(self.project(project) / name)


@dataclass(frozen=True)
class ImagePaths:
    """The files of one image."""

    parent: Path
    folder: str

    @property
    def root(self) -> Path:
        """Exists only when the image is whole."""
        return self.parent / self.folder

    @property
    def partial(self) -> Path:
        """Where the image is built before it gets its name."""
        return self.parent / f".{self.folder}.partial"

    @property
    def progress(self) -> Path:
        """What the builder says while it works; also what builders lock."""
        return self.parent / f"{self.folder}.log"

    @property
    def rootfs(self) -> Path:
        """The lower layer of every nspawn machine."""
        return self.root / "rootfs"

    @property
    def disk(self) -> Path:
        """The backing file of every virtual machine."""
        return self.root / "disk.raw"

    @property
    def kernel(self) -> Path:
        """Readable by everybody, unlike the one inside."""
        return self.root / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """Readable by everybody, unlike the one inside."""
        return self.root / "initrd.img"


@dataclass(frozen=True)
class MachinePaths:
    """The files of one machine."""

    root: Path

    def check(self) -> None:
        """Refuse what the kernel's mount options, QEMU's or a socket's length could not take."""
        text = str(self.root)
        if any(character in text for character in ",:=\\\"' \t\n"):
            raise MachineError(
                f"cache_dir: {text!r} must not hold blanks, quotes, commas, colons, equals signs or backslashes."
            )
        if len(text.encode()) > MAX_WORK_DIR:
            raise MachineError(f"cache_dir: {text} is longer than {MAX_WORK_DIR} bytes, choose a shorter folder.")
        if text.startswith("/run/"):
            raise MachineError(f"cache_dir: {text} must not be below /run, machines have a /run of their own.")

    @property
    def state(self) -> Path:
        """What has to be removed, written before it is made."""
        return self.root / "state.json"

    @property
    def key(self) -> Path:
        """The private key of the machine's user."""
        return self.root / "id_ed25519"

    @property
    def host_key(self) -> Path:
        """The machine's own private key."""
        return self.root / "host_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The machine's public key under its address."""
        return self.root / "known_hosts"

    @property
    def control(self) -> Path:
        """The socket of a connection that ssh keeps open."""
        return self.root / "ssh.sock"

    @property
    def identity(self) -> Path:
        """The credential from which the machine learns its keys."""
        return self.root / "identity"

    @property
    def launch(self) -> Path:
        """The script that starts the machine."""
        return self.root / "launch"

    @property
    def console(self) -> Path:
        """All that the machine says while it boots."""
        return self.root / "console.log"

    @property
    def upper(self) -> Path:
        """What an nspawn machine wrote."""
        return self.root / "upper"

    @property
    def work(self) -> Path:
        """Scratch space of the overlay file system."""
        return self.root / "work"

    @property
    def rootfs(self) -> Path:
        """Where an nspawn machine sees its root; mounted in its own namespace only."""
        return self.root / "rootfs"

    @property
    def disk(self) -> Path:
        """What a virtual machine wrote."""
        return self.root / "disk.qcow2"

    @property
    def smbios(self) -> Path:
        """The identity as a virtual machine's firmware hands it on."""
        return self.root / "smbios"

    @property
    def monitor(self) -> Path:
        """The control socket of a virtual machine."""
        return self.root / "qmp.sock"
