# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process that died holds nothing: a lease is what a call leaves at its end, not what it needs while it lives."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired
from ansible_collections.containerless.django.plugins.module_utils._release.journal import Journal
from ansible_collections.containerless.django.plugins.module_utils._release.state import State

from .host import Host
from .runs import Crash, assert_whole, engine, interrupt, release, rollback, stage


@pytest.mark.parametrize("step", ["arm", "hold", "migrate", "start", "health", "commit", "watch"])
def test_nobody_waits_for_a_process_that_died_in_a_step(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    release(host, wanted["1.0"])
    interrupt(host, wanted["2.0"], step, monkeypatch)
    one = engine(host, lock_wait=0)
    with one.locked():
        assert one.outcome.recovered == ("revert" if step == "watch" else "undo")
    assert_whole(host, wanted["1.0"].release_id)


@pytest.mark.parametrize("to", ["", "1.0"])
@pytest.mark.parametrize("step", ["confirm", "drain", "finish"])
def test_a_rollback_that_died_after_its_commit_is_done_when_it_is_asked_for_again(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch, step: str, to: str
) -> None:
    for version in ("1.0", "2.0"):
        release(host, wanted[version])
    write = State.write_journal

    def die(self: State, entry: Journal) -> None:
        write(self, entry)
        if entry.step == step:
            raise Crash

    target = wanted[to].release_id if to else ""
    with monkeypatch.context() as patched:
        patched.setattr(State, "write_journal", die)
        with pytest.raises(Crash):
            rollback(host, target, accept_newer_schema=True)
    again = rollback(host, target, accept_newer_schema=True)
    assert (again.release, again.recovered) == (wanted["1.0"].release_id, "finish")
    assert_whole(host, wanted["1.0"].release_id)


@pytest.mark.exhaustive
def test_while_requests_wait_the_switch_comes_with_the_death_of_the_process(
    host: Host, wanted: dict[str, Desired]
) -> None:
    release(host, wanted["1.0"])
    armed: dict[str, float] = {}

    def look(argv: t.Sequence[str]) -> None:
        under_way = State.read(host.layout).journal
        if under_way is not None and list(argv[:2]) == ["systemctl", "start"]:
            armed[under_way.step] = host.later[host.layout.deadman][0]

    stage(host, wanted["2.0"], overlap="hold", watch=10, confirm_timeout=50)
    host.before = look
    with (one := engine(host, run="r0")).locked():
        one.activate()
    host.before = lambda _argv: None
    assert armed["start"] == 1.0
    assert host.later[host.layout.deadman][0] == 61.0
