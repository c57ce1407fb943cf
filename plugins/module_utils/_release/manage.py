# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`containerless manage APP -- COMMAND`: a management command of the live release, in the sandbox of its processes."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import types
import typing as t

from .._core.names import PREFIX, Layout
from . import processes, transient
from .state import State

#: (argv of systemd-run, name of the unit, whether it has a terminal) -> exit code
Call = t.Callable[[list[str], str, bool], int]

#: Every Django release has this task; its text is the sandbox of what an operator runs.
_TASK = "applied"
_HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(layout: Layout, call: Call, state: State, argv: t.Sequence[str], *, terminal: bool) -> int:
    """Run a management command of the active release; return its exit code, or 128 + the signal that ended it."""
    command = [*_manage(layout, state), *argv]
    return _run(layout, call, state, command, terminal=terminal)


def script(layout: Layout, call: Call, state: State, source: str, *argv: str) -> int:
    """Run a text in the Python and the sandbox of a management command; it holds no `;` and no `$`."""
    return _run(layout, call, state, [_manage(layout, state)[0], "-c", source, *argv], bare=True)


def _manage(layout: Layout, state: State) -> list[str]:
    _active, stored = state.live()
    return processes.manage(stored.manifest, layout.tree(stored.content_id))


def _run(
    layout: Layout, call: Call, state: State, command: list[str], *, terminal: bool = False, bare: bool = False
) -> int:
    active, stored = state.live()
    units, task = state.units(stored.release_id), layout.template_task(_TASK)
    unit = f"{PREFIX}-{layout.app}-manage-{os.urandom(16).hex()}.service"
    told = transient.argv(
        [units[task], units[f"{task}.d/50-sandbox.conf"]],
        command,
        unit=unit,
        description=f"{layout.app}, a management command",
        activation=active.activation,
        terminal=terminal,
        bare=bare,
    )
    return call(told, unit, terminal)


def foreground(argv: list[str], unit: str, terminal: bool) -> int:
    """Run systemd-run to its end and hand on what signals come meanwhile: it would end alone, and the unit run on."""
    # Ctrl-C reaches a whole session; with a terminal of its own, the unit reads it as a key.
    child = subprocess.Popen(argv, start_new_session=not terminal)
    handed_on: list[int] = []

    def hand_on(number: int, _frame: types.FrameType | None) -> None:
        handed_on.append(number)
        told = ["systemctl", "kill", f"--signal={signal.Signals(number).name}", unit]
        if subprocess.run(told, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            child.terminate()

    with _handling(hand_on):
        code = child.wait()
    # systemd takes this end for success, and the shell in the unit has to die with its terminal.
    return 128 + signal.SIGHUP if code == 0 and signal.SIGHUP in handed_on else code


@contextlib.contextmanager
def _handling(handler: t.Callable[[int, types.FrameType | None], None]) -> t.Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _HANDED_ON}
    try:
        yield
    finally:
        for number, known in before.items():
            signal.signal(number, known)


def add_verb(verbs: t.Any) -> None:
    """Add the verb to the subparsers of the command."""
    verb = verbs.add_parser(
        "manage",
        help="run a management command of the live release in its sandbox",
        usage=f"{PREFIX} manage APP -- COMMAND [ARGUMENT ...]",
    )
    verb.add_argument("app", metavar="APP")
    # The rest of the line, whatever it begins with: options of the command are none of ours.
    verb.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="such as: migrate --plan")
    verb.set_defaults(call=_call)


def _call(options: argparse.Namespace) -> int:
    layout = Layout(options.app)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return run(layout, foreground, State.read(layout), options.command, terminal=terminal)
