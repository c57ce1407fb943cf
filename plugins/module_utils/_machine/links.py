# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which networks of the pool are taken on this host: one file per claim, whoever's cache the machine lives in."""

from __future__ import annotations

import json
from pathlib import Path

from . import host
from .locks import locked_folder
from .names import Link, pick_link

CLAIMS = Path("/run/containerless/links")


def claim(state_file: Path, key: str, claims: Path = CLAIMS) -> Link:
    """Take a free network for the machine whose state is kept in this file."""
    with locked_folder(claims):
        for entry in claims.iterdir():
            if not _is_held(entry):
                entry.unlink()
        held = {int(entry.name): Path(entry.read_text()) for entry in claims.iterdir()}
        mine = [index for index, owner in held.items() if owner == state_file]
        if mine:
            return Link(mine[0])
        routes = [
            route["dst"] for route in json.loads(host.run(["ip", "-json", "-4", "route", "show", "table", "all"]))
        ]
        link = pick_link(key, held, routes)
        (claims / str(link.index)).write_text(str(state_file))
        return link


def release(state_file: Path, claims: Path = CLAIMS) -> list[Link]:
    """Give back what the machine holds; the folder goes with the last claim."""
    if not claims.is_dir():
        return []
    with locked_folder(claims):
        mine = [entry for entry in claims.iterdir() if entry.read_text() == str(state_file)]
        for entry in mine:
            entry.unlink()
        if not any(claims.iterdir()):
            claims.rmdir()
    return [Link(int(entry.name)) for entry in mine]


def _is_held(entry: Path) -> bool:
    """A claim lives as long as the folder of its machine."""
    return Path(entry.read_text()).parent.is_dir()
