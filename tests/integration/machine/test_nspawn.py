# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines in containers: made at once, reachable, closed, and gone without a trace."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import time
import typing as t
import urllib.request

import pytest
from conftest import Machine, Project, kernel_traces

IMAGES = {"debian12": ("bookworm", "Python 3.11"), "debian13": ("trixie", "Python 3.13")}


def created_at_once(project: Project) -> dict[str, Machine]:
    running = {image: project.popen(name=image, image=image, backend="nspawn") for image in IMAGES}
    facts = {image: project.finish(process) for image, process in running.items()}
    assert all(each["changed"] for each in facts.values()), facts
    return {image: Machine(each) for image, each in facts.items()}


@pytest.fixture(scope="module")
def machines(project: Project) -> dict[str, Machine]:
    return created_at_once(project)


@pytest.fixture(params=IMAGES)
def machine(request: pytest.FixtureRequest, machines: dict[str, Machine]) -> Machine:
    return machines[request.param]


@pytest.fixture
def listener() -> t.Iterator[int]:
    """A port that answers on every address of this host."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


def test_it_runs_what_was_asked_for(machine: Machine):
    codename, python = IMAGES[machine.image]
    assert machine.out(". /etc/os-release; echo $VERSION_CODENAME") == codename
    assert machine.out("python3 --version").startswith(python)
    assert machine.out("hostname") == machine.name


def test_systemd_started_everything(machine: Machine):
    assert machine.system_state == "running"
    assert machine.out("systemctl is-system-running") == "running"


def test_services_that_tests_start_themselves_are_not_running(machine: Machine):
    states = machine.run("systemctl is-active nginx postgresql redis-server").stdout.split()
    assert states == ["inactive"] * 3


def test_the_user_has_sudo(machine: Machine):
    assert machine.out("id -un; sudo -n id -un") == "ops\nroot"


def test_root_may_not_log_in(machine: Machine):
    machine.out("sudo install -D -m 0600 ~/.ssh/authorized_keys /root/.ssh/authorized_keys")
    refused = machine.run("true", user="root")
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr


def test_machines_have_keys_of_their_own(machines: dict[str, Machine]):
    keys = [machine.out("cat /etc/ssh/ssh_host_*_key.pub /etc/machine-id") for machine in machines.values()]
    assert len(set(keys)) == len(keys)


def test_the_host_reaches_its_web_server(machine: Machine):
    machine.out("sudo systemctl start nginx")
    with urllib.request.urlopen(machine.http, timeout=10) as answer:
        assert answer.status == 200


def test_it_has_no_way_out(machine: Machine, machines: dict[str, Machine], listener: int):
    probe = "timeout 3 bash -c '</dev/tcp/{}/{}'"
    near = {each.host: str(ipaddress.IPv4Address(each.host) - 1) for each in machines.values()}
    assert machine.run(probe.format(near[machine.host], listener)).returncode == 0, (
        "the control: the host's end answers"
    )
    # Even when both want to: the host passes nothing on.
    for each in machines.values():
        each.out(f"sudo ip route replace default via {near[each.host]}")
    try:
        others = [other for other in near if other != machine.host]
        assert all(machine.run(probe.format(other, 22)).returncode != 0 for other in others)
    finally:
        for each in machines.values():
            each.out("sudo ip route delete default")


def test_sandboxes_work_in_it(machine: Machine):
    limits = "DynamicUser=yes PrivateNetwork=yes PrivateUsers=yes ProtectSystem=strict SystemCallFilter=@system-service"
    unit = "sudo systemd-run --quiet --pipe --wait " + " ".join(f"-p {limit}" for limit in limits.split())
    assert machine.out(f"{unit} tail -n +3 /proc/net/dev").split(":")[0].strip() == "lo"
    assert len(machine.out("tail -n +3 /proc/net/dev").splitlines()) == 2, "the control"
    assert machine.run(f"{unit} touch /etc/mine").returncode != 0
    assert machine.run(f"{unit} mount -t tmpfs tmpfs /mnt").returncode != 0
    secret = "sudo systemd-run --quiet --pipe --wait -p LoadCredential=name:/etc/hostname"
    assert machine.out(f"{secret} sh -c 'cat $CREDENTIALS_DIRECTORY/name'") == machine.name


def test_ip_filters_are_enforced(machine: Machine):
    unit = "sudo systemd-run --quiet --pipe --wait"
    probe = f"timeout 3 bash -c '</dev/tcp/{machine.host}/22'"
    assert machine.run(f"{unit} {probe}").returncode == 0, "the control"
    assert machine.run(f"{unit} -p IPAddressDeny=any {probe}").returncode != 0


def test_a_second_present_changes_nothing(project: Project, machine: Machine):
    for check in (True, False):
        again = project.module(check=check, name=machine.name, image=machine.image)
        assert (again["changed"], again["pid"], again["host"]) == (False, machine.pid, machine.host)


def test_another_image_for_the_same_name_is_refused(project: Project, machines: dict[str, Machine]):
    answer = project.module(name="debian12", image="debian13")
    assert "remove it first" in answer["msg"]
    assert machines["debian12"].out("true") == ""


def test_check_mode_makes_nothing(project: Project):
    assert project.module(check=True, name="never", backend="nspawn")["changed"]
    assert not project.folder("never").exists()


def test_an_ended_machine_comes_back_with_its_disk_and_address(project: Project):
    machine = project.create(name="ended", backend="nspawn")
    machine.out("echo kept | sudo tee /etc/kept")
    os.kill(machine.pid, signal.SIGKILL)
    again = project.create(name="ended", backend="nspawn")
    assert again.host == machine.host
    assert again.pid != machine.pid
    assert again.out("cat /etc/kept") == "kept"
    assert project.module(name="ended", state="absent")["changed"]


def test_a_destroyed_machine_leaves_nothing(project: Project):
    machine = project.create(name="gone", backend="nspawn")
    state = json.loads((project.folder("gone") / "state.json").read_text())
    machine.out("sudo systemctl start postgresql")
    assert len(kernel_traces(state)) > 1
    assert project.module(check=True, name="gone", state="absent")["changed"]
    assert project.module(name="gone", state="absent")["removed"] == ["gone"]
    assert kernel_traces(state) == []
    assert [trace for trace in project.traces() if "/gone" in trace] == []
    assert not project.module(name="gone", state="absent")["changed"]


def test_a_machine_that_does_not_answer_leaves_nothing(project: Project):
    answer = project.module(name="mute", backend="nspawn", timeout=0)
    assert "timeout: the machine did not answer" in answer["msg"]
    assert [trace for trace in project.traces() if "/mute" in trace] == []


@pytest.mark.parametrize("stage", ["state.json", "launch", "console.log", "upper/etc/ssh/ssh_host_ed25519_key"])
def test_a_creator_that_was_killed_leaves_nothing_that_absent_does_not_remove(project: Project, stage: str):
    creator = project.popen(name="half", backend="nspawn")
    while not (project.folder("half") / stage).exists():
        assert creator.poll() is None
        time.sleep(0.002)
    project.kill(creator)
    state = json.loads((project.folder("half") / "state.json").read_text())
    assert not state["made"], "killed too late to test anything"
    assert project.module(name="half", state="absent")["changed"]
    assert kernel_traces(state) == []
    assert [trace for trace in project.traces() if "/half" in trace] == []


def test_a_half_made_machine_is_made_anew(project: Project):
    creator = project.popen(name="again", backend="nspawn")
    while not (project.folder("again") / "launch").exists():
        time.sleep(0.002)
    project.kill(creator)
    machine = project.create(name="again", backend="nspawn")
    assert machine.out("systemctl is-system-running") == "running"


def test_a_star_removes_the_whole_project(project: Project, machines: dict[str, Machine]):
    removed = project.module(name="*", state="absent")["removed"]
    assert set(machines) <= set(removed)
    assert project.traces() == []
