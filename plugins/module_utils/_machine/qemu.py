# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine as a virtual machine: its own kernel, reachable through two ports of the host's loopback."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from .paths import ImagePaths, MachinePaths

BINARY = "qemu-system-x86_64"
FIRST_PORT = 20000
PORT_PAIRS = 5000

# What the kernel says when it has come as far as an init system: processor, memory and initrd work.
BOOTED = b"Run /init as init process"

_KVM = ("-accel", "kvm", "-cpu", "host")
_EMULATED = ("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max")
_BARE = ("-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35")


@dataclass(frozen=True)
class Plan:
    """What the command line needs to know."""

    name: str
    image: ImagePaths
    paths: MachinePaths
    ssh_port: int
    http_port: int
    memory: int
    cpus: int
    kvm: bool


def qemu_argv(plan: Plan) -> list[str]:
    """The virtual machine; restrict=on leaves it no way out, only the two forwarded ports in."""
    forwards = f"hostfwd=tcp:127.0.0.1:{plan.ssh_port}-:22,hostfwd=tcp:127.0.0.1:{plan.http_port}-:80"
    append = f"root=LABEL=root rw console=ttyS0 quiet net.ifnames=0 machine.address systemd.hostname={plan.name}"
    return [
        BINARY,
        *_BARE,
        *(_KVM if plan.kvm else _EMULATED),
        "-smp", str(plan.cpus),
        "-m", str(plan.memory),
        "-kernel", str(plan.image.kernel),
        "-initrd", str(plan.image.initrd),
        "-append", append if plan.kvm else f"{append} mitigations=off",
        # Nothing on it has to outlive the host, so no flush has to reach the host's disk.
        "-drive", f"if=none,id=root,file={plan.paths.disk},format=qcow2,cache=unsafe,discard=unmap",
        "-device", "virtio-blk-pci,drive=root",
        "-netdev", f"user,id=net,restrict=on,ipv6=off,{forwards}",
        "-device", "virtio-net-pci,netdev=net",
        "-device", "virtio-rng-pci",
        "-smbios", f"type=11,path={plan.paths.smbios}",
        "-chardev", f"file,id=console,path={plan.paths.console},append=on",
        "-serial", "chardev:console",
        "-qmp", f"unix:{plan.paths.monitor},server=on,wait=off",
    ]  # fmt: skip


def probe_argv(image: ImagePaths) -> list[str]:
    """A virtual machine without a disk that only has to show that KVM runs the kernel."""
    return [
        BINARY,
        *_BARE,
        *_KVM,
        "-m", "512",
        "-kernel", str(image.kernel),
        "-initrd", str(image.initrd),
        "-append", "console=ttyS0 panic=-1",
        "-serial", "stdio",
        "-no-reboot",
    ]  # fmt: skip


def overlay_argv(image: ImagePaths, paths: MachinePaths) -> list[str]:
    """The machine's own disk: what it writes, over the image."""
    return ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image.disk), str(paths.disk)]


def smbios_credential(tmpfiles: str) -> str:
    """The identity as systemd reads it from the firmware's tables."""
    return "io.systemd.credential.binary:tmpfiles.extra=" + base64.b64encode(tmpfiles.encode()).decode()


def pick_port(key: str, taken: Container[int], is_free: Callable[[int], bool]) -> int:
    """The first of two free ports, beginning where the key points."""
    start = int(hashlib.sha256(key.encode()).hexdigest(), 16) % PORT_PAIRS
    for step in range(PORT_PAIRS):
        port = FIRST_PORT + 2 * ((start + step) % PORT_PAIRS)
        if port not in taken and is_free(port) and is_free(port + 1):
            return port
    raise MachineError(f"No two free ports are left from {FIRST_PORT} on: remove machines.")
