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

#: Controller -> the directive of systemd that needs it.
_LIMITS = {"memory": "MemoryMax", "pids": "TasksMax", "cpu": "CPUQuota"}


def unenforced(root: Path = Path("/sys/fs/cgroup")) -> list[dict[str, str]]:
    """Return the limits that a machine which shares this host's kernel can't hold, as role app_sandbox takes them."""
    listed = root / "cgroup.controllers"
    known = listed.read_text(encoding="ascii").split() if listed.exists() else []
    reason = "throwaway machine: version 1 of the host's control groups holds the controller"
    return [{"directive": limit, "reason": reason} for name, limit in _LIMITS.items() if name not in known]


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
