# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine as a systemd-nspawn container in namespaces of its own, which end with its processes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .names import Link
    from .paths import ImagePaths, MachinePaths

GUEST_INTERFACE = "host0"

# The first half runs on the host, the second in the machine's namespaces.
# The line read from standard input says that the host's end of the network is there; end of file means that the
# creator died, and the machine with it.
_LAUNCH = """#!/bin/sh
set -eu
if [ "${{1-}}" != inside ]; then
{join}    exec {scope}unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc sh "$0" inside
fi
# A throwaway machine owes its disk nothing: volatile (Linux 5.10) waits for no sync, neither inside nor at the end.
# The kernel leaves a mark against mounting such an overlay again; a machine that is started again takes it away.
rm -rf {work}/work/incompat
layers=lowerdir={lower},upperdir={upper},workdir={work}
mount -t overlay overlay -o "$layers,volatile" {rootfs} || mount -t overlay overlay -o "$layers" {rootfs}
{mounts}mount -t tmpfs -o mode=0755 tmpfs /run
read -r _
ip address add {guest} dev {interface}
ip link set {interface} up
ip link set lo up
exec env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 {nspawn} </dev/null
"""


@dataclass(frozen=True)
class Mount:
    """A file system of its own in the machine: an image in a file of the host, at a path of the machine."""

    image: Path
    where: str


@dataclass(frozen=True)
class Plan:
    """What the launch script needs to know."""

    name: str
    link: Link
    image: ImagePaths
    paths: MachinePaths
    cgroups: tuple[str, ...] = ()
    booted: bool = False
    mounts: tuple[Mount, ...] = ()


def nspawn_argv(plan: Plan) -> list[str]:
    """The container: real systemd, all capabilities (else IP filters are silently not enforced), no way out."""
    return [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--console=pipe",
        f"--machine={plan.name}",
        f"--hostname={plan.name}",
        f"--directory={plan.paths.rootfs}",
        "--network-namespace-path=/proc/self/ns/net",
        "--system-call-filter=bpf",
        "--capability=all",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        f"--load-credential=tmpfiles.extra:{plan.paths.identity}",
    ]


def launch_script(plan: Plan) -> str:
    """The script that becomes the machine."""
    paths = plan.paths
    scope = ["systemd-run", "--scope", "--quiet", "--property=Delegate=yes", f"--unit=machine-{plan.link.interface}"]
    return _LAUNCH.format(
        join="".join(f"    echo $$ > {shlex.quote(group)}/cgroup.procs\n" for group in plan.cgroups),
        scope=shlex.join(scope) + " " if plan.booted else "",
        lower=shlex.quote(str(plan.image.rootfs)),
        upper=shlex.quote(str(paths.upper)),
        work=shlex.quote(str(paths.work)),
        rootfs=shlex.quote(str(paths.rootfs)),
        mounts="".join(_mount_line(mount, paths) for mount in plan.mounts),
        guest=plan.link.guest,
        interface=GUEST_INTERFACE,
        nspawn=shlex.join(nspawn_argv(plan)),
    )


def _mount_line(mount: Mount, paths: MachinePaths) -> str:
    """The loop device goes with the machine's own mounts."""
    where = shlex.quote(str(paths.rootfs / mount.where.lstrip("/")))
    return f"mkdir -p {where}\nmount -o loop {shlex.quote(str(mount.image))} {where}\n"


def network_commands(link: Link, pid: int) -> list[list[str]]:
    """Both ends of the machine's network; nothing that arrives from it is passed on."""
    interface = link.interface
    return [
        ["ip", "link", "add", interface, "type", "veth", "peer", "name", GUEST_INTERFACE, "netns", str(pid)],
        ["sysctl", "--quiet", "--write", f"net.ipv4.conf.{interface}.forwarding=0"],
        ["sysctl", "--quiet", "--write", f"net.ipv6.conf.{interface}.disable_ipv6=1"],
        ["ip", "address", "add", link.host, "dev", interface],
        ["ip", "link", "set", interface, "up"],
    ]


def own_cgroups(mounts: str, membership: str, leaf: str) -> tuple[str, ...]:
    """Where a machine gets a cgroup of its own when no systemd runs here to give it one.

    Two machines in one cgroup would share their tree of services. Only the hierarchies that systemd uses matter.
    """
    mine = {}
    for line in membership.splitlines():
        _number, hierarchy, path = line.split(":", 2)
        mine[hierarchy] = path
    groups = []
    for line in mounts.splitlines():
        _source, folder, kind, options = line.split()[:4]
        names = {"cgroup2": [""], "cgroup": options.split(",")}.get(kind, [])
        groups += [
            str(Path(folder) / mine[name].lstrip("/") / leaf)
            for name in names
            if name in mine and name in ("", "name=systemd")
        ]
    return tuple(groups)
