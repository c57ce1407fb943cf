# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine.names import Link
from ansible_collections.containerless.django.plugins.module_utils._machine.nspawn import (
    Mount,
    Plan,
    launch_script,
    network_commands,
    nspawn_argv,
    own_cgroups,
)
from ansible_collections.containerless.django.plugins.module_utils._machine.paths import Cache

CACHE = Cache(Path("/c"))
PLAN = Plan("web", Link(3), CACHE.image("debian12-0"), CACHE.machine("p", "web"), ("/sys/fs/cgroup/machine-clm0003",))

HYBRID_MOUNTS = """\
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""
HYBRID_MEMBERSHIP = "4:memory:/job\n9:name=systemd:/\n0::/mine\n"


@pytest.mark.parametrize(
    "option",
    [
        # Without these two the kernel ignores IPAddressDeny= in silence.
        "--system-call-filter=bpf",
        "--capability=all",
        "--network-namespace-path=/proc/self/ns/net",
        "--register=no",
        "--keep-unit",
    ],
)
def test_what_a_container_must_be_told(option: str) -> None:
    assert option in nspawn_argv(PLAN)


def test_the_script_is_shell() -> None:
    subprocess.run(["sh", "-n"], input=launch_script(PLAN), text=True, check=True)


def test_the_script_waits_for_its_network_before_it_boots() -> None:
    lines = launch_script(PLAN).splitlines()
    waits, boots = lines.index("read -r _"), next(i for i, line in enumerate(lines) if "systemd-nspawn" in line)
    assert waits < boots
    assert "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1" in lines[boots]
    assert lines[boots].endswith("</dev/null")


def test_file_systems_of_its_own_are_mounted_over_the_root_before_the_boot() -> None:
    script = launch_script(dataclasses.replace(PLAN, mounts=(Mount(Path("/c/small disk"), "/srv"),)))
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    lines = script.splitlines()
    mount = lines.index("mount -o loop '/c/small disk' /c/projects/p/web/rootfs/srv")
    root = next(i for i, line in enumerate(lines) if line.startswith("mount -t overlay"))
    assert root < mount < lines.index("read -r _")
    assert "loop" not in launch_script(PLAN)


def test_without_systemd_the_machine_joins_its_own_cgroups() -> None:
    assert "echo $$ > /sys/fs/cgroup/machine-clm0003/cgroup.procs" in launch_script(PLAN)
    assert "systemd-run" not in launch_script(PLAN)


def test_with_systemd_it_asks_for_a_delegated_scope() -> None:
    script = launch_script(dataclasses.replace(PLAN, cgroups=(), booted=True))
    assert "exec systemd-run --scope --quiet --property=Delegate=yes --unit=machine-clm0003 unshare" in script
    assert "cgroup.procs" not in script


def test_nothing_that_arrives_from_a_machine_is_passed_on_before_its_interface_is_up() -> None:
    commands = [" ".join(command) for command in network_commands(Link(3), 42)]
    assert commands[0].endswith("peer name host0 netns 42")
    assert commands.index("sysctl --quiet --write net.ipv4.conf.clm0003.forwarding=0") < commands.index(
        "ip link set clm0003 up"
    )


@pytest.mark.parametrize(
    ("mounts", "membership", "expected"),
    [
        (HYBRID_MOUNTS, HYBRID_MEMBERSHIP, ("/sys/fs/cgroup/systemd/m", "/sys/fs/cgroup/unified/mine/m")),
        ("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "0::/\n", ("/sys/fs/cgroup/m",)),
        ("proc /proc proc rw 0 0\n", "0::/\n", ()),
    ],
)
def test_own_cgroups(mounts: str, membership: str, expected: tuple[str, ...]) -> None:
    assert own_cgroups(mounts, membership, "m") == expected
