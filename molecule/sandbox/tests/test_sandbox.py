# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the app's own unit lets through: named peers over TCP, and nothing else. Each test leaves a good release."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.containerless.django.tests.escape import Suite, escaped, void
from ansible_collections.containerless.django.tests.rig import APP, Host, Rig

sys.path.insert(0, str(Path(__file__).parents[2] / "shared/testinfra"))

from rigged import *  # noqa: F403
from rigged import live, said, status

PEERS = ["db.internal:5432", "redis.internal:6379"]
DATABASE = f"postgresql://cl-{APP}:only-for-tests@db.internal:5432/{APP}"
#: Sockets of that family are there for the peers; in a network with nothing else in it.
WITH_PEERS = ["socket: AF_INET, UDP", "tcp: listen"]
ASK = """
import errno, json, os, socket

def tcp(name, port, say=b""):
    try:
        with socket.create_connection((name, port), 5) as peer:
            peer.sendall(say)
            return peer.recv(20).decode() if say else "connected"
    except OSError as exc:
        return errno.errorcode.get(exc.errno, repr(exc))

places = [("127.0.0.1", 22), ("127.0.0.1", 5432), ("127.0.0.1", 6379), ("127.0.0.2", 22), ("192.0.2.1", 80)]
places += [("169.254.169.254", 80), ("127.0.0.53", 53)]
print(json.dumps({
    "redis": tcp("redis.internal", 6379, b"PING\\r\\n"),
    "others": {f"{name}:{port}": tcp(name, port) for name, port in places},
    "network": os.readlink("/proc/self/ns/net"),
    "tmp": os.listdir("/tmp"),
}))
"""


@pytest.fixture(scope="module")
def suite(machine: Host) -> Suite:
    return Suite(machine)


def from_inside(machine: Host) -> dict[str, object]:
    """Ask as an operator's command does, which is in the app's own network too."""
    answer = machine.sh(f"containerless manage {APP} -- shell -c {shlex.quote(ASK)}").stdout
    return dict(json.loads(answer.splitlines()[-1]))


def network(machine: Host, process: str) -> str:
    unit = f"containerless-{APP}-{process}@{live(machine)[1]}.service"
    return machine.sh(f"readlink /proc/$(systemctl show --property=MainPID --value {unit})/ns/net").stdout.strip()


def test_no_attempt_gets_out_of_the_app_s_own_unit(suite: Suite) -> None:
    inside = suite.inside()
    assert escaped(inside) == WITH_PEERS
    assert len(inside) >= 75
    assert void(inside, suite.outside(f"cl-{APP}"), suite.outside("root")) == []


def test_what_gets_through_to_the_kernel_is_little(suite: Suite) -> None:
    seen = suite.census()
    assert len(seen["calls"]) <= 235
    assert seen["families"] == [1, 2]


def test_named_peers_answer_by_their_names_and_nobody_else_does(machine: Host) -> None:
    machine.sh("touch /tmp/of-the-host")
    seen = from_inside(machine)
    assert seen["redis"] == "+PONG\r\n"
    assert set(seen["others"].values()) <= {"ECONNREFUSED", "ENETUNREACH"}
    assert seen["tmp"] == []
    # Outside they do: else the refusals would prove nothing.
    outside = json.loads(machine.sh(f"python3 -c {shlex.quote(ASK)}").stdout)
    answering = {f"127.0.0.1:{port}": "connected" for port in (22, 5432, 6379)}
    assert {place: outside["others"][place] for place in answering} == answering
    assert "of-the-host" in outside["tmp"]


def test_all_processes_share_one_network_that_is_not_the_host_s(machine: Host) -> None:
    own = {network(machine, process) for process in ("web", "worker", "beat")} | {from_inside(machine)["network"]}
    assert len(own) == 1
    assert own != {machine.sh("readlink /proc/1/ns/net").stdout.strip()}


def test_the_exposure_is_that_of_loopback_alone(machine: Host) -> None:
    unit = f"containerless-{APP}-web@{live(machine)[1]}.service"
    machine.sh(f"systemd-analyze security --threshold=6 {unit}")


def test_what_has_no_network_does_not_run(rig: Rig, machine: Host) -> None:
    """A stopped namespace would silently be another one."""
    number = live(machine)[1]
    machine.sh(f"systemctl stop containerless-{APP}-egress.net@{number}.service")
    assert not status(machine)["running"]
    assert machine.sh(f"systemctl is-active containerless-{APP}-web@{number}.service", check=False).returncode != 0
    rig.release("v1", app_sandbox_egress=PEERS).check()
    assert status(machine)["running"]


def test_the_database_is_reached_over_tcp_and_two_releases_overlap(rig: Rig, machine: Host) -> None:
    machine.postgresql()
    machine.sh(f'cd /; runuser -u postgres -- psql -qc "alter role \\"cl-{APP}\\" password \'only-for-tests\'"')
    played = rig.release("v1", env={"RIG_DATABASE": DATABASE}, app_sandbox_egress=PEERS).check()
    assert "does not let through" not in said(played)
    assert machine.sh("cd /; runuser -u postgres -- psql -Atc '\\dt rig_*' rig").stdout
    before = live(machine)[1]
    rig.release("v1", env={"RIG_DATABASE": DATABASE, "RIG_COLOUR": "red"}, app_sandbox_egress=PEERS).check()
    assert live(machine)[1] == before + 1
    until = time.monotonic() + 20
    while f"@{before}." in (left := machine.sh("ls /run/systemd/system").stdout) and time.monotonic() < until:
        time.sleep(0.5)
    assert f"egress.net@{before}." not in left
    assert f"egress.net@{before + 1}." in left


def test_a_peer_that_is_not_named_is_told(rig: Rig, machine: Host) -> None:
    refused = rig.release("v1", env={"RIG_DATABASE": DATABASE}, app_release_health_timeout=5)
    assert refused.rc != 0
    assert "names db.internal:5432, which the sandbox does not let through (app_sandbox_egress)" in said(refused)
    assert status(machine)["running"]


def test_an_opt_out_stands_in_the_unit_and_in_the_status(rig: Rig, machine: Host) -> None:
    item = {"directive": "MemoryDenyWriteExecute", "reason": "callbacks of old cffi in pycares"}
    rig.release("v1", app_sandbox_opt_out=[item]).check()
    unit = f"containerless-{APP}-web@{live(machine)[1]}.service"
    text = machine.sh(f"cat /run/systemd/system/{unit}.d/50-sandbox.conf").stdout
    assert text.endswith("# MemoryDenyWriteExecute: callbacks of old cffi in pycares\nMemoryDenyWriteExecute=no\n")
    assert "opted out of MemoryDenyWriteExecute: callbacks" in machine.sh(f"containerless status {APP}").stdout
    assert machine.sh(f"systemctl show -p MemoryDenyWriteExecute --value {unit}").stdout.strip() == "no"


def test_a_host_that_does_not_hold_what_is_asked_for_is_refused_with_the_list(rig: Rig, machine: Host) -> None:
    lacking = [item["directive"] for item in machine.variables["app_machine_facts"]["unenforced"]]
    if not lacking:
        pytest.skip("this machine holds everything")
    before = live(machine)
    refused = rig.release("v1", app_sandbox_unenforced=[])
    assert refused.rc != 0
    assert all(f"{directive} (" in said(refused) for directive in lacking)
    assert live(machine) == before
