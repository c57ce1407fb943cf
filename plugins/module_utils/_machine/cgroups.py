# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cgroups of a machine on a host where no systemd manages them."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def make(groups: Iterable[str]) -> None:
    """Make them, empty."""
    for group in groups:
        Path(group).mkdir(exist_ok=True)


def remove(groups: Iterable[str], deadline: float = 10.0) -> None:
    """Remove them from the leaves up; the kernel lets go of ended processes a moment later."""
    limit = time.monotonic() + deadline
    for group in groups:
        while not _remove_tree(Path(group)) and time.monotonic() < limit:
            time.sleep(0.02)


def _remove_tree(group: Path) -> bool:
    with suppress(OSError):
        for folder, _folders, _files in os.walk(group, topdown=False):
            Path(folder).rmdir()
    return not group.exists()
