# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a machine: written before anything of it is made, so that every half-made one can be removed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1


@dataclass(frozen=True)
class State:
    """A machine as it was planned; made says whether it ever answered."""

    name: str
    project: str
    image: str
    recipe: str
    backend: str
    host: str
    port: int
    http: str
    interface: str = ""
    link: int = -1
    cgroups: tuple[str, ...] = ()
    made: bool = False


def dumps(state: State) -> str:
    """The state as its file holds it."""
    return json.dumps({"version": VERSION, **asdict(state)}, indent=2, sort_keys=True) + "\n"


def loads(text: str) -> State | None:
    """The state from its file; nothing when the file is torn or from another version."""
    try:
        data = json.loads(text)
        if data.pop("version") != VERSION:
            return None
        return State(**{**data, "cgroups": tuple(data["cgroups"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def load(path: Path) -> State | None:
    """The state in this file, if there is any."""
    try:
        return loads(path.read_text())
    except OSError:
        return None


def save(path: Path, state: State) -> None:
    """Replace the file as a whole."""
    fresh = path.with_suffix(".new")
    fresh.write_text(dumps(state))
    fresh.replace(path)
