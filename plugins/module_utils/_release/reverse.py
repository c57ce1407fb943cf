# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes migrations back on the way to an older release: with the code that knows them, in its own sandbox."""

from __future__ import annotations

from .._core.errors import ContainerlessError
from . import database, processes
from .activations import Activations
from .journal import Ref
from .state import State, Stored


def reverse(
    activations: Activations, state: State, origin: Ref, target: Stored, newer: list[database.Migration]
) -> None:
    """Have the origin's code take `newer` back. Raises ContainerlessError with the last lines of its output."""
    newer_code = state.stored(origin.release)
    if newer_code is None:
        raise ContainerlessError(f"{origin.release} is no longer on this host; only its code can take migrations back")
    from . import manage

    migrations = target.manifest["django"]["migrations"] if target.manifest["django"] else []
    command = processes.manage(newer_code.manifest, activations.layout.tree(origin.content_id))
    for app, name in database.backwards(newer, migrations):
        argv = [*command, "migrate", app, name, "--noinput"]
        rc, out = manage.captured(activations.layout, activations.systemd, state, origin, argv)
        if rc != 0:
            last = "\n".join(out.strip().splitlines()[-12:])
            raise ContainerlessError(f"taking back migrations of {app} to {name} failed: {last}")
