# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start an nspawn machine on this host."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from . import cgroups, claims, host, processes
from .errors import MachineError
from .identity import SSH_PORT
from .names import Link, pick_link
from .nspawn import Mount, Plan, launch_script, network_commands, own_cgroups

if TYPE_CHECKING:
    from .paths import ImagePaths, MachinePaths
    from .state import State

# Networks are shared by everybody on this host, whatever cache their machines live in.
LINKS = Path("/run/containerless/links")
NAMESPACE_SECONDS = 10


def require_tools() -> None:
    """What has to be installed."""
    host.require(["systemd-nspawn", "ip", "sysctl", "unshare", "ssh", "ssh-keygen"])


def plan(draft: State, paths: MachinePaths) -> State:
    """Give the machine its network and cgroups, on paper."""
    index = claims.claim(
        LINKS, paths.root, lambda taken: pick_link(f"{draft.project}/{draft.name}", taken, _routes()).index
    )
    link = Link(index)
    groups: tuple[str, ...] = ()
    if not host.is_booted():
        mounts, membership = Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text()
        groups = own_cgroups(mounts, membership, f"machine-{link.interface}")
    return replace(
        draft,
        host=link.address,
        port=SSH_PORT,
        http=f"http://{link.address}",
        interface=link.interface,
        link=link.index,
        cgroups=groups,
    )


def start(state: State, paths: MachinePaths, image: ImagePaths, mounts: tuple[Mount, ...] = ()) -> None:
    """Boot the machine, with file systems of its own at some places; it outlives this process."""
    link = Link(state.link)
    for folder in (paths.upper, paths.work, paths.rootfs):
        folder.mkdir(exist_ok=True)
    plan = Plan(state.name, link, image, paths, state.cgroups, host.is_booted(), mounts)
    paths.launch.write_text(launch_script(plan))
    cgroups.make(state.cgroups)
    _remove_interface(link.interface)  # of the boot before: it may take longer to go than its machine
    machine = processes.start(["sh", str(paths.launch)], paths.root, paths.console, stdin=subprocess.PIPE)
    with cast("IO[bytes]", machine.stdin) as ready:
        _wait_for_namespace(machine, paths)
        for command in network_commands(link, machine.pid):
            host.run(command)
        ready.write(b"ready\n")


def release(paths: MachinePaths) -> None:
    """Give back the machine's network, as far as it ever got one."""
    for index in claims.release(LINKS, paths.root):
        _remove_interface(Link(index).interface)


def _routes() -> list[str]:
    return [route["dst"] for route in json.loads(host.run(["ip", "-json", "-4", "route", "show", "table", "all"]))]


def _remove_interface(interface: str) -> None:
    """The interface goes with its machine; the kernel may only need a moment for that."""
    if Path("/sys/class/net", interface).exists():
        subprocess.run(["ip", "link", "delete", interface], capture_output=True, check=False, env=host.with_path(None))


def _wait_for_namespace(machine: subprocess.Popen[bytes], paths: MachinePaths) -> None:
    ours = Path("/proc/self/ns/net").readlink()
    limit = time.monotonic() + NAMESPACE_SECONDS
    while time.monotonic() < limit and machine.poll() is None:
        try:
            if Path(f"/proc/{machine.pid}/ns/net").readlink() != ours:
                return
        except OSError:
            pass
        time.sleep(0.005)
    words = paths.console.read_text().strip().splitlines()
    raise MachineError(f"The machine's namespaces could not be made: {words[-1] if words else 'no message'}")
