# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases while requests come in, and what one that changes little does not do. Each test leaves a good release."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path

from ansible_collections.containerless.django.tests.benchmarks.peers import sessions
from ansible_collections.containerless.django.tests.rig import APP, DOMAIN, Ask, Host, Load, Rig
from ansible_collections.containerless.django.tests.rig.core import ENV

sys.path.insert(0, str(Path(__file__).parents[2] / "shared/testinfra"))

from rigged import *  # noqa: F403
from rigged import SECRET, TREES, changed, live, said, states, status, tasks, trees

ASKS = (Ask(), Ask("/count/", "POST"), Ask("/page/"), Ask("/slow/?seconds=1"), Ask("/health/"))
TWIN = "twin"
LISTEN = "0.0.0.0:8123"
BY_PORT = f"curl -sS -m 10 -H 'Host: {DOMAIN}' http://127.0.0.1:8123/health/"


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


def test_tasks_of_a_user_run_around_a_release_and_a_rollback(rig: Rig, machine: Host, tmp_path: Path) -> None:
    before, _ = live(machine)
    names = ("before_migrate", "after_live", "after_rollback")
    for name in names:
        told = "{{ (app_release_result | default({})).release | default('nothing') }}"
        shell = f"containerless status {APP} --json > /run/{name}.json; echo {told} > /run/{name}.told"
        (tmp_path / f"{name}.yml").write_text(json.dumps([{"ansible.builtin.shell": shell, "become": True}]), "utf-8")
    hooks = {f"app_release_{name}": str(tmp_path / f"{name}.yml") for name in names}
    rig.release("v2", env={"RIG_COLOUR": "hooks"}, **hooks).check()
    after, _ = live(machine)
    assert machine.sh("ls /run/*.told").stdout.split() == ["/run/after_live.told", "/run/before_migrate.told"]
    rig.rollback(**hooks).check()
    seen = {name: json.loads(machine.sh(f"cat /run/{name}.json").stdout)[0]["release"] for name in names}
    results = {name: machine.sh(f"cat /run/{name}.told").stdout.strip() for name in names}
    machine.sh("rm /run/*.json /run/*.told")
    assert after != before
    assert seen == {"before_migrate": before, "after_live": after, "after_rollback": before}
    assert results == {"before_migrate": "nothing", "after_live": after, "after_rollback": before}
    assert live(machine)[0] == before


def test_a_port_without_a_proxy_outlives_releases(rig: Rig, machine: Host) -> None:
    rig.release("v2", app_release_listen=LISTEN).check()
    first, _ = live(machine)
    assert json.loads(machine.sh(BY_PORT).stdout)["release"] == first
    # One after the other, beside a release: a line each, of the app or of curl.
    asking = f"while :; do {BY_PORT} 2>&1; echo; sleep 0.1; done > /run/asked"
    machine.sh(f"systemd-run --quiet --unit=rig-asks sh -c {shlex.quote(asking)}")
    rig.release("v2", env={"RIG_COLOUR": "port"}, app_release_listen=LISTEN).check()
    time.sleep(1)
    lines = machine.sh("systemctl stop rig-asks; cat /run/asked; rm /run/asked").stdout.splitlines()[:-1]
    second, _ = live(machine)
    assert [line for line in lines if not line.startswith("{")] == []
    assert [json.loads(line)["release"] for line in (lines[0], lines[-1])] == [first, second]
    assert first != second
    rig.release("v2").check()
    assert machine.sh(BY_PORT, check=False).returncode == 7  # refused
