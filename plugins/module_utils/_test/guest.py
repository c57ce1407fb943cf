# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An app as a guest of a host that is somebody else's: it comes for a test, and leaves with its data."""

from __future__ import annotations

import inspect
import os
import sys
import typing as t

from .._core.errors import ContainerlessError
from .._core.names import PREFIX, Layout
from .._release import files, removal
from .._release.state import State
from .._release.systemd import Systemd
from . import database

#: What the reason of every release of a test begins with in the ledger.
WHY = "a test of app_test"
#: Seconds for a run that an interrupted test has left at work on the host: it holds the app's lock.
_PATIENCE = 60.0
#: Run by the host itself once a test is overdue, with the host tool of the release that it left, and then without.
_LEAVE = """
import os, sys
sys.path.insert(0, {tools!r})
try:
    from {package}._core.names import Layout
    from {package}._release import files, removal
    from {package}._release.state import State
    from {package}._release.systemd import Systemd
except ImportError:
    pass  # nothing was released
else:
    layout = Layout({app!r})
    with files.lock(layout.lock, {why!r}, {patience}):
        if all(entry.why.startswith({why!r}) for entry in State.read(layout).entries if entry.state == "staged"):
            Systemd(layout).stop({client!r})
            removal.remove(layout, Systemd(layout), data=True)
drop({app!r})
"""


def welcome(layout: Layout, systemd: Systemd, lease: float) -> bool:
    """Make room for a test that has `lease` seconds; say whether something had to go.

    Raises ContainerlessError where the app is more than a guest.
    """
    if lease < 1:
        raise ContainerlessError(f"app_test_lease is {lease}; it is seconds, at least 1")
    left = _take_off(layout, systemd)
    told = {"app": layout.app, "why": WHY, "patience": _PATIENCE, "client": client(layout)}
    leave = _LEAVE.format(tools=f"{layout.tools}/current", package=PREFIX, **told)
    command = inspect.getsource(database) + leave
    argv = [sys.executable, "-IS", "-c", command]
    systemd.after(_lease(layout), lease, argv, f"{layout.app}: end a test that nobody ended")
    return left


def see_off(layout: Layout, systemd: Systemd, *, keep: bool) -> bool:
    """Take a guest off the host, with its data, or let it stay until the next test; say whether something went.

    Raises ContainerlessError where the app is more than a guest.
    """
    systemd.stop(client(layout))
    left = not keep and _take_off(layout, systemd)
    systemd.never(_lease(layout))
    return left


def _take_off(layout: Layout, systemd: Systemd) -> bool:
    """Remove what a test has left, its database too; say whether there was anything."""
    left = removal.is_there(layout, systemd, data=True)
    if left:
        with files.lock(layout.lock, WHY, _PATIENCE):
            _require_guest(layout, systemd)
            systemd.stop(client(layout))
            removal.remove(layout, systemd, data=True)
    return database.drop(layout.app, systemd.run) or left


def has_left(layout: Layout, systemd: Systemd) -> bool:
    """Say whether a test has left something. Raises ContainerlessError where the app is more than a guest."""
    left = removal.is_there(layout, systemd, data=True)
    if left:
        _require_guest(layout, systemd)
    return left


def _require_guest(layout: Layout, systemd: Systemd) -> None:
    came = [entry.why for entry in State.read(layout).entries if entry.state == "staged"]
    # A lease that runs says that the place was empty when the test began.
    old_data = os.path.lexists(layout.data) and not systemd.is_put_off(_lease(layout))
    if not is_guest(came, has_data=old_data):
        raise ContainerlessError(
            f"{layout.app} is on this host by other releases than those of a test, and a test ends with the removal of"
            " the app and its data; name hosts in app_test_hosts that can be thrown away"
        )


def is_guest(came: t.Sequence[str], *, has_data: bool) -> bool:
    """Say whether tests alone released an app, by the reasons of its releases; `has_data`: data was there before."""
    return all(why.startswith(WHY) for why in came) and (bool(came) or not has_data)


def client(layout: Layout) -> str:
    """Return the unit of the client of level full: it is in no slice of the app, so no removal of the app ends it."""
    return f"{PREFIX}-{layout.app}-load.service"


def _lease(layout: Layout) -> str:
    return f"{PREFIX}-{layout.app}-test"
