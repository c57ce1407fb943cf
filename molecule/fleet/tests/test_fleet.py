# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three hosts, one verdict. The tests are one story, in this order; it begins with a good release of v1 on all."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.containerless.django.tests.rig import Host, Load, Rig
from ansible_collections.containerless.django.tests.rig.core import ENV
from ansible_collections.containerless.django.tests.rig.plays import command

sys.path.insert(0, str(Path(__file__).parents[2] / "shared/testinfra"))

from rigged import *  # noqa: F403
from rigged import live, said, states, status

#: Where the socket of the one database stands on every host.
SOCKETS = "/run/rigdb"
SOCKET = f"{SOCKETS}/.s.PGSQL.5432"
SHARED = {"RIG_DATABASE": f"postgresql://rig@/rig?host={SOCKETS}"}


def releases(rig: Rig) -> list[str]:
    return [live(host)[0] for host in rig.hosts]


def migrating(output: str, migration: str) -> set[str]:
    """Return the hosts whose results say that they did a migration."""
    parts = re.split(r"^(?:ok|changed): \[(\S+)\] => ", output, flags=re.MULTILINE)
    return {host for host, told in zip(parts[1::2], parts[2::2], strict=True) if f"- {migration}\n" in told}


@pytest.fixture(name="database", scope="session")
def fixture_database(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """Start PostgreSQL on the first host and bring its socket to all of them through SSH; yield the options for it."""
    first = rig.hosts[0]
    first.sh("sed -i '1i local rig rig trust' /etc/postgresql/*/main/pg_hba.conf; systemctl start postgresql")
    first.sh("systemctl restart postgresql; runuser -u postgres -- createuser rig")
    first.sh("runuser -u postgres -- createdb --owner rig rig")
    here = tmp_path_factory.mktemp("db") / "socket"
    forwards = [_forward(first, "-L", f"{here}:/run/postgresql/.s.PGSQL.5432")]
    try:
        _wait_for(here)
        for host in rig.hosts:
            host.sh(f"install -d -o $SUDO_USER -m 0755 {SOCKETS}")
            forwards.append(_forward(host, "-R", f"{SOCKET}:{here}"))
        for host in rig.hosts:
            # The app's user has to open what sshd makes for ours.
            host.sh(f"until [ -S {SOCKET} ]; do sleep 0.1; done; chmod 0666 {SOCKET}", timeout=30)
        yield {"env": SHARED, "app_sandbox_bind_read_only": [SOCKETS]}
    finally:
        for forward in forwards:
            forward.terminate()
            forward.wait()


def _forward(host: Host, way: str, what: str) -> subprocess.Popen[bytes]:
    """Forward a socket over a connection of its own: the master of Ansible's belongs to others."""
    *options, address = host.ssh
    return subprocess.Popen([*options, "-o", "ControlPath=none", "-N", way, what, address], stdin=subprocess.DEVNULL)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.1)


def test_timers_run_on_the_first_host_alone(rig: Rig) -> None:
    assert [status(host)["timers"] for host in rig.hosts] == [True, False, False]
    assert [any("timer" in name for name in status(host)["processes"]) for host in rig.hosts] == [True, True, True]
    active = [host.sh("systemctl list-timers --no-legend 'containerless-rig-timer.*'").stdout for host in rig.hosts]
    assert [bool(text.strip()) for text in active] == [True, False, False]


def test_a_host_that_cannot_take_it_leaves_all_of_them_as_they_were(rig: Rig) -> None:
    before = releases(rig)
    fault = {"RIG_COLOUR": "red", "RIG_FAULT": "{{ 'health500' if inventory_hostname == 'fleet3' else '' }}"}
    with Load(rig.hosts[0].address, rate=20) as load:
        played = rig.release("v2", env=fault, app_release_health_timeout=3)
    assert played.rc != 0
    assert "fleet3" in said(played)
    assert "answered 500" in said(played)
    assert releases(rig) == before
    assert load.failed() == []
    # The first host had it before traffic already; the third one never.
    assert [list(states(host).values())[-1] for host in rig.hosts] == ["rolled_back", "rolled_back", "failed"]


