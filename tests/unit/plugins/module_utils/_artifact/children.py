# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes a test left behind."""

from __future__ import annotations

import os
from pathlib import Path


def children(program: str) -> list[str]:
    """Return what the kernel says of each `program` that this process started and that is there still, zombies too."""
    pids = [pid for task in Path(f"/proc/{os.getpid()}/task").iterdir() for pid in _said(task / "children").split()]
    return [line for line in (_said(Path(f"/proc/{pid}/stat")) for pid in pids) if f"({program})" in line]


def _said(path: Path) -> str:
    """Return a text of the kernel, an empty one of a thread or process that ended since it was listed."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
