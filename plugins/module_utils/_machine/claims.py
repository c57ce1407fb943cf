# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that only one machine may hold, such as networks and ports: one file per claim, taken under a lock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .locks import locked_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Container


def claim(folder: Path, owner: Path, pick: Callable[[Container[int]], int]) -> int:
    """Take a free number for the machine with this folder; it keeps the one that it has."""
    with locked_folder(folder):
        held = {}
        for entry in folder.iterdir():
            holder = Path(entry.read_text())
            if holder.is_dir():
                held[int(entry.name)] = holder
            else:
                entry.unlink()
        for number, holder in held.items():
            if holder == owner:
                return number
        number = pick(held)
        (folder / str(number)).write_text(str(owner))
        return number


def release(folder: Path, owner: Path) -> list[int]:
    """Give back what the machine holds; the folder goes with the last claim."""
    if not folder.is_dir():
        return []
    with locked_folder(folder):
        mine = [entry for entry in folder.iterdir() if entry.read_text() == str(owner)]
        for entry in mine:
            entry.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
    return [int(entry.name) for entry in mine]
