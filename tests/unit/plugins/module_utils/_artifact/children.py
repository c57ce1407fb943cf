# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes a test left behind."""

from __future__ import annotations

import os
from pathlib import Path


def children(program: str) -> list[str]:
    """Return what the kernel says of each `program` that this process started and that is there still, zombies too."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    pids = [pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
    told = [Path(f"/proc/{pid}/stat").read_text() for pid in pids]
    return [line for line in told if f"({program})" in line]
