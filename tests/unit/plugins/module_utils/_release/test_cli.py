# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import json
import os
import re
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import (
    cli,
    engine as engines,
    files,
    hostinfo,
    lease,
    request,
)
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired, Policy
from ansible_collections.containerless.django.plugins.module_utils._release.engine import Engine
from ansible_collections.containerless.django.plugins.module_utils._release.state import State
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import Artifact, Host, answer, desired
from .runs import assert_whole, go_on, release, stage

Call = t.Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Return the command, which works in a folder and returns exit code, standard output and standard error."""
    monkeypatch.setattr(cli, "Layout", lambda app: Layout(app, root=host.layout.root))
    monkeypatch.setattr(cli, "Systemd", lambda layout: Systemd(layout, host))
    monkeypatch.setattr(cli, "_apps", lambda: sorted(os.listdir(os.path.dirname(host.layout.var))))
    monkeypatch.setenv("SUDO_USER", "alice")

    def run(*argv: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(argv)
        return (ended.value.code or 0, *capsys.readouterr())  # type: ignore[return-value]

    return run


@pytest.fixture
def releases(host: Host, artifacts: dict[str, Artifact], group: str) -> list[str]:
    """Release 1.0 and 2.0 and return their ids."""
    ids = []
    for version in ("1.0", "2.0"):
        wanted = desired(artifacts[version], group)
        host.pending = [("shop", "0001_initial"), ("shop", "0002_grow")][len(ids) : len(ids) + 1]
        engine = Engine(host.layout, Systemd(host.layout, host), run="r1", who="ops", why="", policy=Policy(drain=0))
        with engine.locked():
            engine.release(wanted)
        ids.append(wanted.release_id)
    return ids


def test_status_without_an_app(host: Host, call: Call) -> None:
    os.makedirs(os.path.dirname(host.layout.var))
    assert call("status") == (0, "no app was released on this host\n", "")


def test_status(host: Host, call: Call, releases: list[str]) -> None:
    assert "  draining: activation 1" in call("status")[1].splitlines()
    host.drain()
    code, out, _err = call("status")
    assert code == 0
    assert out.splitlines() == [
        f"shop: {releases[1]} (activation 2), running",
        "  signature: unsigned",
        "  sandbox: strict",
        "  web            active (running), 0 restarts",
        "  worker         active (running), 0 restarts",
        "  timer.cleanup  inactive (dead)",
    ]
    host.shown["containerless-shop-worker@2.service"] = {"ActiveState": "failed", "SubState": "failed"}
    code, out, _err = call("status", "shop")
    assert code == 3
    assert "NOT RUNNING" in out
    assert json.loads(call("status", "--json")[1])[0]["release"] == releases[1]


def test_history(call: Call, releases: list[str]) -> None:
    code, out, _err = call("history", "shop")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert lines[0] == ["no.", "release", "state", "time", "who", "why"]
    assert [line[:3] for line in lines[1:]] == [["1", releases[0], "good"], ["*", "2", releases[1]]]
    assert [entry["activation"] for entry in json.loads(call("history", "shop", "--json")[1])] == [1, 2]


def test_verify(host: Host, call: Call, releases: list[str]) -> None:
    code, out, _err = call("verify", "shop")
    assert (code, out.endswith("0 differ from the manifest\n")) == (0, True)
    active = State.read(host.layout).active
    assert active is not None
    Path(host.layout.tree(active.content_id), "app/manage.py").write_text("import os", "utf-8")
    code, out, _err = call("verify", "shop")
    assert code == 1
    assert out.splitlines()[0] == "app/manage.py: changed"


def test_rollback(host: Host, call: Call, releases: list[str]) -> None:
    code, out, _err = call("rollback", "shop", "--drain", "0", "--accept-newer-schema", "--why", "it was too blue")
    assert code == 0
    assert out.splitlines()[0] == f"{releases[1]} -> {releases[0]} (activation 3)"
    last = [entry for entry in State.read(host.layout).entries if entry.activation == 3][-1]
    assert (last.who, last.why, last.state) == ("alice", "it was too blue", "good")


@pytest.mark.parametrize(("words", "beside"), [([], [2]), (["--hold"], [])])
def test_a_rollback_holds_requests_where_two_do_not_fit(
    host: Host, call: Call, releases: list[str], words: list[str], beside: list[int]
) -> None:
    host.drain()
    started: list[list[int]] = []
    host.before = lambda argv: (
        started.append(list(host.webs)) if argv[1] == "start" and "web@3.service" in " ".join(argv) else None
    )
    assert call("rollback", "shop", "--drain", "0", "--accept-newer-schema", *words)[0] == 0
    assert started == [beside]
    assert_whole(host, releases[0])


def test_a_rollback_that_fails_shows_what_was_logged(host: Host, call: Call, releases: list[str]) -> None:
    host.respond = lambda _number: answer(500)
    host.logs["containerless-shop-web@3.service"] = "ValueError: correct-horse"
    code, _out, err = call("rollback", "shop", releases[0], "--drain", "0", "--accept-newer-schema")
    assert code == 1
    assert err.splitlines()[1:] == ["--- containerless-shop-web@3.service", "ValueError: ********"]
    assert f"{releases[1]} stays live" in err.splitlines()[0]


def test_boot(host: Host, call: Call, releases: list[str]) -> None:
    host.reboot()
    assert call("boot", "shop") == (0, f"shop: {releases[1]}\n", "")
    assert list(host.webs) == [2]


def test_boot_of_an_app_that_was_never_live(host: Host, call: Call) -> None:
    assert call("boot", "shop") == (0, "shop: nothing to bring back\n", "")


REFUSED = [
    (("verify", "shop"), 1, "containerless: shop has no active release on this host"),
    (("rollback", "shop"), 1, "containerless: shop has no active release on this host"),
    (("rollback", "Shop"), 1, "containerless: app_name 'Shop' must be"),
    (("dance",), 2, "invalid choice"),
    ((), 2, "required"),
]


@pytest.mark.parametrize(("argv", "code", "message"), REFUSED)
def test_refusals(call: Call, argv: tuple[str, ...], code: int, message: str) -> None:
    found, _out, err = call(*argv)
    assert found == code
    assert message in err


def test_a_person_without_rights_is_told(host: Host, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_layout: Layout) -> State:
        raise PermissionError(13, "Permission denied", "/var/lib/containerless/shop/ledger.jsonl")

    monkeypatch.setattr(State, "read", denied)
    code, _out, err = call("status", "shop")
    assert code == 1
    assert err == "containerless: Permission denied: /var/lib/containerless/shop/ledger.jsonl; run it as root\n"


def test_an_app_that_was_removed_does_not_fail_the_status(host: Host, call: Call) -> None:
    os.makedirs(host.layout.data)
    assert call("status")[0] == 0


def test_a_folder_that_is_no_app_does_not_fail_the_status(host: Host, call: Call, releases: list[str]) -> None:
    os.makedirs(f"{os.path.dirname(host.layout.var)}/shop.bak")
    assert call("status")[0] == 0


# What timers of the host call.


@pytest.fixture
def unconfirmed(host: Host, releases: list[str], wanted: dict[str, Desired]) -> str:
    """Activate 1.0 above 2.0 and leave it there; return its id."""
    host.drain()
    stage(host, wanted["1.0"], confirm_timeout=60)
    go_on(host, "activate")
    return releases[0]


def test_what_is_under_way_is_part_of_the_status(
    host: Host, call: Call, releases: list[str], wanted: dict[str, Desired]
) -> None:
    stage(host, wanted["1.0"], confirm_timeout=60)
    said = "  a release is under way, at step"
    assert f"{said} verify; the next run or boot clears up" in call("status")[1].splitlines()
    go_on(host, "activate")
    assert re.search(rf"^{said} watch; taken back in 6[01] s unless confirmed$", call("status")[1], re.MULTILINE)


def test_a_python_that_is_gone_is_a_problem(host: Host, call: Call, releases: list[str]) -> None:
    active = State.read(host.layout).active
    assert active is not None
    os.unlink(f"{host.layout.tree(active.content_id)}/venv/bin/python")
    for verb, code in (("status", 3), ("verify", 1)):
        found, out, _err = call(verb, "shop")
        assert found == code
        assert "PROBLEM: " in out


def test_expire_takes_back_what_nobody_confirmed(
    host: Host, call: Call, releases: list[str], unconfirmed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = lease.now()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        monkeypatch.setattr(lease, "now", lambda: now + 30 * len(waits))

    monkeypatch.setattr(engines.time, "sleep", wait)
    assert call("expire", "shop", "r0") == (0, "shop: revert\n", "")
    assert len(waits) == 3
    last = State.read(host.layout).entries[-1]
    assert (last.state, last.who) == ("rolled_back", "alice")
    assert_whole(host, releases[1])
    assert call("expire", "shop", "r0") == (0, "shop: nothing to take back\n", "")


def test_expire_comes_too_late_for_what_was_confirmed_while_it_waited(
    host: Host, call: Call, unconfirmed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def confirmed(_seconds: float) -> None:
        monkeypatch.setattr(engines.time, "sleep", lambda _seconds: pytest.fail("it waits on"))
        go_on(host, "confirm")

    monkeypatch.setattr(engines.time, "sleep", confirmed)
    assert call("expire", "shop", "r0") == (0, "shop: nothing to take back\n", "")
    assert_whole(host, unconfirmed)


def test_a_switch_that_comes_late_leaves_the_next_run_alone(
    host: Host, call: Call, unconfirmed: str, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = lease.now() + 90
    monkeypatch.setattr(lease, "now", lambda: later)
    stage(host, wanted["3.0"], run="r9", migrations="accept")
    assert call("expire", "shop", "r0") == (0, "shop: nothing to take back\n", "")
    go_on(host, "activate", run="r9")
    assert call("expire", "shop", "r0") == (0, "shop: nothing to take back\n", "")
    go_on(host, "confirm", run="r9")
    assert_whole(host, wanted["3.0"].release_id)


def test_drain_ends_an_activation_and_prunes(
    host: Host, call: Call, releases: list[str], wanted: dict[str, Desired]
) -> None:
    release(host, wanted["3.0"], migrations="accept", keep=1)
    assert sorted(host.webs) == [1, 2, 3]
    host.later.pop(host.layout.drainer(1))
    assert call("drain", "shop", "1") == (0, "shop: activation 1 ended, 2 releases and trees removed\n", "")
    assert sorted(host.webs) == [2, 3]
    assert not os.path.exists(host.layout.release(releases[0]))
    assert_whole(host, wanted["3.0"].release_id)


def test_drain_leaves_what_is_live_alone(host: Host, call: Call, releases: list[str]) -> None:
    code, _out, err = call("drain", "shop", "2")
    assert code == 1
    assert "activation 2 is live" in err
    assert 2 in host.webs


def test_drain_leaves_what_is_under_way_alone(
    host: Host, call: Call, releases: list[str], wanted: dict[str, Desired]
) -> None:
    stage(host, wanted["3.0"], migrations="accept")
    host.later.clear()
    assert call("drain", "shop", "1")[0] == 0
    go_on(host, "activate")
    assert call("drain", "shop", "1")[0] == 0
    go_on(host, "confirm")
    assert_whole(host, wanted["3.0"].release_id)


def test_drain_does_not_wait_for_a_run_that_holds_the_lock(host: Host, call: Call, releases: list[str]) -> None:
    with files.lock(host.layout.lock, "run r9 of eve", 0):
        assert call("drain", "shop", "1") == (0, "", "")
    assert list(host.webs) == [2]


def test_a_release_can_be_pinned_and_unpinned(
    host: Host, call: Call, releases: list[str], wanted: dict[str, Desired]
) -> None:
    stage(host, wanted["3.0"], migrations="accept")
    for verb, argument, pinned in (
        ("pin", releases[0], [releases[0]]),
        ("pin", releases[1], sorted(releases)),
        ("pin", releases[1], sorted(releases)),
        ("unpin", releases[0], [releases[1]]),
    ):
        assert call(verb, "shop", argument) == (0, "", "")
        assert json.loads(call("status", "--json")[1])[0]["pinned"] == pinned
    go_on(host, "activate", "confirm")
    assert call("pin", "shop", "9.9-0123456789ab") == (
        1,
        "",
        "containerless: 9.9-0123456789ab is not on this host; `containerless history shop` tells\n",
    )


def test_a_rollback_waits_for_no_confirmation(host: Host, call: Call, releases: list[str], unconfirmed: str) -> None:
    code, out, _err = call("rollback", "shop", "--drain", "0")
    assert (code, out.splitlines()[0]) == (0, f"a release that nobody confirmed -> {releases[1]} (activation 2)")
    assert_whole(host, releases[1])


LEARN = [
    ([], ("web", [], 20, [])),
    (
        ["worker", "--json", "--seconds", "5", "--", "python", "-c", "x --json"],
        ("worker", ["python", "-c", "x --json"], 5, []),
    ),
    (["--path", "/a", "--path", "/b"], ("web", [], 20, ["/a", "/b"])),
]


@pytest.mark.parametrize(("words", "read"), LEARN)
def test_what_stands_behind_the_dashes_is_the_command_to_learn_from(words: list[str], read: tuple[t.Any, ...]) -> None:
    options = cli._parse(["learn", "shop", *words])
    assert (options.process, options.command, options.seconds, options.path) == read


def test_the_tool_answers_what_a_module_would(
    host: Host, call: Call, releases: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(**asked: t.Any) -> dict[str, t.Any]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"check": False, **asked})))
        code, out, _err = call("answer", "shop")
        assert code == 0
        return dict(json.loads(out))

    monkeypatch.setattr(hostinfo, "host", lambda _systemd: {"machine": "x86_64"})
    seen = ask(params={})
    assert (seen["app"]["release"], seen["host"], len(seen["trees"])) == (releases[1], {"machine": "x86_64"}, 2)
    monkeypatch.setattr(request, "Layout", lambda _app: host.layout)
    params = {"name": "shop", "state": "pruned", "keep": 0, "run": "r2", "who": "ops", "reason": ""}
    policy = {name: value for name, value in vars(Policy()).items() if name != "secrets"}
    said = ask(params={**policy, "secrets_from": "newest", **params})
    assert said == {"failed": True, "msg": "app_release_keep is 0; it must be at least 1"}
    # Whoever prints what comes over the connection prints no secret, and a run goes on by its id.
    monkeypatch.setattr(request, "answer", lambda _params, _check: {"run": "0a1correct2", "msg": "no correct-horse"})
    assert ask(params={"secrets": {"KEY": "correct-horse", "A": "1", "B": "correct"}}) == {
        "run": "0a1correct2",
        "msg": "no ********",
    }

    def denied(_layout: Layout) -> State:
        raise PermissionError(13, "Permission denied", "/var/lib/ledger.jsonl")

    monkeypatch.setattr(State, "read", denied)
    told = {"failed": True, "msg": "Permission denied: /var/lib/ledger.jsonl (is become: true set?)"}
    assert ask(params={}) == told