def test_a_host_that_no_longer_answers_is_no_reason_to_keep_two_releases(rig: Rig) -> None:
    before = releases(rig)
    away = rig.hosts[2]
    cut = threading.Thread(target=_cut_off, args=(away, rig.hosts[0]))
    cut.start()
    try:
        played = rig.release("v2", env={"RIG_COLOUR": "grey"}, app_release_watch=2)
    finally:
        cut.join()
        _wait_for_ssh(away)
    assert played.rc != 0
    assert "it did not say that it is live" in said(played)
    assert [live(host)[0] for host in rig.hosts[:2]] == before[:2]
    assert live(away)[0] == before[2]


def _cut_off(away: Host, first: Host) -> None:
    """Have nobody get to a host for a while, from when the first host goes live: the machine itself goes on."""
    goes = "containerless status rig | grep -qE 'at step (migrate|start|health)'"
    first.sh(f"for each in $(seq 300); do {goes} && exit; sleep 0.2; done; exit 1", timeout=120)
    away.sh(
        "systemd-run --quiet --unit=cut sh -c 'systemctl stop ssh; pkill sshd; sleep 25; systemctl start ssh'",
        check=False,
    )


def _wait_for_ssh(host: Host) -> None:
    deadline = time.monotonic() + 60
    while host.sh("true", check=False, timeout=30).returncode:
        assert time.monotonic() < deadline, f"{host.name} does not come back"
        time.sleep(1)


def test_the_next_run_brings_all_of_them_together(rig: Rig) -> None:
    rig.release("v2", env={"RIG_COLOUR": "green"}).check()
    assert len(set(releases(rig))) == 1
    assert all(status(host)["under_way"] is None for host in rig.hosts)


def test_migrations_of_one_database_run_once(rig: Rig, database: dict[str, object]) -> None:
    played = rig.release("v1", "-v", **database).check()  # type: ignore[arg-type]
    assert len(migrating(played.output, "rig.0001_initial")) == 1
    played = rig.release("v2", "-v", **database).check()  # type: ignore[arg-type]
    assert len(migrating(played.output, "rig.0002_note")) == 1
    assert len(set(releases(rig))) == 1


def test_a_migration_in_maintenance_meets_no_old_code_on_any_host(rig: Rig, database: dict[str, object]) -> None:
    refused = rig.release("v4", **database)  # type: ignore[arg-type]
    assert refused.rc != 0
    assert "0003" in said(refused)
    with Load(rig.hosts[2].address, rate=10) as load:
        played = rig.release("v4", "-v", app_release_migrations="maintenance", **database).check()  # type: ignore[arg-type]
    assert len(migrating(played.output, "rig.0003_no_note")) == 1
    assert len(set(releases(rig))) == 1
    assert load.failed() == []


def test_a_run_that_nobody_ends_goes_back_on_every_host(rig: Rig, database: dict[str, object]) -> None:
    before = releases(rig)
    extra = {
        "app_release_channel": "v4",
        "app_release_env": {**ENV, **SHARED, "RIG_COLOUR": "orphan"},
        "app_release_watch": 1,
        "app_release_confirm_timeout": 6,
        "app_sandbox_bind_read_only": database["app_sandbox_bind_read_only"],
    }
    argv = command("containerless.django.release", rig.inventory, extra)
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True) as run:
        deadline = time.monotonic() + 90
        while live(rig.hosts[1])[0] == before[1]:
            assert time.monotonic() < deadline, "the second host never went live"
            time.sleep(0.2)
        run.kill()
    deadline = time.monotonic() + 60
    while any(status(host)["under_way"] for host in rig.hosts) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert releases(rig) == before
