# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release import (
    files,
    health,
    hostinfo,
    journal,
    ledger,
)
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired
from ansible_collections.containerless.django.plugins.module_utils._release.evidence import ReleaseFailed
from ansible_collections.containerless.django.plugins.module_utils._release.state import State
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import Artifact, Host, answer, desired
from .runs import (
    CHECK,
    Crash,
    assert_whole,
    boot,
    crash,
    crashes,
    empty,
    engine,
    go_on,
    interrupt,
    recover,
    release,
    rollback,
    stage,
    states,
)

# The straight way.


def test_a_first_release_is_live_whole(host: Host, wanted: dict[str, Desired]) -> None:
    outcome = release(host, wanted["1.0"])
    assert_whole(host, wanted["1.0"].release_id)
    assert (outcome.changed, outcome.activation, outcome.previous) == (True, 1, None)
    assert outcome.migrated == ["shop.0001_initial"]
    assert outcome.ledger_head == ledger.head(State.read(host.layout).entries)
    assert host.layout.boot_unit in host.enabled
    asked = host.webs[1].seen[0]
    assert (asked["Host"], asked["X-Forwarded-Proto"]) == ("shop.example.org", "https")


def test_an_upgrade_and_the_way_back(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    assert release(host, wanted["2.0"]).previous == wanted["1.0"].release_id
    assert_whole(host, wanted["2.0"].release_id)
    outcome = rollback(host, accept_newer_schema=True)
    assert (outcome.release, outcome.activation) == (wanted["1.0"].release_id, 3)
    assert_whole(host, wanted["1.0"].release_id)
    assert states(host.layout) == {1: "good", 2: "rolled_back", 3: "good"}


def test_the_same_release_is_started_again_as_another_activation(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    outcome = release(host, wanted["1.0"])
    assert (outcome.release, outcome.activation, outcome.migrated) == (wanted["1.0"].release_id, 2, [])
    assert_whole(host, wanted["1.0"].release_id)


def test_the_old_process_answers_until_the_new_one_is_behind_the_socket(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    answers: list[str] = []

    def ask(_argv: t.Sequence[str]) -> None:
        answers.append(health.ask(host.layout.web_socket, CHECK).body)

    host.before = ask
    release(host, wanted["2.0"])
    assert answers == sorted(answers)
    assert set(answers) == {"activation 1", "activation 2"}


def test_secrets_in_the_environment_stand_in_a_file_of_the_activation(
    host: Host, artifacts: dict[str, Artifact], group: str
) -> None:
    release(host, desired(artifacts["1.0"], group, {"SECRET_KEY": 'a"b$c'}, secrets_as="env"))
    path = f"{host.layout.activation_run(1)}/secrets.env"
    assert files.read(path) == b'SECRET_KEY="a\\"b\\$c"\n'
    assert os.stat(path).st_mode & 0o7777 == 0o600


# Failures while the process goes on.


@pytest.mark.parametrize(
    ("command", "step"),
    [
        ("systemctl enable", "stage"),
        ("systemd-analyze verify", "verify"),
        ("systemctl start .*task.applied@2", "verify"),
        ("systemctl start .*task.migrate@2", "migrate"),
        ("systemctl start .*web@2.socket", "start"),
        ("systemctl start .*worker@2.service", "start"),
    ],
)
def test_a_step_that_fails_leaves_the_old_release_live(
    host: Host, wanted: dict[str, Desired], command: str, step: str
) -> None:
    release(host, wanted["1.0"])
    os.unlink(host.layout.boot_unit_file)
    host.refused[command] = "no such luck"
    with pytest.raises(ReleaseFailed, match=f"failed at step {step}: .*; {wanted['1.0'].release_id} stays live"):
        release(host, wanted["2.0"])
    assert_whole(host, wanted["1.0"].release_id)


def test_a_failed_first_release_leaves_nothing_that_runs(host: Host, wanted: dict[str, Desired]) -> None:
    host.respond = lambda _number: answer(500, "Server Error")
    with pytest.raises(ReleaseFailed, match=r"answered 500 .*; nothing is live") as caught:
        release(host, wanted["1.0"])
    assert caught.value.evidence["status"] == 500
    assert caught.value.evidence["body"] == "Server Error"
    state = State.read(host.layout)
    assert (state.active, state.journal, host.webs) == (None, None, {})
    assert states(host.layout) == {1: "failed"}
    assert not os.path.lexists(host.layout.web_socket)


def test_a_failure_after_the_commit_goes_back(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch
) -> None:
    release(host, wanted["1.0"])
    append = State.append

    def refuse(self: State, state: str, *args: t.Any, **kwargs: t.Any) -> None:
        if state == "active":
            raise OSError(28, "No space left on device")
        append(self, state, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(State, "append", refuse)
        with pytest.raises(ReleaseFailed, match="step commit: .*stays live"):
            release(host, wanted["2.0"])
    assert_whole(host, wanted["1.0"].release_id)
    assert states(host.layout)[2] == "rolled_back"


def test_a_failure_after_the_confirmation_does_not_go_back(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    host.refused["systemd-run .*drain-1"] = "the bus is gone"
    with pytest.raises(ReleaseFailed, match="is live, but clearing up failed"):
        release(host, wanted["2.0"])
    host.refused.clear()
    assert recover(host) == "finish"
    assert_whole(host, wanted["2.0"].release_id)


def test_evidence_is_collected_before_the_release_is_undone_and_masked(
    host: Host, artifacts: dict[str, Artifact], group: str
) -> None:
    host.respond = lambda _number: answer(500, "DEBUG SECRET_KEY=correct-horse")
    host.logs["containerless-shop-web@1.service"] = "Traceback\nValueError: correct-horse"
    with pytest.raises(ReleaseFailed) as caught:
        release(host, desired(artifacts["1.0"], group))
    assert caught.value.evidence["journal"] == {
        "containerless-shop-web@1.service": ["Traceback", "ValueError: ********"]
    }
    assert "correct-horse" not in str(caught.value) + repr(caught.value.evidence)
    assert b"correct-horse" not in (files.read(host.layout.ledger) or b"")


def test_a_secret_of_several_lines_is_masked_in_journal_lines(
    host: Host, artifacts: dict[str, Artifact], group: str
) -> None:
    host.respond = lambda _number: answer(500)
    host.logs["containerless-shop-web@1.service"] = "key:\nfirst-half\nsecond-half\n"
    with pytest.raises(ReleaseFailed) as caught:
        release(host, desired(artifacts["1.0"], group, {"SECRET_KEY": "first-half\nsecond-half"}))
    assert "second-half" not in repr(caught.value.evidence)


def test_evidence_that_can_not_be_had_does_not_stop_the_undoing(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    host.respond = lambda _number: answer(500)

    def no_journal(argv: t.Sequence[str]) -> None:
        if argv[0] == "journalctl":
            raise FileNotFoundError(2, "No such file or directory", "journalctl")

    host.before = no_journal
    with pytest.raises(ReleaseFailed, match="answered 500"):
        release(host, wanted["2.0"])
    assert_whole(host, wanted["1.0"].release_id)


def test_a_static_file_changes_with_the_flip_and_not_before(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    shown: set[tuple[str, bytes | None]] = set()

    def look(_argv: t.Sequence[str]) -> None:
        live = health.ask(host.layout.web_socket, CHECK).body
        shown.add((live, files.read(f"{host.layout.static}/site.css")))

    host.before = look
    host.respond = lambda _number: answer(500)
    with pytest.raises(ReleaseFailed):
        release(host, wanted["2.0"])
    assert {text for _live, text in shown} == {b"1.0"}
    shown.clear()
    host.respond = lambda number: answer(200, f"activation {number}")
    release(host, wanted["2.0"])
    assert shown == {("activation 1", b"1.0"), ("activation 3", b"2.0")}


# Refusals.


def test_units_that_are_too_open_are_never_started(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    host.exposure = "0.6"
    with pytest.raises(ReleaseFailed, match="failed at step verify: .*app_sandbox_max_exposure"):
        release(host, wanted["2.0"])
    assert not [call for call in host.called("systemctl", "start") if "@2." in " ".join(call)]
    assert_whole(host, wanted["1.0"].release_id)


def test_units_whose_sandbox_the_host_does_not_hold_are_never_started(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    host.inside = {"NoNewPrivileges": ("open", "NoNewPrivs 0"), "MemoryMax": ("open", "nobody asked for it")}
    with pytest.raises(ReleaseFailed, match=r"step verify: .*NoNewPrivileges \(NoNewPrivs 0\); mend .*opt_out"):
        release(host, wanted["2.0"])
    assert not [call for call in host.called("systemctl", "start") if "@2." in " ".join(call)]
    assert_whole(host, wanted["1.0"].release_id)


def test_a_breaking_migration_is_refused_unless_it_is_accepted(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["2.0"])
    with pytest.raises(ReleaseFailed, match=r"0003_drop \(breaking\).*app_release_migrations"):
        release(host, wanted["3.0"])
    assert_whole(host, wanted["2.0"].release_id)
    assert ("shop", "0003_drop") not in (host.applied or [])
    assert release(host, wanted["3.0"], migrations="accept").migrated == ["shop.0003_drop"]


def test_a_database_that_could_not_be_read_is_not_a_fresh_one(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["2.0"])
    host.applied = None
    with pytest.raises(ReleaseFailed):
        release(host, wanted["3.0"])


def test_going_back_behind_the_schema_is_refused_unless_it_is_accepted(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    release(host, wanted["2.0"])
    with pytest.raises(ReleaseFailed, match=r"does not know shop\.0002_grow.*accept_newer_schema"):
        rollback(host)
    assert_whole(host, wanted["2.0"].release_id)


def test_a_way_back_that_was_refused_can_be_accepted_afterwards(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    release(host, wanted["2.0"])
    with pytest.raises(ReleaseFailed, match="accept_newer_schema"):
        rollback(host)
    assert rollback(host, accept_newer_schema=True).release == wanted["1.0"].release_id


def asked_for_the_schema(host: Host, activation: int) -> bool:
    return any(f"task.applied@{activation}" in " ".join(call) for call in host.called("systemctl", "start"))


def test_a_way_back_within_one_schema_asks_no_database(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    release(host, desired(artifacts["1.0"], group))
    release(host, desired(artifacts["1.0"], group, max_exposure="9.0"))
    host.applied = None
    assert rollback(host).activation == 3
    assert not asked_for_the_schema(host, 3)


def test_a_schema_that_any_release_since_may_have_changed_is_asked_for(
    host: Host, artifacts: dict[str, Artifact], group: str
) -> None:
    release(host, desired(artifacts["1.0"], group))
    host.refused["systemctl start .*web@2.socket"] = "it failed once it had migrated"
    with pytest.raises(ReleaseFailed):
        release(host, desired(artifacts["2.0"], group))
    host.refused.clear()
    release(host, desired(artifacts["1.0"], group, max_exposure="9.0"))
    assert "shop.0002_grow" in map(".".join, host.applied or [])
    with pytest.raises(ReleaseFailed, match=r"does not know shop\.0002_grow"):
        rollback(host)
    assert asked_for_the_schema(host, 4)


ROLLBACKS = [
    (0, "", "no active release"),
    (1, "", "no good release before"),
    (1, "9.9-0123456789ab", "9.9-0123456789ab was never good"),
    (1, "live", "is live already"),
]


@pytest.mark.parametrize(("releases", "to", "message"), ROLLBACKS)
def test_a_rollback_without_a_target_says_so(
    host: Host, wanted: dict[str, Desired], releases: int, to: str, message: str
) -> None:
    for version in ("1.0", "2.0")[:releases]:
        release(host, wanted[version])
    before = files.read(host.layout.ledger)
    with pytest.raises(ContainerlessError, match=message):
        rollback(host, wanted["1.0"].release_id if to == "live" else to)
    assert files.read(host.layout.ledger) == before


def test_a_release_whose_tree_is_gone_is_no_way_back(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    release(host, wanted["2.0"])
    os.rename(host.layout.tree(wanted["1.0"].content_id), f"{host.layout.root}/gone")
    with pytest.raises(ReleaseFailed, match="no longer on this host"):
        rollback(host, accept_newer_schema=True)
    assert_whole(host, wanted["2.0"].release_id)


def test_a_release_waits_for_the_file_system_of_what_is_live(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    os.rename(host.layout.srv, f"{host.layout.root}/unmounted")
    with pytest.raises(ContainerlessError, match=r"trees is not there, though 1\.0-\w+ is live.*mount its file system"):
        release(host, wanted["2.0"])
    assert not os.path.exists(host.layout.srv)
    os.rename(f"{host.layout.root}/unmounted", host.layout.srv)
    release(host, wanted["2.0"])
    assert_whole(host, wanted["2.0"].release_id)


def test_a_failed_restart_does_not_take_a_good_release_out_of_the_way_back(
    host: Host, wanted: dict[str, Desired]
) -> None:
    for version in ("1.0", "2.0"):
        release(host, wanted[version])
    good, host.respond = host.respond, lambda _number: answer(500)
    with pytest.raises(ReleaseFailed):
        release(host, wanted["2.0"])
    host.respond = good
    release(host, wanted["3.0"], migrations="accept")
    assert rollback(host, accept_newer_schema=True).release == wanted["2.0"].release_id


def test_a_secret_that_did_not_go_live_is_still_stale(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    release(host, desired(artifacts["1.0"], group, {"SECRET_KEY": "old-value"}))
    rotated = desired(artifacts["1.0"], group, {"SECRET_KEY": "new-value"})
    host.respond = lambda _number: answer(500)
    with pytest.raises(ReleaseFailed):
        release(host, rotated)
    observed = hostinfo.observe(
        State.read(host.layout), Systemd(host.layout, host), rotated.content_id, rotated.secrets
    )
    assert observed.stale_secrets == ("SECRET_KEY",)


# Crashes: the process ends before its n-th change of the host, whichever that is.


def all_at_once(host: Host, wanted: Desired, **policy: t.Any) -> None:
    release(host, wanted, **policy)


def as_calls(host: Host, wanted: Desired, **policy: t.Any) -> None:
    """Release as the module does: each phase in a call of its own."""
    stage(host, wanted, **policy)
    go_on(host, "hold", "activate", "confirm")


def goes_on(host: Host) -> None:
    """Another run comes when the lease is over."""
    recover(host)


def comes_up_again(host: Host) -> None:
    host.reboot()
    boot(host)


def one_or_the_other(host: Host, at: int) -> None:
    """Do what follows a crash, in turns: the one or the other is done at each second change."""
    (goes_on, comes_up_again)[at % 2](host)


# how it is released, what follows the crash, with or without a hold
UPGRADES: list[tuple[t.Callable[..., None], t.Callable[[Host, int], None], str]] = [
    (all_at_once, lambda host, _at: comes_up_again(host), "overlap"),
    (as_calls, lambda host, _at: goes_on(host), "overlap"),
    (as_calls, one_or_the_other, "hold"),
]


@pytest.mark.parametrize("case", UPGRADES, ids=["at once", "as calls", "held"])
@pytest.mark.exhaustive
def test_a_crash_at_any_change_of_an_upgrade_leaves_one_whole_release(
    host: Host,
    wanted: dict[str, Desired],
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[t.Callable[..., None], t.Callable[[Host, int], None], str],
) -> None:
    release_as, happens, overlap = case

    def reset() -> None:
        empty(host)
        release(host, wanted["1.0"])
        host.drain()

    for at in crashes(host, monkeypatch, lambda: release_as(host, wanted["2.0"], overlap=overlap), reset):
        before = State.read(host.layout)
        assert before.active is not None  # an old or a new one, never a torn one
        under_way = before.journal
        if under_way is None or not under_way.held:
            assert int(os.readlink(host.layout.web_socket).split("/")[0]) <= before.active.activation
        happens(host, at)
        assert_whole(host, wanted["1.0"].release_id, wanted["2.0"].release_id)
        release(host, wanted["2.0"])
        assert_whole(host, wanted["2.0"].release_id)


@pytest.mark.parametrize("happens", [goes_on, comes_up_again])
@pytest.mark.exhaustive
def test_a_crash_at_any_change_in_maintenance_leaves_no_code_to_a_schema_that_it_does_not_know(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch, happens: t.Callable[[Host], None]
) -> None:
    def reset() -> None:
        empty(host)
        release(host, wanted["2.0"])
        host.drain()
        stage(host, wanted["3.0"], migrations="maintenance")

    ended = set()
    for _at in crashes(host, monkeypatch, lambda: go_on(host, "activate", "confirm"), reset):
        happens(host)
        state = State.read(host.layout)
        assert state.active is not None
        migrated = ("shop", "0003_drop") in (host.applied or [])
        ended.add((migrated, state.active.release[:3], states(host.layout)[state.active.activation]))
        assert hostinfo.running(state, Systemd(host.layout, host))
        assert (state.journal, os.path.exists(host.layout.next_secrets)) == (None, False)
        number = state.active.activation
        assert health.ask(host.layout.web_socket, CHECK).body == f"activation {number}"
    assert ended >= {(False, "2.0", "good"), (True, "3.0", "active"), (True, "3.0", "good")}
    assert (True, "2.0", "good") not in ended


@pytest.mark.parametrize("happens", [goes_on, comes_up_again])
@pytest.mark.exhaustive
def test_a_crash_at_any_change_of_a_first_release_leaves_it_or_nothing(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch, happens: t.Callable[[Host], None]
) -> None:
    for _at in crashes(host, monkeypatch, lambda: release(host, wanted["1.0"]), lambda: empty(host)):
        happens(host)
        state = State.read(host.layout)
        if state.active:
            assert_whole(host, wanted["1.0"].release_id)
        else:
            assert (state.journal, host.webs, os.path.lexists(host.layout.web_socket)) == (None, {}, False)
        release(host, wanted["1.0"])
        assert_whole(host, wanted["1.0"].release_id)


@pytest.mark.parametrize("overlap", ["overlap", "hold"])
@pytest.mark.exhaustive
def test_a_crash_at_any_change_of_a_rollback_leaves_one_whole_release(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch, overlap: str
) -> None:
    def reset() -> None:
        empty(host)
        release(host, wanted["1.0"])
        release(host, wanted["2.0"])
        host.drain()

    def act() -> None:
        rollback(host, accept_newer_schema=True, overlap=overlap)

    for at in crashes(host, monkeypatch, act, reset):
        one_or_the_other(host, at)
        assert_whole(host, wanted["1.0"].release_id, wanted["2.0"].release_id)


# where a run was cut, how: one for each recovery that walks other code
RECOVERIES = [
    ("unpack", {}),
    ("health", {"overlap": "hold"}),
    ("watch", {}),
    ("watch", {"overlap": "hold"}),
    ("drain", {}),
]


@pytest.mark.parametrize(("step", "policy"), RECOVERIES)
@pytest.mark.exhaustive
def test_a_crash_at_any_change_of_a_recovery_is_recovered_from(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch, step: str, policy: dict[str, str]
) -> None:
    for at in range(100):
        empty(host)
        release(host, wanted["1.0"])
        interrupt(host, wanted["2.0"], step, monkeypatch, **policy)
        if not crash(host, monkeypatch, at, lambda: recover(host)):
            assert at > 3
            break
        recover(host)
        assert_whole(host, wanted["1.0"].release_id, wanted["2.0"].release_id)


# A disk that is full from some write on. What is below /run is none of it.


@pytest.mark.parametrize("overlap", ["overlap", "hold"])
@pytest.mark.exhaustive
def test_a_disk_that_is_full_from_any_write_on_takes_nothing_from_what_serves(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch, overlap: str
) -> None:
    write, append = files.write, State.append
    left = [0]

    def spend(path: str) -> None:
        if not path.startswith((f"{host.layout.root}/run", f"{host.layout.root}/etc/systemd")):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device", path)

    def full_write(path: str, data: bytes, mode: int = 0o644) -> None:
        spend(path)
        write(path, data, mode)

    def full_append(self: State, *args: t.Any, **kwargs: t.Any) -> None:
        spend(self.layout.ledger)
        append(self, *args, **kwargs)

    for at in range(100):
        empty(host)
        release(host, wanted["1.0"])
        host.drain()
        left[0] = at
        with monkeypatch.context() as patched:
            patched.setattr(files, "write", full_write)
            patched.setattr(State, "append", full_append)
            try:
                release(host, wanted["2.0"], overlap=overlap)
            except ReleaseFailed as failed:
                assert "No space left" in str(failed)  # noqa: PT017 - the last turn does not fail
            else:
                break
        good = states(host.layout).get(2) == "good"
        assert health.ask(host.layout.web_socket, CHECK).body == f"activation {2 if good else 1}"
        recover(host)
        assert_whole(host, wanted["2.0" if good else "1.0"].release_id)
        release(host, wanted["2.0"])
        assert_whole(host, wanted["2.0"].release_id)
    assert at > 15


# step that is under way -> what the next run does, and what is live then
INTERRUPTED = [
    *((step, "undo", "1.0") for step in journal.STEPS[1 : journal.STEPS.index("commit") + 1]),
    ("watch", "revert", "1.0"),
    ("confirm", "revert", "1.0"),
    ("drain", "finish", "2.0"),
    ("finish", "finish", "2.0"),
]


@pytest.mark.parametrize("case", INTERRUPTED, ids=lambda case: case[0])
def test_what_an_interrupted_step_ends_in(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch, case: tuple[str, str, str]
) -> None:
    step, recovered, live = case
    release(host, wanted["1.0"])
    interrupt(host, wanted["2.0"], step, monkeypatch)
    assert recover(host) == recovered
    assert_whole(host, wanted[live].release_id)
    assert recover(host) == ""


def test_a_release_goes_through_every_step_in_order(host: Host, wanted: dict[str, Desired]) -> None:
    outcome = release(host, wanted["1.0"])
    assert tuple(name for name, _seconds in outcome.steps) == journal.STEPS


def test_a_rollback_that_is_finished_later_still_closes_what_was_left(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch
) -> None:
    release(host, wanted["1.0"])
    release(host, wanted["2.0"])
    append = State.append

    def end(self: State, state: str, *args: t.Any, **kwargs: t.Any) -> None:
        if state == "rolled_back":
            raise Crash
        append(self, state, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(State, "append", end)
        with pytest.raises(Crash):
            rollback(host, accept_newer_schema=True)
    assert recover(host) == "finish"
    assert states(host.layout) == {1: "good", 2: "rolled_back", 3: "good"}


# Boot.


def test_a_boot_brings_back_what_was_live(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    release(host, wanted["2.0"])
    host.reboot()
    assert boot(host) == wanted["2.0"].release_id
    assert_whole(host, wanted["2.0"].release_id)


def test_a_boot_of_a_host_without_a_release_does_nothing(host: Host) -> None:
    one = engine(host)
    with one.locked():
        assert one.boot() is None
    assert host.called("systemctl", "start") == []


def test_a_torn_ledger_line_is_cut_off_and_the_next_release_goes_on(host: Host, wanted: dict[str, Desired]) -> None:
    release(host, wanted["1.0"])
    with open(host.layout.ledger, "ab") as ledger_file:
        ledger_file.write(b'{"activation":2,"content_id":"ab')
    release(host, wanted["2.0"])
    entries, _good = ledger.parse(files.read(host.layout.ledger) or b"")
    assert [entry.seq for entry in entries] == list(range(1, 7))


def test_a_run_waits_for_nobody_unless_it_is_told_to(host: Host, wanted: dict[str, Desired]) -> None:
    one = engine(host)
    with one.locked(), pytest.raises(ContainerlessError, match=r"run r\d+ of ops since .*app_release_lock_wait"):
        release(host, wanted["1.0"])


def test_a_refusal_leaves_nothing_of_an_app_that_is_not_there(host: Host) -> None:
    with pytest.raises(ContainerlessError, match="no active release"):
        rollback(host)
    assert not os.path.exists(host.layout.var)


@pytest.mark.exhaustive
def test_a_secret_that_a_crash_kept_from_going_live_is_still_stale(
    host: Host, artifacts: dict[str, Artifact], group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated = desired(artifacts["1.0"], group, {"SECRET_KEY": "new-value"})

    def reset() -> None:
        empty(host)
        release(host, desired(artifacts["1.0"], group, {"SECRET_KEY": "old-value"}))

    for at in crashes(host, monkeypatch, lambda: release(host, rotated), reset):
        one_or_the_other(host, at)
        state = State.read(host.layout)
        assert state.active is not None
        value = files.read(f"{host.layout.activation_secrets(state.active.activation)}/SECRET_KEY")
        assert value == (b"new-value" if state.active.activation == 2 else b"old-value")
        found = hostinfo.observe(state, Systemd(host.layout, host), rotated.content_id, rotated.secrets)
        assert found.stale_secrets == (() if value == b"new-value" else ("SECRET_KEY",))


def test_a_restart_that_was_reverted_does_not_take_a_good_release_out_of_the_way_back(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.0", "2.0"):
        release(host, wanted[version])
    interrupt(host, wanted["2.0"], "confirm", monkeypatch)
    assert recover(host) == "revert"
    release(host, wanted["3.0"], migrations="accept")
    assert rollback(host, accept_newer_schema=True).release == wanted["2.0"].release_id
