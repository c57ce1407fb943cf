# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The TCP socket of an app without a proxy in front: one per app, so that two activations never want one port."""

from __future__ import annotations

import os

from .._core.names import Layout
from . import files
from .systemd import Systemd


def follow(layout: Layout, systemd: Systemd, units: dict[str, str]) -> None:
    """Have the listening units that a release brings, started anew only when their text changed."""
    names = [layout.listen("service"), layout.listen("socket")]
    wanted = {name: units[name].encode() for name in names if name in units}
    paths = {name: os.path.join(layout.units, name) for name in names}
    known = {name: data for name, path in paths.items() for data in [files.read(path)] if data is not None}
    if known != wanted:
        if known:
            systemd.forget(*names)
        for name, path in paths.items():
            if name in wanted:
                files.directory(layout.units)
                files.write(path, wanted[name])
            else:
                files.remove(path)
        systemd.reload()
    if wanted:
        systemd.start(layout.listen("socket"))
