# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The phases of a release as calls of their own, and what becomes of one that nobody brings to its end."""

from __future__ import annotations

import os
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release import (
    engine as engines,
    files,
    health,
    lease,
)
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired
from ansible_collections.containerless.django.plugins.module_utils._release.evidence import ReleaseFailed
from ansible_collections.containerless.django.plugins.module_utils._release.state import State
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import Artifact, Host, answer, desired
from .runs import CHECK, assert_whole, boot, engine, go_on, recover, release, rollback, stage, states

DROP = ("shop", "0003_drop")


@pytest.fixture
def live(host: Host, wanted: dict[str, Desired]) -> str:
    """Release 1.0 and return its id."""
    release(host, wanted["1.0"])
    host.drain()
    return wanted["1.0"].release_id


@pytest.fixture
def old(host: Host, wanted: dict[str, Desired]) -> str:
    """Release 2.0, which knows all migrations but the breaking one, and return its id."""
    release(host, wanted["2.0"])
    host.drain()
    return wanted["2.0"].release_id


def led(host: Host) -> tuple[str, str]:
    return os.readlink(host.layout.web_socket), os.readlink(host.layout.previous_socket)


def kept(host: Host) -> tuple[bytes | None, ...]:
    return tuple(map(files.read, (host.layout.ledger, host.layout.journal, host.layout.active)))


def asked(host: Host) -> str:
    return health.ask(host.layout.web_socket, CHECK).body


# The straight way.


