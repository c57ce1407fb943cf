# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands of a test: in the sandbox of a release, outside of any, and how long they may take."""

from __future__ import annotations

import os
import sys
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release.journal import Ref
from ansible_collections.containerless.django.plugins.module_utils._release.state import Stored
from ansible_collections.containerless.django.plugins.module_utils._test.commands import Done, Sandbox

from ..documents import MANIFEST, RELEASE, SHA

ACTIVE = Ref(7, "1.0-0123456789ab", SHA)
TASK, WEB = "containerless-shop-task.applied@.service", "containerless-shop-web@.service"
SANDBOX = "[Service]\nPrivateNetwork=yes"
UNITS = {
    TASK: "[Service]\nUser=cl-shop\nTimeoutStopSec=5",
    WEB: "[Service]\nUser=cl-web\nRestart=always\nRestartSec=1\nSockets=x.socket",
    **{f"{name}.d/50-sandbox.conf": SANDBOX for name in (TASK, WEB)},
}


def sandbox(root: Path, *, timeout: float = 60, django: bool = True) -> Sandbox:
    stored = Stored(ACTIVE.release, RELEASE, {**MANIFEST, "django": MANIFEST["django"] if django else None}, SHA)
    state = types.SimpleNamespace(units=lambda _release: UNITS)
    return Sandbox(Layout("shop", root=str(root)), t.cast("t.Any", state), stored, ACTIVE, t.cast("int", timeout))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the argvs that would be run."""
    argvs: list[list[str]] = []

    def note(_self: Sandbox, argv: list[str], _end: object) -> Done:
        argvs.append(list(argv))
        return Done(0, "", "")

    monkeypatch.setattr(Sandbox, "_done", note)
    return argvs


@pytest.mark.parametrize("django", [True, False])
def test_a_command_has_every_line_of_the_releases_own_unit(tmp_path: Path, told: list[list[str]], django: bool) -> None:
    sandbox(tmp_path, django=django).run(["true"], ["[Service]\nExecPaths=/more"])
    (argv,) = told
    said = " ".join(argv)
    assert argv[0] == "systemd-run"
    assert all(
        word in said for word in (f"User=cl-{'shop' if django else 'web'}", "PrivateNetwork=yes", "ExecPaths=/more")
    )
    # One that is over is not started again, and the socket is the process's own.
    assert "Restart" not in said
    assert "Sockets=" not in said


def test_outside_there_is_no_sandbox_and_somebody_of_choice(tmp_path: Path, told: list[list[str]]) -> None:
    sandbox(tmp_path).outside(["id"], "cl-shop")
    assert told == [["setpriv", "--reuid=cl-shop", "--regid=cl-shop", "--clear-groups", "id"]]


def test_what_is_printed_is_kept_apart_and_together(tmp_path: Path) -> None:
    source = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    done = sandbox(tmp_path)._done([sys.executable, "-c", source], lambda child: child.kill())
    assert done == Done(3, "out\n", "out\nerr")


def test_a_command_that_takes_too_long_is_ended_and_says_so(tmp_path: Path) -> None:
    argv = [sys.executable, "-uc", "import time; print('begun'); time.sleep(60)"]
    done = sandbox(tmp_path, timeout=1)._done(argv, lambda child: child.kill())
    assert done.rc != 0
    assert done.log == "begun\n\nended after 1 s (app_test_timeout)"


def test_without_a_release_there_is_nothing_to_check(tmp_path: Path) -> None:
    layout = Layout("shop", root=str(tmp_path))
    os.makedirs(layout.var)
    with pytest.raises(
        ContainerlessError, match="^shop has no active release on this host; there is nothing to check$"
    ):
        Sandbox.of(layout, 60)
