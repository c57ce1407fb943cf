# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import files, hostinfo, lease, request, tool
from ansible_collections.containerless.django.plugins.module_utils._release.evidence import ReleaseFailed
from ansible_collections.containerless.django.plugins.module_utils._release.journal import STEPS, Journal, Ref
from ansible_collections.containerless.django.plugins.module_utils._release.state import State
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import Artifact, Host, answer, desired

Params = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def params(
    host: Host, artifacts: dict[str, Artifact], group: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> Params:
    """Return a maker of parameters as the action sends them; what they ask for happens in a folder."""
    monkeypatch.setattr(request, "Layout", lambda app: Layout(app, root=host.layout.root))
    monkeypatch.setattr(request, "Systemd", lambda layout: Systemd(layout, host))
    digest, packed = tool.pack(str(root / "plugins/module_utils"))

    def make(version: str = "1.0", **change: t.Any) -> dict[str, t.Any]:
        wanted = desired(artifacts[version], group, change.get("secrets"))
        kept = ("release_id", "document", "manifest", "units", "boot_unit", "interpreter", "signed_by")
        return {
            "name": "shop",
            "desired": {name: getattr(wanted, name) for name in kept},
            "artifact": wanted.blob,
            "encoding": wanted.encoding,
            "tool": {"digest": digest, "packed": packed},
            "secrets": wanted.secrets,
            "drain": 0,
            "watch": 0,
            "watch_errors": 10,
            "confirm_timeout": 60,
            "lock_wait": 0,
            "migrations": "expand",
            "overlap": "overlap",
            "keep": 5,
            "timers": False,
            "to": "",
            "accept_newer_schema": True,
            "reverse_migrations": False,
            "secrets_from": "newest",
            "allow_older": True,
            "remove_data": False,
            "run": "r1",
            "who": "ops@laptop",
            "reason": "",
            **change,
        }

    return make


def act(state: str, params: dict[str, t.Any], check: bool = False) -> dict[str, t.Any]:
    return request.act({**params, "state": state}, check)


def present(params: dict[str, t.Any], check: bool = False) -> dict[str, t.Any]:
    """Do as the action does: a module call for each phase, with one run id."""
    result = act("staged", params, check)
    if not result.get("staged"):
        return result
    steps = result["steps"]
    for state in ("activated", "confirmed"):
        done = act(state, {**params, "desired": {}, "artifact": "", "tool": {}, "secrets": {}})
        steps = [*steps, *done["steps"]]
    return {**result, **done, "steps": steps}


def places(host: Host) -> set[str]:
    return {
        os.path.join(folder, name) for folder, folders, names in os.walk(host.layout.root) for name in folders + names
    }


def live(host: Host) -> int | None:
    active = State.read(host.layout).active
    return active.activation if active else None


def test_check_mode_says_what_would_be_done_and_touches_nothing(host: Host, params: Params) -> None:
    before = places(host)
    result = present(params(), True)
    assert result["changed"] is True
    steps = tuple(step for step in STEPS if step not in ("hold", "drain"))
    assert result["plan"] == {
        "action": "release",
        "reason": "first release on this host",
        "unpack": True,
        "steps": steps,
    }
    assert "migration: shop.0001_initial (expand)" in result["diff"]["after"]
    assert (places(host), host.calls) == (before, [])


def test_a_release_then_nothing_to_do(host: Host, params: Params) -> None:
    first = present(params())
    assert (first["changed"], first["activation"], first["previous"]) == (True, 1, None)
    assert tool.installed(host.layout) == params()["tool"]["digest"]
    for check in (True, False):
        again = present(params(), check)
        assert (again["changed"], again["activation"], again["steps"]) == (False, 1, [])
        assert again["diff"]["before"] == again["diff"]["after"]
    assert live(host) == 1


# change of the parameters or of the host -> action
ACTIVATE: list[tuple[dict[str, t.Any], str]] = [
    ({"secrets": {"SECRET_KEY": "a-new-value"}}, "changed secrets: SECRET_KEY"),
    ({}, "not all of it is running"),
]


@pytest.mark.parametrize(("change", "reason"), ACTIVATE)
def test_the_same_release_is_activated_again_when_it_has_to(
    host: Host, params: Params, change: dict[str, t.Any], reason: str
) -> None:
    present(params())
    if not change:
        host.shown["containerless-shop-worker@1.service"] = {"ActiveState": "failed"}
    result = present(params(**change))
    assert result["plan"]["action"] == "activate"
    assert reason in result["plan"]["reason"]
    assert live(host) == 2
    assert present(params(**change))["changed"] is False


def test_no_result_holds_a_secret(host: Host, params: Params) -> None:
    assert "correct-horse" not in repr(present(params(), True)) + repr(present(params(), False))


def test_what_an_interrupted_run_left_is_cleared_up_before_the_plan(host: Host, params: Params) -> None:
    present(params())
    state = State.read(host.layout)
    assert state.active is not None
    to = Ref(2, state.active.release, state.active.content_id)
    state.write_journal(Journal("release", "r0", "ops", "start", state.active, to, lease.boot_id()))
    assert present(params(), True)["changed"] is False
    assert State.read(host.layout).journal is not None
    assert present(params())["recovered"] == "undo"
    assert State.read(host.layout).journal is None
    assert present(params())["changed"] is False


def test_there_and_back_again(host: Host, params: Params) -> None:
    host.pending = [("shop", "0001_initial")]
    present(params("1.0"))
    present(params("2.0"))
    old = params("1.0")["desired"]["release_id"]
    assert act("rolled_back", params(), True) == {"changed": True, "release": old}
    assert live(host) == 2
    assert act("rolled_back", params())["release"] == old
    assert live(host) == 3
    for check in (True, False):
        assert act("rolled_back", params(to=old), check)["changed"] is False
    with pytest.raises(ContainerlessError, match="no good release before"):
        act("rolled_back", params(), True)


def test_an_older_commit_is_refused_where_it_may_be_a_replay(host: Host, params: Params) -> None:
    present(params("2.0"))
    before = places(host)
    for check in (True, False):
        with pytest.raises(
            ContainerlessError, match=r"^1.0 is of 2023-11-14 .* older than 2.0 .*app_release_allow_old"
        ):
            present(params("1.0", allow_older=False), check)
    assert (places(host), live(host)) == (before, 1)
    assert present(params("1.0", allow_older=True))["activation"] == 2
    # The one that is live is never older than itself, and what went live may go back.
    assert present(params("1.0", allow_older=False))["changed"] is False
    present(params("3.0", allow_older=False))
    host.applied = [("shop", "0001_initial")]
    assert act("rolled_back", params(allow_older=False))["release"] == params("1.0")["desired"]["release_id"]


@pytest.mark.parametrize("who", ["unsigned", "ann@example.org", "SHA256:" + "A" * 43 + " (not checked)"])
def test_who_signed_it_is_known_afterwards(host: Host, params: Params, who: str) -> None:
    asked = params()
    asked["desired"]["signed_by"] = who
    for check in (True, False, False):
        assert present(asked, check)["signed_by"] == who
    systemd = Systemd(host.layout, host)
    assert hostinfo.report(host.layout, systemd)["signed_by"] == who
    # A release that was staged before signatures were known.
    os.remove(f"{host.layout.release(asked['desired']['release_id'])}/signed_by")
    assert hostinfo.report(host.layout, systemd)["signed_by"] == "unknown"


def test_a_failure_is_raised_with_its_evidence(host: Host, params: Params) -> None:
    host.respond = lambda _number: answer(400, "DisallowedHost")
    with pytest.raises(ReleaseFailed) as caught:
        present(params())
    assert (caught.value.evidence["step"], caught.value.evidence["status"]) == ("health", 400)


def test_absent(host: Host, params: Params) -> None:
    for check in (True, False):
        assert act("absent", params(), check) == {"changed": False}
    present(params())
    assert act("absent", params(), True) == {"changed": True}
    assert live(host) == 1
    for data in (False, True):
        assert act("absent", params(remove_data=data)) == {"changed": True}
        assert act("absent", params(remove_data=data)) == {"changed": False}


@pytest.mark.parametrize("state", request.STATES)
def test_nothing_is_done_while_another_run_holds_the_lock(host: Host, params: Params, state: str) -> None:
    present(params("1.0"))
    with files.lock(host.layout.lock, "run r9 of eve", 0), pytest.raises(ContainerlessError, match="run r9 of eve"):
        act(state, params("2.0"))
    assert live(host) == 1


def test_a_host_tool_that_is_gone_is_brought_back(host: Host, params: Params) -> None:
    present(params())
    files.remove(f"{host.layout.tools}/current")
    present(params())
    assert tool.installed(host.layout)


def test_a_run_that_waited_for_another_looks_again(host: Host, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    present(params("1.0"))
    install = tool.install

    def another(*args: t.Any) -> bool:
        monkeypatch.setattr(tool, "install", install)
        present(params("2.0"))
        return False

    monkeypatch.setattr(tool, "install", another)
    present(params("2.0"))
    assert live(host) == 2


def test_a_failed_or_finished_call_leaves_nothing_of_what_was_sent(
    host: Host, params: Params, tmp_path: Path, artifacts: dict[str, Artifact]
) -> None:
    for number, status in enumerate((500, 200)):
        responds = dict.fromkeys(range(9), answer(status))
        host.respond = responds.__getitem__
        sent = tmp_path / f"containerless-{number}"
        shutil.copy(artifacts["1.0"].blob, sent)
        with contextlib.suppress(ReleaseFailed):
            present(params(artifact=str(sent)))
        assert not sent.exists()
    assert os.path.exists(artifacts["1.0"].blob)


def arrived(host: Host, artifact: Artifact, number: int) -> str:
    path = f"{host.layout.sent}{number:032x}"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return shutil.copy(artifact.blob, path)


def test_an_artifact_goes_when_not_even_the_tool_could_be_put_there(
    host: Host, params: Params, artifacts: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: t.Any) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tool, "install", full)
    sent = arrived(host, artifacts["1.0"], 1)
    with pytest.raises(OSError, match="No space"):
        present(params(artifact=sent))
    assert not os.path.exists(sent)


def test_of_two_runs_that_were_sent_an_artifact_neither_takes_that_of_the_other(
    host: Host, params: Params, artifacts: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here one takes the lock while the other is about to; what a dead one left goes meanwhile."""
    dead, first, second = (
        arrived(host, artifacts[version], number) for number, version in enumerate(("1.0", "1.0", "2.0"))
    )
    for path in (dead, second):  # it waits for more than a minute
        os.utime(path, (0, 0))
    install = tool.install

    def meanwhile(*args: t.Any) -> bool:
        monkeypatch.setattr(tool, "install", install)
        present(params("1.0", artifact=first))
        assert [os.path.exists(each) for each in (dead, first, second)] == [False, False, True]
        return install(*args)

    monkeypatch.setattr(tool, "install", meanwhile)
    present(params("2.0", artifact=second, run="r2", migrations="accept"))
    assert (live(host), os.path.exists(second)) == (2, False)


def test_a_removal_takes_what_was_sent(host: Host, params: Params, artifacts: dict[str, Artifact]) -> None:
    present(params())
    sent = arrived(host, artifacts["1.0"], 1)
    os.utime(sent, (0, 0))
    act("absent", params())
    assert not os.path.exists(sent)


def test_a_run_that_changes_nothing_still_chooses_for_the_host(host: Host, params: Params) -> None:
    present(params())
    timer = host.layout.timer("cleanup", 1)
    for timers in (True, False):
        assert present(params(timers=timers, keep=7))["changed"] is False
        assert (timer in host.up) is timers
        assert State.read(host.layout).host_options() == {"keep": 7, "pinned": [], "timers": timers}


def test_a_phase_says_what_it_did_and_who_goes_on(host: Host, params: Params) -> None:
    staged = act("staged", params())
    assert (staged["changed"], staged["staged"], staged["run"], staged["activation"]) == (True, True, "r1", 1)
    held, activated, renewed = (act(state, params()) for state in ("held", "activated", "renewed"))
    assert [name for name, _seconds in held["steps"]] == ["arm", "hold"]
    assert [name for name, _seconds in activated["steps"]] == ["migrate", "start", "health", "commit", "watch"]
    assert renewed["steps"] == []
    confirmed = act("confirmed", params())
    assert [name for name, _seconds in confirmed["steps"]] == ["confirm", "drain", "finish"]
    assert {done["run"] for done in (held, activated, renewed, confirmed)} == {"r1"}


def test_what_another_host_could_not_take_is_reverted_with_its_reason(host: Host, params: Params) -> None:
    present(params("1.0"))
    act("staged", params("2.0", run="r2"))
    act("activated", params("2.0", run="r2"))
    done = act("reverted", params(run="r2", reason="not every host took it: b: answered 500"))
    assert (done["changed"], done["release"]) == (True, params("1.0")["desired"]["release_id"])
    assert State.read(host.layout).entries[-1].why == "not every host took it: b: answered 500"
    assert act("reverted", params(run="r2"))["changed"] is False


def test_warnings_are_called_notes_for_ansible(host: Host, params: Params) -> None:
    host.peers = [("DATABASES['default']", "db.internal", 5432)]
    staged = act("staged", params())
    assert "warnings" not in staged
    (note,) = staged["notes"]
    assert note.startswith("DATABASES['default'] names db.internal:5432")


def test_pruning_says_what_goes_before_it_goes(host: Host, params: Params) -> None:
    for version in ("1.0", "2.0", "3.0"):
        present(params(version, migrations="accept"))
        host.drain()
    first = params("1.0")["desired"]["release_id"]
    State.read(host.layout).write_host_options(keep=1)
    before = places(host)
    assert act("pruned", params(keep=1), True) == {"changed": True, "pruned": [first]}
    assert places(host) == before
    assert first in act("pruned", params(keep=1))["pruned"]
    for check in (True, False):
        assert act("pruned", params(keep=1), check) == {"changed": False, "pruned": []}


def test_going_back_from_what_nobody_confirmed_waits_for_nobody(host: Host, params: Params) -> None:
    present(params("1.0"))
    act("staged", params("2.0", run="r2"))
    act("activated", params("2.0", run="r2"))
    old = params("1.0")["desired"]["release_id"]
    assert act("rolled_back", params(), True)["release"] == old
    assert act("rolled_back", params(to=old))["release"] == old
    assert live(host) == 1


def test_an_answer_says_what_a_module_would(host: Host, params: Params) -> None:
    assert request.answer({**params(), "state": "staged"}, False)["staged"]
    with files.lock(host.layout.lock, "run r9 of eve", 0):
        said = request.answer({**params(), "state": "activated"}, False)
    assert said["failed"]
    assert "run r9 of eve" in said["msg"]
    host.respond = dict.fromkeys(range(9), answer(500)).__getitem__
    failed = request.answer({**params(), "state": "activated"}, False)
    assert failed["failed"]
    assert failed["evidence"]["step"] == "health"
