# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes migrations back on the way to an older release: with the code that knows them, in its own sandbox."""

from __future__ import annotations

import json
import pkgutil
import typing as t

from .._core.errors import ContainerlessError
from .._core.names import Layout
from . import database, manage
from .probes import way_back
from .state import State
from .systemd import Run


def plan(layout: Layout, run: Run, state: State, newer: t.Sequence[database.Migration]) -> list[database.Migration]:
    """Return the calls of `migrate` that take `newer` back, by the graph of the active release's code.

    Raises Refused where they would take back more, or not all of it. Undoes nothing.
    """
    said = _Said(run)
    # The module's own code comes in a zip file.
    source = t.cast("bytes", pkgutil.get_data(way_back.__package__, "way_back.py")).decode()
    if manage.script(layout, said.call, state, source, json.dumps([list(key) for key in newer])) != 0:
        raise ContainerlessError(f"asking the live code how it takes migrations back failed: {said.last_lines()}")
    try:
        found = {name: [(app, key) for app, key in keys] for name, keys in json.loads(said.out).items()}
    except ValueError:
        raise ContainerlessError(
            f"asking the live code how it takes migrations back gave no answer: {said.last_lines()}"
        ) from None
    database.refuse_one_way(left=found["left"], more=found["more"], stuck=found["stuck"])
    return found["calls"]


def reverse(layout: Layout, run: Run, state: State, calls: t.Iterable[database.Migration]) -> None:
    """Have the active release's code do what was planned. Raises ContainerlessError with the last lines it said."""
    said = _Said(run)
    for app, name in calls:
        if manage.run(layout, said.call, state, ["migrate", app, name, "--noinput"], terminal=False) != 0:
            raise ContainerlessError(f"taking back the migrations of {app} to {name} failed: {said.last_lines()}")


class _Said:
    """Runs one command after the other and keeps what the last one said."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.out = self.err = ""

    def call(self, argv: list[str], _unit: str, _terminal: bool) -> int:
        rc, self.out, self.err = self._run(argv)
        return rc

    def last_lines(self) -> str:
        return "\n".join((self.out + self.err).strip().splitlines()[-12:])
