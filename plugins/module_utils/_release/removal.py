# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes an app off a host."""

from __future__ import annotations

import grp
import os
import pwd
import shutil

from .._core.names import Layout
from . import deadman, files, leftovers, listen
from .systemd import Systemd


def is_there(layout: Layout, systemd: Systemd, *, data: bool) -> bool:
    """Say whether `remove` would find anything."""
    places = [layout.srv, layout.etc, layout.run, layout.active, layout.journal, layout.boot_unit_file]
    return bool(systemd.activations()) or any(map(os.path.lexists, [*places, *([layout.var] if data else [])]))


def remove(layout: Layout, systemd: Systemd, *, data: bool) -> None:
    """Stop and remove everything of an app; its data, its ledger and its user only when `data`."""
    deadman.disarm(layout, systemd)
    systemd.end(layout.gate)
    for number in systemd.activations():
        systemd.never(layout.drainer(number))
        systemd.uninstall(number)
    listen.follow(layout, systemd, {})
    if os.path.exists(layout.boot_unit_file):
        systemd.run(["systemctl", "disable", "--now", layout.boot_unit])
        files.remove(layout.boot_unit_file)
    systemd.stop(layout.slice)
    for path in (layout.active, layout.origin, layout.journal, layout.host_options):
        files.remove(path)
    for path in (layout.srv, layout.etc, layout.run, *([layout.var] if data else [])):
        shutil.rmtree(path, ignore_errors=True)
    if data:
        for name in _users(layout):
            systemd.run(["userdel", name])
        if any(known.gr_name == layout.shared_group for known in grp.getgrall()):
            systemd.run(["groupdel", layout.shared_group])
    leftovers.sweep(layout)
    systemd.reload()


def _users(layout: Layout) -> list[str]:
    """Return the users that were made for an app, whether a process of theirs ever ran or not.

    One that stood on the host before is somebody else's.
    """
    return [one.pw_name for one in pwd.getpwall() if one.pw_name == layout.user or one.pw_gecos == layout.owner]