def test_a_staged_release_serves_nobody(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    outcome = stage(host, wanted["2.0"])
    assert (outcome.changed, outcome.release, outcome.activation) == (True, wanted["2.0"].release_id, 2)
    assert (outcome.previous, outcome.exposure) == (live, {"web": 0.3, "worker": 0.3})
    assert (led(host), list(host.webs), states(host.layout)) == (("1/web.sock",) * 2, [1], {1: "good", 2: "staged"})
    assert (host.later, host.applied) == ({}, [("shop", "0001_initial")])


def test_an_activated_release_serves_and_can_still_be_taken_back(
    host: Host, live: str, wanted: dict[str, Desired]
) -> None:
    stage(host, wanted["2.0"], confirm_timeout=77)
    outcome = go_on(host, "activate")
    assert (outcome.release, outcome.migrated) == (wanted["2.0"].release_id, ["shop.0002_grow"])
    assert led(host) == ("2/web.sock", "1/web.sock")
    assert (asked(host), sorted(host.webs), states(host.layout)[2]) == ("activation 2", [1, 2], "active")
    state = State.read(host.layout)
    assert state.journal is not None
    assert 77 <= lease.left(state.journal.boot_id, state.journal.deadline) <= 79
    seconds, argv = host.later[host.layout.deadman]
    assert (seconds, argv[1:]) == (78.0, ["expire", "shop", "r0"])


def test_a_confirmed_release_drains_the_one_before(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["2.0"], drain=33)
    assert go_on(host, "activate", "confirm").previous == live
    assert [(name, seconds) for name, (seconds, _argv) in host.later.items()] == [(host.layout.drainer(1), 33.0)]
    assert (led(host), sorted(host.webs)) == (("2/web.sock", "1/web.sock"), [1, 2])
    assert_whole(host, wanted["2.0"].release_id)


def test_steps_stand_in_the_journal_before_they_begin(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["2.0"])
    seen: list[str] = []

    def look(argv: t.Sequence[str]) -> None:
        under_way = State.read(host.layout).journal
        for word, step in (("systemd-run", "arm"), ("migrate@2", "migrate"), ("worker@2", "start")):
            if under_way and word in " ".join(argv) and argv[1] != "show":
                seen.append(f"{step} {under_way.step}")

    host.before = look
    go_on(host, "activate")
    assert list(dict.fromkeys(seen)) == ["arm arm", "migrate migrate", "start start", "arm commit"]


# A run that is not there.

NOTHING = [((), "hold"), ((), "activate"), ((), "confirm"), ((), "renew"), (("activate",), "activate")]
NOTHING += [(("hold",), "confirm"), (("hold",), "hold"), (("activate", "confirm"), "confirm")]


@pytest.mark.parametrize(("before", "verb"), NOTHING)
def test_a_phase_out_of_order_is_refused_and_touches_nothing(
    host: Host, live: str, wanted: dict[str, Desired], before: tuple[str, ...], verb: str
) -> None:
    if before:
        stage(host, wanted["2.0"])
        go_on(host, *before)
    known = kept(host)
    with pytest.raises(ContainerlessError, match="run r0 has nothing under way on this host any more; last in its"):
        go_on(host, verb)
    assert kept(host) == known


def test_who_confirms_too_late_is_told_what_happened(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["2.0"])
    go_on(host, "activate")
    assert recover(host) == "revert"
    with pytest.raises(
        ContainerlessError, match=r"last in its ledger: 2\.0-\w+ rolled_back, interrupted at step watch"
    ):
        go_on(host, "confirm")
    assert_whole(host, live)


def test_a_run_that_begins_anew_takes_back_what_it_had_under_way(
    host: Host, live: str, wanted: dict[str, Desired]
) -> None:
    stage(host, wanted["2.0"])
    go_on(host, "activate")
    assert stage(host, wanted["2.0"]).activation == 3
    assert (states(host.layout), led(host)[0]) == ({1: "good", 2: "rolled_back", 3: "staged"}, "1/web.sock")
    go_on(host, "activate", "confirm")
    assert_whole(host, wanted["2.0"].release_id)


def test_what_steers_a_run_is_what_it_was_staged_with(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["2.0"], overlap="hold")
    go_on(host, "activate")
    assert list(host.webs) == [2]


# The lease.


@pytest.mark.parametrize(("verb", "step"), [("hold", "hold"), ("activate", "watch")])
def test_another_run_is_refused_while_the_lease_runs(
    host: Host, live: str, wanted: dict[str, Desired], verb: str, step: str
) -> None:
    stage(host, wanted["2.0"])
    go_on(host, verb)
    known = kept(host)
    with pytest.raises(
        ContainerlessError,
        match=rf"^run r0 of ops has {wanted['2.0'].release_id} under way \(step {step}\) for at most \d+ s more; "
        "wait for it or raise app_release_lock_wait$",
    ):
        release(host, wanted["1.0"])
    assert kept(host) == known
    go_on(host, *(["activate"] if verb == "hold" else []), "confirm")
    assert_whole(host, wanted["2.0"].release_id)


def test_another_run_waits_for_the_end_of_a_lease(
    host: Host, live: str, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(host, wanted["2.0"])
    go_on(host, "activate")
    left = [2, 1, 0]
    monkeypatch.setattr(lease, "left", lambda _boot, _deadline: left.pop(0))
    slept: list[float] = []
    monkeypatch.setattr(engines.time, "sleep", slept.append)
    one = engine(host, lock_wait=60)
    with one.locked():
        assert one.outcome.recovered == "revert"
    assert (left, slept) == ([], [0.5, 0.5])
    assert_whole(host, live)


def test_a_run_that_waited_finds_what_was_confirmed_meanwhile(
    host: Host, live: str, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(host, wanted["2.0"])
    go_on(host, "activate")

    def confirmed(_seconds: float) -> None:
        monkeypatch.undo()
        go_on(host, "confirm")

    monkeypatch.setattr(engines.time, "sleep", confirmed)
    one = engine(host, lock_wait=60)
    with one.locked():
        assert one.outcome.recovered == ""
    assert_whole(host, wanted["2.0"].release_id)


@pytest.mark.parametrize("verb", ["", "hold", "activate"])
def test_who_takes_over_waits_for_no_lease(host: Host, live: str, wanted: dict[str, Desired], verb: str) -> None:
    stage(host, wanted["2.0"])
    go_on(host, *[verb] if verb else [], *[] if verb else ["hold"])
    one = engine(host)
    with one.locked(take_over=True):
        assert one.outcome.recovered == ("revert" if verb == "activate" else "undo")
    assert_whole(host, live)


def test_a_staged_release_is_nothing_to_wait_for(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["2.0"])
    one = engine(host)
    with one.locked():
        assert one.outcome.recovered == "undo"
    assert states(host.layout)[2] == "failed"
    assert_whole(host, live)


def test_a_lease_is_over_at_its_deadline_and_with_its_boot(
    host: Host, live: str, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(host, wanted["2.0"], confirm_timeout=60)
    go_on(host, "activate")
    now = lease.now()
    for later, refused in ((50, True), (70, False)):
        monkeypatch.setattr(lease, "now", lambda later=later: now + later)
        one = engine(host)
        if refused:
            with pytest.raises(ContainerlessError, match="under way"), one.locked():
                pytest.fail("it was not refused")
        else:
            with one.locked():
                assert one.outcome.recovered == "revert"


def test_who_renews_lets_the_switch_wait_anew(
    host: Host, live: str, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(host, wanted["2.0"], confirm_timeout=60)
    go_on(host, "activate")
    now = lease.now()
    monkeypatch.setattr(lease, "now", lambda: now + 50)
    host.later[host.layout.deadman] = (0.1, [])
    assert go_on(host, "renew").release == wanted["2.0"].release_id
    assert host.later[host.layout.deadman][0] == 61.0
    monkeypatch.setattr(lease, "now", lambda: now + 100)
    with pytest.raises(ContainerlessError, match="under way"):
        release(host, wanted["1.0"])
    go_on(host, "confirm")
    assert_whole(host, wanted["2.0"].release_id)


# Taken back.

REVERTS = [
    (overlap, before, verdict)
    for overlap in ("overlap", "hold")
    for before, verdict in ((None, "failed"), ("hold", "failed"), ("activate", "rolled_back"))
]


@pytest.mark.parametrize("case", REVERTS)
def test_a_run_is_taken_back_where_it_stands(
    host: Host, live: str, wanted: dict[str, Desired], case: tuple[str, str | None, str]
) -> None:
    overlap, before, verdict = case
    stage(host, wanted["2.0"], overlap=overlap)
    if before:
        go_on(host, before)
    one = engine(host, run="r0")
    with one.locked():
        outcome = one.revert("not every host took it")
    assert (outcome.changed, outcome.release, outcome.previous) == (True, live, wanted["2.0"].release_id)
    last = [entry for entry in State.read(host.layout).entries if entry.activation == 2][-1]
    assert (last.state, last.why) == (verdict, "not every host took it")
    assert_whole(host, live)


def test_nothing_to_take_back_is_fine(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    one = engine(host, run="r0")
    with one.locked():
        outcome = one.revert("not every host took it")
    assert (outcome.changed, outcome.release, outcome.previous) == (False, live, None)
    assert_whole(host, live)


def test_a_first_release_that_is_taken_back_leaves_nothing(host: Host, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["1.0"])
    go_on(host, "activate")
    one = engine(host, run="r0")
    with one.locked():
        assert one.revert("not every host took it").release is None
    assert (State.read(host.layout).active, host.webs, host.later) == (None, {}, {})
    assert states(host.layout) == {1: "rolled_back"}


def test_a_release_that_was_confirmed_is_not_taken_back(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["2.0"])
    go_on(host, "activate")
    host.refused["systemd-run .*drain-1"] = "the bus is gone"
    with pytest.raises(ReleaseFailed, match="is live, but clearing up failed"):
        go_on(host, "confirm")
    host.refused.clear()
    one = engine(host, run="r0")
    with one.locked():
        assert one.revert("not every host took it").release == wanted["2.0"].release_id
    assert_whole(host, wanted["2.0"].release_id)


# Watched.


def test_a_release_that_ends_after_the_flip_is_taken_back(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["2.0"], watch=10)

    def ends(argv: t.Sequence[str]) -> None:
        if led(host)[0] == "2/web.sock":
            host.shown["containerless-shop-worker@2.service"] = {"NRestarts": "1", "Result": "exit-code"}

    host.before = ends
    with pytest.raises(ReleaseFailed, match=r"step watch: process worker ended after the flip \(exit-code\); 1\.0"):
        go_on(host, "activate")
    assert states(host.layout)[2] == "rolled_back"
    assert_whole(host, live)


def test_the_switch_waits_for_the_watch_too(
    host: Host, live: str, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(host, wanted["2.0"], watch=100, watch_errors=7, confirm_timeout=60)
    told: list[tuple[float, int]] = []
    monkeypatch.setattr(
        "ansible_collections.containerless.django.plugins.module_utils._release.watch.watch",
        lambda seconds, percent, _ask, _ended: told.append((seconds, percent)),
    )
    go_on(host, "activate")
    assert (told, host.later[host.layout.deadman][0]) == ([(100, 7)], 161.0)


# Held.


def test_requests_wait_at_the_new_release_and_the_old_one_answers_what_it_took(
    host: Host, live: str, wanted: dict[str, Desired]
) -> None:
    stage(host, wanted["2.0"], overlap="hold")
    before = len(host.webs[1].seen)
    old_web = host.webs[1]
    go_on(host, "hold")
    assert led(host) == ("2/web.sock", "2/web.sock")
    assert host.webs == {}
    assert len(old_web.seen) == before + 1  # our own, behind all others
    assert "containerless-shop-web@2.socket" in host.up
    assert "containerless-shop-web@1.socket" not in host.up
    go_on(host, "activate")
    assert led(host) == ("2/web.sock", "2/web.sock")  # nobody answers at the one before
    go_on(host, "confirm")
    assert_whole(host, wanted["2.0"].release_id)


@pytest.mark.parametrize("cut", ["health", "reboot", "units are gone"])
def test_a_held_release_is_started_again_when_the_new_one_fails(
    host: Host, live: str, wanted: dict[str, Desired], cut: str
) -> None:
    stage(host, wanted["2.0"], overlap="hold")
    go_on(host, "hold")
    if cut == "reboot":
        host.reboot()
        assert boot(host) == live
    elif cut == "units are gone":
        Systemd(host.layout, host).uninstall(1)
        assert recover(host) == "undo"
    else:
        host.respond = lambda number: answer(500 if number == 2 else 200, f"activation {number}")
        with pytest.raises(ReleaseFailed, match="answered 500 .*stays live"):
            go_on(host, "activate")
    assert_whole(host, live)


def test_a_hold_of_a_release_that_needs_none_stops_nobody(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["2.0"], migrations="maintenance")
    go_on(host, "hold")
    assert (list(host.webs), led(host)[0]) == ([1], "1/web.sock")
    go_on(host, "activate", "confirm")
    assert_whole(host, wanted["2.0"].release_id)


def test_a_first_release_has_nobody_to_hold(host: Host, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["1.0"], overlap="hold")
    go_on(host, "hold", "activate", "confirm")
    assert_whole(host, wanted["1.0"].release_id)


def test_memory_for_two_is_only_asked_for_where_two_run(
    host: Host, live: str, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Systemd, "memory", lambda _self, _unit: 2 << 20)
    monkeypatch.setattr(engines.staging, "available_memory", lambda: 1 << 20)
    with pytest.raises(
        ContainerlessError, match="2 MiB of memory .*1 MiB are available; set app_release_overlap: hold"
    ):
        release(host, wanted["2.0"])
    release(host, wanted["2.0"], overlap="hold")
    assert_whole(host, wanted["2.0"].release_id)


# Maintenance.


def test_maintenance_stops_migrates_and_starts(host: Host, old: str, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["3.0"], migrations="maintenance")
    served: list[list[int]] = []

    def look(argv: t.Sequence[str]) -> None:
        if "containerless-shop-task.migrate@2.service" in argv and argv[1] == "start":
            served.append(list(host.webs))

    host.before = look
    outcome = go_on(host, "activate")
    journal = State.read(host.layout).journal
    assert (served, outcome.migrated) == ([[]], ["shop.0003_drop"])
    assert journal is not None
    assert (journal.held, journal.one_way) == (True, True)
    go_on(host, "confirm")
    assert_whole(host, wanted["3.0"].release_id)


# what fails, what was applied by then -> the release that is live, what is said of it
MAINTENANCE = [
    ("systemctl start .*task.migrate@2", False, "2.0", "stays live"),
    ("systemctl start .*task.migrate@2", True, "3.0", "stays live, since its migrations leave no automatic way back"),
    ("health", True, "3.0", "answered 500 .*stays live, since its migrations leave no automatic way back"),
]


@pytest.mark.parametrize("case", MAINTENANCE, ids=range(len(MAINTENANCE)))
def test_there_is_a_way_back_until_the_schema_went(
    host: Host, old: str, wanted: dict[str, Desired], case: tuple[str, bool, str, str]
) -> None:
    fails, applied, live, message = case
    stage(host, wanted["3.0"], migrations="maintenance")

    def migrates(argv: t.Sequence[str]) -> None:
        if applied and "task.migrate@2" in " ".join(argv) and DROP not in (host.applied or []):
            (host.applied or []).append(DROP)

    good, host.before = host.respond, migrates
    if fails == "health":
        host.respond = lambda _number: answer(500)
    else:
        host.refused[fails] = "no such luck"
    with pytest.raises(ReleaseFailed, match=message):
        go_on(host, "activate")
    host.refused.clear()
    host.respond = good
    state = State.read(host.layout)
    assert state.active is not None
    assert (state.active.release, state.journal, host.later) == (wanted[live].release_id, None, {})
    if live == "2.0":
        assert_whole(host, old)
    else:
        assert (states(host.layout)[2], led(host)) == ("active", ("2/web.sock", "2/web.sock"))
        release(host, wanted["3.0"])
        assert_whole(host, wanted["3.0"].release_id, unconfirmed=2)


def test_what_can_not_be_started_yet_is_left_to_the_switch_with_its_evidence(
    host: Host, old: str, wanted: dict[str, Desired]
) -> None:
    stage(host, wanted["3.0"], migrations="maintenance")
    host.refused["systemctl start .*worker@2"] = "no such luck"
    host.logs["containerless-shop-web@2.service"] = "it starts"
    with pytest.raises(ReleaseFailed, match=r"left to the next run: .*no such luck.*stays live, since") as caught:
        go_on(host, "activate")
    assert caught.value.evidence["journal"] == {"containerless-shop-web@2.service": ["it starts"]}
    assert host.later[host.layout.deadman][1][1:] == ["expire", "shop", "r0"]
    host.refused.clear()
    assert recover(host) == "forward"
    assert asked(host) == "activation 2"


def test_a_held_release_that_can_not_be_started_yet_is_led_to_all_the_same(
    host: Host, live: str, wanted: dict[str, Desired]
) -> None:
    stage(host, wanted["2.0"], overlap="hold")
    go_on(host, "hold")
    host.refused["systemctl start .*worker"] = "no such luck"
    with pytest.raises(ReleaseFailed, match=f"left to the next run: .*; {live} stays live"):
        go_on(host, "activate")
    assert led(host)[0] == "1/web.sock"
    host.refused.clear()
    assert recover(host) == "undo"
    assert_whole(host, live)


@pytest.mark.parametrize("how", ["revert", "recover", "reboot"])
def test_where_the_schema_went_nobody_goes_back(host: Host, old: str, wanted: dict[str, Desired], how: str) -> None:
    stage(host, wanted["3.0"], migrations="maintenance")
    go_on(host, "activate")
    if how == "revert":
        one = engine(host, run="r0")
        with one.locked():
            outcome = one.revert("not every host took it")
        assert (outcome.release, outcome.recovered) == (wanted["3.0"].release_id, "forward")
    elif how == "recover":
        assert recover(host) == "forward"
    else:
        host.reboot()
        assert boot(host) == wanted["3.0"].release_id
    assert (asked(host), states(host.layout)) == ("activation 2", {1: "good", 2: "active"})
    release(host, wanted["3.0"])
    assert_whole(host, wanted["3.0"].release_id, unconfirmed=2)


# Rollbacks.


@pytest.mark.parametrize("how", ["revert", "the next run"])
def test_where_another_host_migrated_nobody_goes_back_either(
    host: Host, old: str, wanted: dict[str, Desired], how: str
) -> None:
    """Of a fleet with one database: this host holds requests, the other one has taken the schema away from old code."""
    stage(host, wanted["3.0"], migrations="maintenance")
    go_on(host, "hold")
    host.applied = [*(host.applied or []), *host.pending]
    if how == "revert":
        one = engine(host, run="r0")
        with one.locked():
            assert one.revert("the other one failed").release == wanted["3.0"].release_id
    else:
        assert recover(host) == "forward"
    assert (asked(host), states(host.layout)) == ("activation 2", {1: "good", 2: "active"})


def test_going_back_from_an_unconfirmed_release_takes_it_back(
    host: Host, live: str, wanted: dict[str, Desired]
) -> None:
    for to in ("", live):
        stage(host, wanted["2.0"])
        go_on(host, "activate")
        one = engine(host)
        with one.locked(take_over=True):
            outcome = one.rollback(to)
        assert (outcome.release, outcome.activation, outcome.recovered) == (live, 1, "revert")
        assert_whole(host, live)


def test_going_back_further_than_an_unconfirmed_release(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    release(host, wanted["2.0"])
    stage(host, wanted["2.0"])
    go_on(host, "activate")
    one = engine(host, accept_newer_schema=True)
    with one.locked(take_over=True):
        assert one.rollback(live).release == live
    assert_whole(host, live)


def secret(host: Host) -> bytes | None:
    active = State.read(host.layout).active
    return None if active is None else files.read(f"{host.layout.activation_secrets(active.activation)}/SECRET_KEY")


@pytest.mark.parametrize(("policy", "value"), [("newest", b"new-value"), ("snapshot", b"old-value")])
def test_going_back_with_the_newest_secrets_or_those_of_the_release(
    host: Host, artifacts: dict[str, Artifact], group: str, policy: str, value: bytes
) -> None:
    release(host, desired(artifacts["1.0"], group, {"SECRET_KEY": "old-value"}))
    release(host, desired(artifacts["2.0"], group, {"SECRET_KEY": "new-value"}))
    assert secret(host) == b"new-value"
    rollback(host, accept_newer_schema=True, secrets=policy)
    assert (secret(host), files.read(f"{host.layout.secrets}/SECRET_KEY")) == (value, value)


def test_going_back_to_secrets_that_nobody_kept_is_refused(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    release(host, wanted["2.0"])
    files.remove(f"{host.layout.snapshot(live)}/SECRET_KEY")
    with pytest.raises(ReleaseFailed, match=f"{live} has no snapshot of its secrets"):
        rollback(host, accept_newer_schema=True, secrets="snapshot")
    assert_whole(host, wanted["2.0"].release_id)


def test_a_release_without_secrets_has_a_snapshot_of_them(
    host: Host, artifacts: dict[str, Artifact], group: str
) -> None:
    first = desired(artifacts["1.0"], group, {}, secrets=[])
    release(host, first)
    release(host, desired(artifacts["2.0"], group, {}, secrets=[]))
    rollback(host, accept_newer_schema=True, secrets="snapshot")
    assert_whole(host, first.release_id)


def taking_back(host: Host, ends: int) -> t.Callable[[list[str]], tuple[int, str, str]]:
    """Take back what comes after the named migration, all but the last `ends` calls."""
    calls: list[list[str]] = []

    def managed(argv: list[str]) -> tuple[int, str, str]:
        calls.append(argv)
        if len(calls) > ends:
            return 1, "", "IrreversibleError: no way back"
        assert argv[-4:] == ["migrate", "shop", "0001_initial", "--noinput"]
        assert host.applied is not None
        host.applied.remove(("shop", "0002_grow"))
        return 0, "", ""

    return managed


def test_going_back_takes_migrations_back_while_nobody_serves(
    host: Host, live: str, wanted: dict[str, Desired]
) -> None:
    release(host, wanted["2.0"])
    host.drain()
    host.calls.clear()
    host.managed = taking_back(host, 1)
    served: list[list[int]] = []
    host.before = lambda argv: served.append(list(host.webs)) if "--wait" in argv else None
    outcome = rollback(host, reverse_migrations=True)
    assert (outcome.reversed, served) == (["shop.0002_grow"], [[]])
    (call,) = [call for call in host.called("systemd-run") if "--wait" in call]
    assert call[-6].startswith(host.layout.tree(wanted["2.0"].content_id))  # the code that knows them
    assert_whole(host, live)


def test_a_release_whose_migrations_were_taken_back_is_released_again_and_not_gone_back_to(
    host: Host, live: str, wanted: dict[str, Desired]
) -> None:
    release(host, wanted["2.0"])
    host.managed = taking_back(host, 1)
    rollback(host, reverse_migrations=True)
    with pytest.raises(ReleaseFailed, match=r"lacks shop\.0002_grow.*release it again"):
        rollback(host, wanted["2.0"].release_id)
    assert_whole(host, live)
    assert release(host, wanted["2.0"]).migrated == ["shop.0002_grow"]
    assert_whole(host, wanted["2.0"].release_id)


def test_a_schema_that_could_not_be_taken_back_leaves_the_newer_release_live(
    host: Host, live: str, wanted: dict[str, Desired]
) -> None:
    release(host, wanted["2.0"])
    host.managed = taking_back(host, 0)
    with pytest.raises(ReleaseFailed, match=r"migrations of shop to 0001_initial failed: Irreversible.*2\.0-\w+ stays"):
        rollback(host, reverse_migrations=True)
    assert_whole(host, wanted["2.0"].release_id)


@pytest.mark.parametrize("overlap", ["overlap", "hold"])
def test_a_rollback_that_dies_is_taken_back_by_the_switch(
    host: Host, live: str, wanted: dict[str, Desired], overlap: str
) -> None:
    release(host, wanted["2.0"])
    host.drain()

    def dies(argv: t.Sequence[str]) -> None:
        if "web@3.service" in " ".join(argv) and argv[1] == "start":
            raise KeyboardInterrupt

    host.before = dies
    with pytest.raises(KeyboardInterrupt):
        rollback(host, accept_newer_schema=True, overlap=overlap)
    host.before = lambda _argv: None
    assert list(host.webs) == ([] if overlap == "hold" else [2])
    assert host.later[host.layout.deadman][1][1:-1] == ["expire", "shop"]
    assert recover(host) == "undo"
    assert_whole(host, wanted["2.0"].release_id)


# Boots.

BOOTS = [((), "1.0"), (("hold",), "1.0"), (("activate",), "1.0"), (("activate", "confirm"), "2.0")]


@pytest.mark.parametrize(("before", "version"), BOOTS)
def test_a_boot_clears_up_what_another_boot_left(
    host: Host, live: str, wanted: dict[str, Desired], before: tuple[str, ...], version: str
) -> None:
    stage(host, wanted["2.0"], confirm_timeout=86400)
    if before:
        go_on(host, *before)
    host.reboot()
    assert boot(host) == wanted[version].release_id
    assert_whole(host, wanted[version].release_id)


def test_a_boot_while_the_lease_runs_waits_like_any_run(host: Host, live: str, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["2.0"])
    go_on(host, "activate")
    one = engine(host)
    with pytest.raises(ContainerlessError, match="run r0 of ops has"), one.locked():
        pytest.fail("it was not refused")
