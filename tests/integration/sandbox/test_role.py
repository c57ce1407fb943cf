# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role app_sandbox alone, over a unit that already stands on the host."""

from __future__ import annotations

import json
import subprocess
import typing as t
from pathlib import Path

import pytest
from conftest import HERE, SERVERS, SOCKET, STATE, TREE, Machine

UNIT = "theirs.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/50-sandbox.conf"
OPTIONS = {
    "app_sandbox_unit": UNIT,
    "app_sandbox_tree": TREE,
    "app_sandbox_state_directory": STATE.removeprefix("/var/lib/"),
    "app_sandbox_notify": True,
}
Play = t.Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def play(machine: Machine, tmp_path: Path) -> t.Iterator[Play]:
    """Run the role on the machine, where the other team's unit stands."""
    _, command = SERVERS["gunicorn"]
    service = f"[Service]\nType=notify\nUser=cl-shop\nWorkingDirectory={TREE}/app\nExecStart={command}\n"
    machine.write("/run/systemd/system/theirs.socket", f"[Socket]\nListenStream={SOCKET}\n")
    machine.write(f"/run/systemd/system/{UNIT}", service)
    machine.run("systemctl daemon-reload")
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": {machine.image: machine.hostvars}}}))

    def run(*options: str, **variables: object) -> subprocess.CompletedProcess[str]:
        extra = json.dumps(OPTIONS | variables)
        argv = ["ansible-playbook", "-i", str(inventory), str(HERE / "role.yml"), "-e", extra, *options]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    yield run
    machine.run(f"systemctl stop theirs.socket {UNIT}; rm -rf {Path(DROP_IN).parent}; systemctl daemon-reload")


def text(machine: Machine) -> str:
    return machine.run(f"cat {DROP_IN}", check=False).stdout


def test_a_unit_is_confined_and_restarted_once(machine: Machine, play: Play):
    machine.run(f"systemctl start theirs.socket {UNIT}")
    before = machine.run(f"systemctl show --property=MainPID {UNIT}").stdout
    first = play(app_sandbox_restart=True)
    assert first.returncode == 0, first.stdout + first.stderr
    confined = machine.run(f"systemctl show --property=MainPID {UNIT}").stdout
    assert confined != before
    assert machine.get("/sqlite/")["mode"] == "wal"
    machine.run(f"systemd-analyze security --threshold=3 {UNIT}")
    second = play(app_sandbox_restart=True)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "changed=0" in second.stdout
    assert machine.run(f"systemctl show --property=MainPID {UNIT}").stdout == confined


def test_media_are_read_by_their_group_and_the_database_beside_them_is_not(machine: Machine, play: Play):
    machine.run(f"systemctl start theirs.socket {UNIT}")
    told = play(app_sandbox_media_group="www-data", app_sandbox_media_dirs=["photos"], app_sandbox_restart=True)
    assert told.returncode == 0, told.stdout + told.stderr
    assert machine.run(f"stat -c '%a %U %G' {STATE}/photos").stdout.split() == ["2750", "cl-shop", "www-data"]
    assert machine.get("/sqlite/")["mode"] == "wal"  # written by the unit after it
    machine.run(f"runuser -u cl-shop -- sh -c 'umask 0027; mkdir -p {STATE}/photos/a; echo hello > {STATE}/photos/a/b'")
    as_proxy = "cd /; runuser -u www-data --"
    assert machine.run(f"{as_proxy} cat {STATE}/photos/a/b").stdout == "hello\n"
    for attempt in (f"cat {STATE}/db.sqlite3", f"ls {STATE}", f"touch {STATE}/photos/new"):
        assert "Permission denied" in machine.run(f"{as_proxy} {attempt}", check=False).stderr
    again = play(app_sandbox_media_group="www-data", app_sandbox_media_dirs=["photos"], app_sandbox_restart=True)
    assert "changed=0" in again.stdout
    machine.run(f"rm -rf {STATE}/photos /etc/tmpfiles.d/containerless-{UNIT}.conf")


def test_check_mode_changes_nothing(machine: Machine, play: Play):
    planned = play("--check", "--diff")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert text(machine) == ""


def test_above_the_limit_everything_stays_as_it_was(machine: Machine, play: Play):
    refused = play(app_sandbox_max_exposure="0.1")
    assert refused.returncode != 0
    assert "which is as it was before" in refused.stdout
    assert "DeviceAllow=" in refused.stdout
    assert text(machine) == ""
    assert play().returncode == 0
    accepted = text(machine)
    assert "TasksMax=256" in accepted
    assert play(app_sandbox_max_exposure="0.1", app_sandbox_tasks_max=64).returncode != 0
    assert text(machine) == accepted
    assert machine.run(f"ls {Path(DROP_IN).parent}").stdout.split() == ["50-sandbox.conf"]


def test_a_host_that_does_not_hold_it_stays_as_it_was_unless_a_reason_is_given(machine: Machine, play: Play):
    """Machines of this kind may lack limits: they say so themselves. What they hold needs no excuse."""
    lacking = [item["directive"] for item in machine.hostvars["app_machine_facts"]["unenforced"]]
    refused = play(app_sandbox_unenforced=[])
    assert (refused.returncode != 0) is bool(lacking)
    if lacking:
        assert all(f"{directive}: " in refused.stdout for directive in lacking)
        assert "name the directives with a reason in app_sandbox_opt_out" in " ".join(refused.stdout.split())
        assert text(machine) == ""
    opted = [{"directive": directive, "reason": "no controller here"} for directive in lacking]
    accepted = play(app_sandbox_unenforced=[], app_sandbox_opt_out=opted)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert text(machine).count(": no controller here\n") == len(lacking)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"app_sandbox_unit": "no-such.service"}, "not a unit of this host"),
        ({"app_sandbox_user": "somebody"}, "runs as cl-shop"),
        ({"app_sandbox_notify": False}, "set app_sandbox_notify to true"),
        ({"app_sandbox_tree": "/home/ops/shop"}, "app_sandbox_tree"),
        ({"app_sandbox_state_directory": "/var/lib/shop"}, "relative to /var/lib"),
        ({"app_sandbox_bind_read_only": ["/run/a b"]}, "app_sandbox_bind_read_only"),
        ({"app_sandbox_bind_read_only": ["/run/../etc"]}, "app_sandbox_bind_read_only"),
        ({"app_sandbox_max_exposure": "low"}, "app_sandbox_max_exposure"),
        ({"app_sandbox_memory_max": "much"}, "app_sandbox_memory_max"),
        ({"app_sandbox_profile": "loose"}, "app_sandbox_profile"),
        ({"app_sandbox_opt_out": [{"directive": "PrivateTmp"}]}, "missing required arguments: reason"),
        ({"app_sandbox_opt_out": [{"directive": "Private", "reason": "x"}]}, "app_sandbox_opt_out names 'Private'"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(
    machine: Machine, play: Play, change: dict[str, t.Any], sentence: str
):
    refused = play(**change)
    assert refused.returncode != 0
    assert sentence in " ".join(refused.stdout.split())
    assert text(machine) == ""
