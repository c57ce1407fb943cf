# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import manage
from ansible_collections.containerless.django.plugins.module_utils._release.journal import Ref
from ansible_collections.containerless.django.plugins.module_utils._release.state import State, Stored

from ..documents import MANIFEST, RELEASE, SHA

ACTIVE = Ref(7, "1.0-0123456789ab", SHA)
TASK = "containerless-shop-task.applied@.service"


class Known(State):
    """A host that has one release."""

    django: dict[str, t.Any] | None = MANIFEST["django"]

    def stored(self, release_id: str) -> Stored | None:
        return Stored(release_id, RELEASE, {**MANIFEST, "django": self.django}, SHA)

    def units(self, release_id: str) -> dict[str, str]:
        return {TASK: "[Service]\nUser=cl-shop\n", f"{TASK}.d/50-sandbox.conf": "[Service]\nUMask=00%i\n"}


@pytest.fixture
def calls() -> list[tuple[list[str], str, bool]]:
    return []


def ask(calls: list[tuple[list[str], str, bool]], state: State, *argv: str, terminal: bool = False) -> int:
    def call(*asked: t.Any) -> int:
        calls.append(asked)
        return 5

    return manage.run(Layout("shop"), call, state, argv, terminal=terminal)


@pytest.mark.parametrize("terminal", [True, False])
def test_it_runs_in_the_sandbox_of_the_live_release(calls: list[t.Any], terminal: bool) -> None:
    assert ask(calls, Known(Layout("shop"), active=ACTIVE), "migrate", "--plan", terminal=terminal) == 5
    ((told, unit, with_terminal),) = calls
    tree = f"/srv/containerless/shop/trees/{SHA}"
    assert told[-5:] == ["sh", f"{tree}/venv/bin/python", f"{tree}/app/manage.py", "migrate", "--plan"]
    assert [word for word in told if word.startswith("--property=")] == [
        "--property=User=cl-shop",
        "--property=UMask=007",
    ]
    assert f"--unit={unit}" in told
    assert with_terminal is terminal


def test_two_commands_may_run_at_once(calls: list[t.Any]) -> None:
    for _ in range(2):
        ask(calls, Known(Layout("shop"), active=ACTIVE), "check")
    assert calls[0][1] != calls[1][1]
    assert all(unit.startswith("containerless-shop-manage-") for _told, unit, _terminal in calls)


def test_nothing_runs_without_an_active_release(calls: list[t.Any]) -> None:
    with pytest.raises(ContainerlessError, match="shop has no active release on this host"):
        ask(calls, Known(Layout("shop")), "check")
    assert calls == []


def test_a_project_without_django_has_no_commands(calls: list[t.Any]) -> None:
    state = Known(Layout("shop"), active=ACTIVE)
    state.django = None
    with pytest.raises(ContainerlessError, match="no Django project"):
        ask(calls, state, "check")
    assert calls == []


# what is typed -> app and command
TYPED: list[tuple[list[str], list[str]]] = [
    (["shop", "--", "migrate", "--plan"], ["migrate", "--plan"]),
    (["shop", "migrate"], ["migrate"]),
    (["shop", "--", "shell", "-c", "print(1)"], ["shell", "-c", "print(1)"]),
    (["shop", "--", "run", "--", "-x"], ["run", "--", "-x"]),
    (["shop", "migrate", "--plan"], ["migrate", "--plan"]),
    (["shop", "run", "--", "-x"], ["run", "--", "-x"]),
    (["shop", "--", "--help"], ["--help"]),
    (["shop", "--"], []),
    (["shop"], []),
]


@pytest.mark.parametrize(("typed", "command"), TYPED)
def test_what_follows_two_dashes_is_the_command(typed: list[str], command: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="containerless")
    manage.add_verb(parser.add_subparsers(dest="verb", required=True))
    options = parser.parse_args(["manage", *typed])
    assert (options.app, options.command) == ("shop", command)


# Signals: a program in the place of systemd-run, and another in the place of systemctl.


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ends the child as a unit would end that is sent a signal, and notes what it was told."""
    program = tmp_path / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/told\n[ ! -e {tmp_path}/fail ] || exit 1\ntouch {tmp_path}/end\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


def _child(folder: Path, code: int) -> list[str]:
    script = (
        "import os, sys, time\n"
        "open(sys.argv[1] + '/ready', 'w').close()\n"
        "while not os.path.exists(sys.argv[1] + '/end'): time.sleep(0.01)\n"
        "sys.exit(int(sys.argv[2]))\n"
    )
    return [sys.executable, "-c", script, str(folder), str(code)]


def _send(folder: Path, number: signal.Signals) -> threading.Thread:
    def send() -> None:
        while not (folder / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


SIGNALS = [(signal.SIGINT, 130, 130), (signal.SIGTERM, 143, 143), (signal.SIGTERM, 0, 0), (signal.SIGHUP, 0, 129)]


@pytest.mark.parametrize(("number", "code", "wanted"), SIGNALS)
def test_a_signal_goes_to_the_unit_and_its_exit_code_comes_back(
    systemctl: Path, number: signal.Signals, code: int, wanted: int
) -> None:
    before = signal.getsignal(number)
    sender = _send(systemctl, number)
    assert manage.foreground(_child(systemctl, code), "u.service", terminal=False) == wanted
    sender.join()
    assert (systemctl / "told").read_text() == f"kill --signal={number.name} u.service\n"
    assert signal.getsignal(number) is before


def test_a_unit_that_is_not_there_yet_is_not_waited_for(systemctl: Path) -> None:
    (systemctl / "fail").touch()
    sender = _send(systemctl, signal.SIGTERM)
    assert manage.foreground(_child(systemctl, 0), "u.service", terminal=False) == -signal.SIGTERM
    sender.join()


def test_ctrl_c_reaches_the_unit_once_and_not_systemd_run(systemctl: Path) -> None:
    """Without a terminal of its own, systemd-run has to be out of the session that a key reaches."""
    code = "import os, sys; sys.exit(0 if os.getsid(0) == os.getpid() else 1)"
    assert manage.foreground([sys.executable, "-c", code], "u", terminal=False) == 0
    assert manage.foreground([sys.executable, "-c", code], "u", terminal=True) == 1
