# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases while requests come in, and what one that changes little does not do. Each test leaves a good release."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ansible_collections.containerless.django.tests.benchmarks.peers import sessions
from ansible_collections.containerless.django.tests.rig import APP, Ask, Host, Load, Rig
from ansible_collections.containerless.django.tests.rig.core import ENV

sys.path.insert(0, str(Path(__file__).parents[2] / "shared/testinfra"))

from rigged import *  # noqa: F403
from rigged import SECRET, TREES, changed, live, said, states, status, tasks, trees

ASKS = (Ask(), Ask("/count/", "POST"), Ask("/page/"), Ask("/slow/?seconds=1"), Ask("/health/"))
TWIN = "twin"


def test_an_upgrade_with_a_migration_loses_no_request(rig: Rig, machine: Host) -> None:
    old, _ = live(machine)
    with Load(machine.address, rate=25, asks=ASKS) as load:
        time.sleep(1)
        begin = time.time()
        done = rig.release("v2").check()
        used = sessions(machine, begin, time.time())
        time.sleep(2)
    new, _ = live(machine)
    assert load.failed() == []
    assert {sample.release for sample in load.samples} == {old, new}
    assert old != new
    assert used <= 6
    assert tasks(done) <= 8


def test_what_is_live_is_not_released_again(rig: Rig, machine: Host) -> None:
    before = live(machine)
    done = rig.release("v2").check()
    assert changed(done) == 0
    assert tasks(done) <= 4
    assert live(machine) == before


def test_another_scale_is_another_activation_and_unpacks_nothing(rig: Rig, machine: Host) -> None:
    (_, before), there = live(machine), trees(machine)
    with Load(machine.address, rate=20, asks=ASKS) as load:
        rig.release("v2", app_release_scale={"web": 2, "beat": 0}).check()
        time.sleep(1)
    assert load.failed() == []
    assert live(machine)[1] > before
    assert trees(machine) == there
    units = machine.sh(
        f"systemctl list-units --plain --no-legend --state=active 'containerless-{APP}-*@{live(machine)[1]}.service'"
    ).stdout
    running = sorted(
        line.split()[0].removeprefix(f"containerless-{APP}-").partition("@")[0] for line in units.splitlines()
    )
    assert running == ["web", "web.2", "worker"]
    rig.release("v2").check()


def test_a_rotated_secret_is_a_new_activation_of_the_same_release(rig: Rig, machine: Host) -> None:
    (release, before), there = live(machine), trees(machine)
    fresh = SECRET[::-1]
    done = rig.release("v2", app_release_secrets={"SECRET_KEY": fresh}).check()
    after = live(machine)
    assert after[0] == release
    assert after[1] > before
    assert trees(machine) == there
    assert states(machine)[after[1]] == "good"
    assert fresh not in done.output
    main = machine.sh(f"systemctl show -P MainPID containerless-{APP}-web@{after[1]}.service").stdout.strip()
    held = machine.sh(
        f"tr '\\0' '\\n' < /proc/{main}/environ | sed -n 's/^CREDENTIALS_DIRECTORY=//p'"
        f" | xargs -I@ cat /proc/{main}/root@/SECRET_KEY"
    ).stdout
    assert held == fresh
    rig.release("v2").check()


def test_no_output_holds_a_secret_however_much_is_asked_for(rig: Rig, machine: Host) -> None:
    """The fault prints the secret into the journal, whose lines are part of the report."""
    before = live(machine)
    done = rig.release("v2", "-vvv", "--diff", env={"RIG_FAULT": "leak_secret"}, app_release_health_timeout=5)
    assert done.rc != 0
    assert "Worker failed to boot" in said(done)
    assert SECRET not in done.output
    assert SECRET not in machine.sh(f"cat /var/lib/containerless/{APP}/ledger.jsonl").stdout
    assert live(machine) == before


def test_the_same_app_under_another_name_touches_nothing_of_the_first(rig: Rig, machine: Host) -> None:
    before, there = live(machine), trees(machine)
    secrets = {"SECRET_KEY": "of-the-twin-0123456789-abcdefghijklmnopqrstuvwxyz"}
    options = {"app_name": TWIN, "app_release_secrets": secrets, "app_release_domain": "twin.example.org"}
    with Load(machine.address, rate=20, asks=ASKS) as load:
        rig.play("release", app_release_channel="v1", app_release_env=ENV, **options).check()
        answer = machine.sh(f"curl -sS --unix-socket /run/containerless/{TWIN}/web.sock http://twin/health/").stdout
        twin = live(machine, TWIN)
        rig.play("remove", app_release_remove_data=True, **options).check()
        time.sleep(1)
    assert json.loads(answer)["release"] == twin[0]
    assert twin[0] != before[0]
    assert load.failed() == []
    assert {sample.release for sample in load.samples} == {before[0]}
    assert live(machine) == before
    assert status(machine)["running"]
    assert trees(machine) == there
    left = machine.sh(
        f"ls -d /srv/containerless/{TWIN} /var/lib/containerless/{TWIN} /run/containerless/{TWIN} 2>/dev/null || true;"
        f" systemctl list-units --all --type=service,socket,timer --plain --no-legend 'containerless-{TWIN}*'"
    ).stdout
    assert left == ""
    assert machine.sh(f"ls {TREES}").stdout.split() == sorted(there)
