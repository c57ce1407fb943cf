# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine: its own kernel, closed, reboots under the same address, and gone without a trace."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine, Project


@pytest.fixture(scope="module")
def machine(project: Project) -> Machine:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86 is not installed")
    return project.create(name="vm", backend="qemu", image="debian12")


def test_it_has_a_kernel_of_its_own(machine: Machine):
    assert machine.system_state == "running"
    assert machine.out("uname -r") != platform.release()
    assert machine.out("cat /sys/fs/cgroup/cgroup.controllers; id -un; sudo -n id -un").split()[-2:] == ["ops", "root"]


def test_the_host_reaches_its_web_server(machine: Machine):
    machine.out("sudo systemctl start nginx")
    with urllib.request.urlopen(machine.http, timeout=60) as answer:
        assert answer.status == 200


def test_it_has_no_way_out(machine: Machine):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        assert machine.run(f"timeout 10 bash -c '</dev/tcp/10.0.2.2/{port}'").returncode != 0


def test_limits_are_enforced(machine: Machine):
    unit = "sudo systemd-run --quiet --pipe --wait"
    allocate = "python3 -c 'len(bytearray(100_000_000))'"
    assert machine.run(f"{unit} {allocate}").returncode == 0, "the control"
    assert machine.run(f"{unit} -p MemoryMax=30M -p MemorySwapMax=0 {allocate}").returncode != 0


def test_it_reboots_under_the_same_address(machine: Machine):
    boot_id = "cat /proc/sys/kernel/random/boot_id"
    before = machine.out(f"echo kept | sudo tee /etc/kept >&2; sync; {boot_id}")
    machine.run("sudo systemctl reboot")
    after = before
    while after in (before, ""):
        time.sleep(0.5)
        try:
            after = machine.run(boot_id).stdout.strip()
        except subprocess.TimeoutExpired:
            continue
    assert machine.out("cat /etc/kept; systemctl is-system-running --wait").split() == ["kept", "running"]


def test_it_leaves_nothing(project: Project, machine: Machine):
    assert project.module(name=machine.name, state="absent")["changed"]
    assert project.traces() == []
