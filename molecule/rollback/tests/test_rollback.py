# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways back. The tests are one story, in this order; it begins with a good release of v1."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ansible_collections.containerless.django.tests.rig import APP, Host, Load, Rig

sys.path.insert(0, str(Path(__file__).parents[2] / "shared/testinfra"))

from rigged import *  # noqa: F403
from rigged import changed, live, said, states, trees


def tree(machine: Host, release: str) -> str:
    """Return the tree of a release of this host."""
    entries = json.loads(machine.sh(f"containerless history {APP} --json").stdout)
    return next(entry["content_id"] for entry in entries if entry["release"] == release)


def test_each_rollback_goes_further_back_and_failed_releases_are_no_target(rig: Rig, machine: Host) -> None:
    base, _ = live(machine)
    rig.release("v1", env={"RIG_COLOUR": "red"}).check()
    red, _ = live(machine)
    bad = rig.release("v1", env={"RIG_COLOUR": "bad", "RIG_FAULT": "health500"}, app_release_health_timeout=2)
    assert bad.rc != 0
    assert live(machine)[0] == red
    rig.release("v1", env={"RIG_COLOUR": "blue"}).check()
    blue, _ = live(machine)
    with Load(machine.address, rate=20) as load:
        first = rig.rollback().check()
        assert live(machine)[0] == red
        rig.rollback().check()
        assert live(machine)[0] == base
    assert load.failed() == []
    assert changed(first) == 1
    refused = rig.rollback()
    assert refused.rc != 0
    assert "no good release before" in said(refused)
    assert live(machine)[0] == base
    failed = next(state for state in states(machine).values() if state == "failed")
    assert failed
    assert blue != red


def test_a_release_that_was_never_good_is_refused_by_name(rig: Rig, machine: Host) -> None:
    entries = json.loads(machine.sh(f"containerless history {APP} --json").stdout)
    bad = next(entry["release"] for entry in entries if entry["state"] == "failed")
    before = live(machine)
    refused = rig.rollback(bad)
    assert refused.rc != 0
    assert "was never good" in said(refused)
    assert live(machine) == before


def test_what_is_active_was_before_or_is_pinned_stays(rig: Rig, machine: Host) -> None:
    first, _ = live(machine)
    machine.sh(f"containerless pin {APP} {first}")
    rig.release("asgi", app_release_keep=2).check()
    second, _ = live(machine)
    rig.release("v2", app_release_keep=2).check()
    third, _ = live(machine)
    kept = {tree(machine, release) for release in (first, second, third)}
    assert set(trees(machine)) == kept
    machine.sh(f"containerless unpin {APP} {first}")
    gone = tree(machine, first)
    rig.play("prune", app_release_keep=2).check()
    assert set(trees(machine)) == kept - {gone}


def test_an_older_schema_is_refused_then_accepted_then_made(rig: Rig, machine: Host) -> None:
    new, _ = live(machine)
    refused = rig.rollback()
    assert refused.rc != 0
    assert "rig.0002_note" in said(refused)
    assert live(machine)[0] == new
    rig.rollback(app_release_rollback_accept_newer_schema=True).check()
    old, _ = live(machine)
    assert old != new
    rig.release("v2").check()
    assert live(machine)[0] == new
    with Load(machine.address, rate=20) as load:
        rig.rollback(app_release_rollback_reverse_migrations=True).check()
    assert load.failed() == []
    assert live(machine)[0] == old
    applied = machine.sh(
        f"python3 -c \"import sqlite3; print(*sqlite3.connect('/var/lib/containerless/{APP}/data/rig.sqlite3')"
        ".execute('select name from django_migrations'))\""
    ).stdout
    assert "0002_note" not in applied


def test_the_host_itself_goes_back_where_two_do_not_fit(rig: Rig, machine: Host) -> None:
    old, _ = live(machine)
    rig.release("asgi", env={"RIG_COLOUR": "held"}).check()
    assert live(machine)[0] != old
    with Load(machine.address, rate=20) as load:
        machine.sh(f"containerless rollback {APP} --hold --drain 1")
    assert load.failed() == []
    assert live(machine)[0] == old
