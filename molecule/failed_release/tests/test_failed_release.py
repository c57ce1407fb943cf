# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever breaks in a new release: the old one serves all along, and the report says why without a secret."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.containerless.django.tests.benchmarks import crashes
from ansible_collections.containerless.django.tests.rig import Ask, Host, Load, Rig

sys.path.insert(0, str(Path(__file__).parents[2] / "shared/testinfra"))

from rigged import *  # noqa: F403
from rigged import SECRET, live, said, states, status

ASKS = (Ask(), Ask("/count/", "POST"), Ask("/health/"))


@dataclass(frozen=True)
class Case:
    """A fault, and what the report has to say."""

    fault: str
    words: tuple[str, ...]
    tag: str = "v1"


CASES = (
    Case("import", ("this release fails at import",)),
    Case("health500", ("500", "not well")),
    Case("redirect", ("302", "elsewhere.example.org")),
    Case("hang", ("no answer",)),
    Case("leak_secret", ("could not start with",)),
    Case("", ("duplicate column name: note",), tag="v3"),
)


@pytest.mark.parametrize("case", CASES, ids=[case.fault or case.tag for case in CASES])
def test_a_release_that_fails_before_the_flip_is_seen_by_nobody(rig: Rig, machine: Host, case: Case) -> None:
    before = live(machine)
    env = {"RIG_FAULT": case.fault} if case.fault else {}
    with Load(machine.address, rate=20, asks=ASKS) as load:
        done = rig.release(case.tag, env=env, app_release_health_timeout=4)
        time.sleep(0.5)
    assert done.rc != 0
    for word in (*case.words, f"{before[0]} stays live"):
        assert word in said(done)
    assert SECRET not in done.output
    assert load.failed() == []
    assert {sample.release for sample in load.samples} == {before[0]}
    assert live(machine) == before
    assert status(machine)["running"]
    assert states(machine)[max(states(machine))] == "failed"


def test_a_release_that_crashes_after_the_flip_is_taken_back(rig: Rig, machine: Host) -> None:
    """The proxy asks the old release where the new one is gone: reads do not fail."""
    before = live(machine)
    machine.proxy(backup=True)
    with Load(machine.address, rate=20) as load:
        done = rig.release("v1", env={"RIG_FAULT": "exit_after=4"}, app_release_watch=10, app_release_health_stay_up=0)
        time.sleep(1)
    assert done.rc != 0
    assert before[0] in said(done)
    assert SECRET not in done.output
    assert len({sample.release for sample in load.samples}) == 2, "it went live"
    assert load.failed() == []
    assert live(machine) == before
    assert status(machine)["running"]
    assert states(machine)[max(states(machine))] == "rolled_back"


def test_a_process_that_crashes_at_each_start_comes_back_by_itself(rig: Rig, machine: Host) -> None:
    """More often than systemd's own limits of five starts in ten seconds and of twenty triggers of a socket in two."""
    number, _, healed = crashes.crash_loop(rig, 8)
    assert number == 8
    assert healed.late == []
    assert status(machine)["running"]


def test_a_database_that_was_down_is_used_again(rig: Rig, machine: Host) -> None:
    crashes.make_database(machine)
    env, paths = {"RIG_DATABASE": crashes.DATABASE}, ["/run/postgresql"]
    rig.release("v1", env=env, app_sandbox_bind_read_only=paths).check()
    healed = crashes.database_down(machine, 5)
    assert healed.late == []
    assert healed.elsewhere == [], "requests without the database"
    assert status(machine)["running"]
