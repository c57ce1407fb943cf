# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes migrations back on the way to an older release: with the code that knows them, in its own sandbox."""

from __future__ import annotations

from .._core.errors import ContainerlessError
from .._core.names import Layout
from . import database, manage
from .state import State, Stored
from .systemd import Run


def reverse(layout: Layout, run: Run, state: State, target: Stored, newer: list[database.Migration]) -> None:
    """Have the active release's code take `newer` back. Raises ContainerlessError with the last lines of its output."""
    said: list[str] = []

    def call(argv: list[str], _unit: str, _terminal: bool) -> int:
        rc, out, err = run(argv)
        said[:] = (out + err).strip().splitlines()[-12:]
        return rc

    migrations = target.manifest["django"]["migrations"] if target.manifest["django"] else []
    for app, name in database.backwards(newer, migrations):
        if manage.run(layout, call, state, ["migrate", app, name, "--noinput"], terminal=False) != 0:
            raise ContainerlessError(f"taking back the migrations of {app} to {name} failed: " + "\n".join(said))
