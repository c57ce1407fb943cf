# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dead man's switch and the end of a drain: what the host does by itself, by the tool that was current then."""

from __future__ import annotations

from .._core.names import Layout
from . import tool
from .systemd import Systemd


def arm(layout: Layout, systemd: Systemd, seconds: float) -> None:
    """Have an unconfirmed release taken back in `seconds`, unless `disarm` or a later `arm` comes first."""
    what = f"{layout.app}: take back what nobody confirms"
    systemd.after(layout.deadman, seconds, _command(layout, "expire"), what)


def disarm(layout: Layout, systemd: Systemd) -> None:
    systemd.never(layout.deadman)


def drain(layout: Layout, systemd: Systemd, activation: int, seconds: float) -> None:
    """Have an activation end in `seconds`, when its last requests are answered."""
    what = f"{layout.app}: end activation {activation}"
    systemd.after(layout.drainer(activation), seconds, _command(layout, "drain", str(activation)), what)


def is_draining(layout: Layout, systemd: Systemd, activation: int) -> bool:
    return systemd.is_put_off(layout.drainer(activation))


def _command(layout: Layout, verb: str, *words: str) -> list[str]:
    """Return the call of this very version of the host tool: one that replaces it must not change what was promised."""
    return [tool.own_command(layout), verb, layout.app, *words]
