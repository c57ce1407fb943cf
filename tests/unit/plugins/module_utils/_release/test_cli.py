# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import cli
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Policy
from ansible_collections.containerless.django.plugins.module_utils._release.engine import Engine
from ansible_collections.containerless.django.plugins.module_utils._release.state import State
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import Artifact, Host, answer, desired

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
