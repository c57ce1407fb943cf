# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release import journal
from ansible_collections.containerless.django.plugins.module_utils._release.activations import Activations
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired
from ansible_collections.containerless.django.plugins.module_utils._release.journal import Journal, Ref
from ansible_collections.containerless.django.plugins.module_utils._release.recovery import Recovery
from ansible_collections.containerless.django.plugins.module_utils._release.state import State
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import Host
from .runs import go_on, release, stage


@pytest.fixture
def left(host: Host, wanted: dict[str, Desired]) -> t.Callable[..., tuple[Recovery, Journal]]:
    """Return what leaves a run at a phase, above a live release, and returns its recovery and its journal."""

    def make(phase: str, held: bool = False, **change: t.Any) -> tuple[Recovery, Journal]:
        release(host, wanted["1.0"])
        stage(host, wanted["2.0"], overlap="hold" if held else "overlap", drain=30)
        go_on(host, phase)
        state = State.read(host.layout)
        assert state.journal is not None
        found = dataclasses.replace(state.journal, **change)

        def log(event: str, ref: Ref, reason: str) -> None:
            state.append(event, ref, run="r9", who="ops", why=reason, now="2026-11-22T12:00:00Z")

        return Recovery(state, Activations(host.layout, Systemd(host.layout, host)), log), found

    return make


# phase, held, changes of the journal -> action, what is live, web processes while the drain goes on, its ledger lines
CASES: list[tuple[str, bool, dict[str, t.Any], str, int, list[int], list[str]]] = [
    ("hold", False, {}, "undo", 1, [1], ["staged", "failed"]),
    ("hold", True, {}, "undo", 1, [1], ["staged", "failed"]),
    ("hold", True, {"one_way": True}, "forward", 2, [2], ["staged", "active"]),
    ("activate", False, {}, "revert", 1, [1, 2], ["staged", "active", "rolled_back"]),
    ("activate", True, {}, "revert", 1, [1, 2], ["staged", "active", "rolled_back"]),
    ("activate", True, {"one_way": True}, "forward", 2, [2], ["staged", "active"]),
    ("activate", False, {"kind": "rollback"}, "finish", 2, [1, 2], ["staged", "active", "good"]),
    ("activate", False, {"origin": None}, "finish", 2, [2], ["staged", "active", "good"]),
]


@pytest.mark.parametrize("gone", [False, True], ids=["", "units are gone"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case[:4])))
def test_each_move_ends_in_one_release_however_often_it_is_made(
    host: Host,
    left: t.Callable[..., tuple[Recovery, Journal]],
    case: tuple[str, bool, dict[str, t.Any], str, int, list[int], list[str]],
    gone: bool,
) -> None:
    phase, held, change, action, live, webs, lines = case
    recovery, found = left(phase, held, **change)
    state = recovery.state
    assert state.active is not None
    assert journal.recovery(found, state.active.activation, confirmed=False) == action
    if gone and held:
        recovery.activations.systemd.uninstall(live)
    for _again in range(2):
        recovery.serve(found, action)
        assert os.readlink(host.layout.web_socket) == f"{live}/web.sock"
        assert live in host.webs
    for _again in range(2):
        recovery.settle(found, action, "the reason")
    state = State.read(host.layout)
    assert state.active is not None
    assert (state.active.activation, state.journal) == (live, None)
    assert sorted(host.webs) == webs
    assert host.layout.deadman not in host.later
    entries = [entry for entry in state.entries if entry.activation == 2]
    assert [entry.state for entry in entries] == lines
    assert entries[-1].why == ("the reason" if action != "forward" or phase == "hold" else "")
    assert os.readlink(host.layout.current) == f"trees/{state.active.content_id}"
    if action == "revert":
        assert host.later[host.layout.drainer(2)][0] == 30.0, "requests that wait at its socket are answered"
        host.drain()
        assert sorted(host.webs) == [1]
    if action == "finish" and found.origin:
        assert host.later[host.layout.drainer(1)][0] == 30.0
        assert os.readlink(host.layout.previous_socket) == "1/web.sock"


def test_a_release_that_is_gone_is_not_started_and_the_rest_is_done(
    host: Host, left: t.Callable[..., tuple[Recovery, Journal]], wanted: dict[str, Desired]
) -> None:
    recovery, found = left("hold", held=True)
    os.rename(host.layout.release(wanted["1.0"].release_id), f"{host.layout.root}/gone")
    recovery.serve(found, "undo")
    recovery.settle(found, "undo", "the reason")
    assert State.read(host.layout).journal is None
