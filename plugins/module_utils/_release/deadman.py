# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dead man's switch and the end of a drain: what the host does by itself, by the tool that was current then."""

from __future__ import annotations

import typing as t

from .._core.names import Layout
from . import tool
from .systemd import Systemd


def arm(layout: Layout, systemd: Systemd, run: str, seconds: float) -> None:
    """Have what `run` leaves unconfirmed taken back in `seconds`, unless `disarm` or a later `arm` comes first."""
    begin(layout, systemd, run, seconds)()


def begin(layout: Layout, systemd: Systemd, run: str, seconds: float) -> t.Callable[[], None]:
    """Begin to arm, and return what waits until it is armed.

    The switch is told whose it is: one that waited for the lock may get it when the next run is under way.
    """
    what = f"{layout.app}: take back what nobody confirms"
    return systemd.begin_after(layout.deadman, seconds, _command(layout, "expire", run), what)


def timer(layout: Layout) -> str:
    """Return the unit whose stop lets the switch go."""
    return f"{layout.deadman}.timer"


def disarm(layout: Layout, systemd: Systemd) -> None:
    systemd.never(layout.deadman)


def drain(layout: Layout, systemd: Systemd, activation: int, seconds: float) -> t.Callable[[], None]:
    """Begin to have an activation end in `seconds`, when its last requests are answered; return what waits for that."""
    what = f"{layout.app}: end activation {activation}"
    return systemd.begin_after(layout.drainer(activation), seconds, _command(layout, "drain", str(activation)), what)


def is_draining(layout: Layout, systemd: Systemd, activation: int) -> bool:
    return systemd.is_put_off(layout.drainer(activation))


def _command(layout: Layout, verb: str, *words: str) -> list[str]:
    """Return the call of this very version of the host tool: one that replaces it must not change what was promised."""
    return [tool.own_command(layout), verb, layout.app, *words]
