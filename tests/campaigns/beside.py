# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a computer did beside a campaign: figures of latency that were taken beside other work are void."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: In the environment of what this process starts, machines among it, which outlive who started them.
MARK = "CONTAINERLESS_CAMPAIGN"
_TICK = os.sysconf("SC_CLK_TCK")


def claim() -> None:
    """Mark all that is started from now on as ours."""
    os.environ[MARK] = str(os.getpid())


def others(proc: Path = Path("/proc")) -> float:
    """Return the seconds of all processors since the boot that went to nothing of ours, stolen ones among them."""
    return busy((proc / "stat").read_text(encoding="ascii")) - _ours(proc)


def busy(stat: str) -> float:
    """Return the seconds of the first line of proc(5) stat: all but idle, iowait, and guests, which count as user."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_guests = map(int, stat.split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq + steal) / _TICK


def _ours(proc: Path) -> float:
    wanted = f"{MARK}={os.getpid()}".encode()
    total = 0.0
    for entry in proc.iterdir():
        # What ends between two looks is counted by who waited for it.
        with suppress(OSError):
            if entry.name == str(os.getpid()) or (
                entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0")
            ):
                total += spent((entry / "stat").read_text(encoding="utf-8", errors="replace"))
    return total


def spent(stat: str) -> float:
    """Return the seconds of a process and of its children that ended: utime, stime, cutime and cstime of proc(5)."""
    return sum(map(int, stat.rpartition(")")[2].split()[11:15])) / _TICK
