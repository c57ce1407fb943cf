# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a run may be continued, on a clock that nobody can set: seconds since boot, sleep included.

CLOCK_BOOTTIME (clock_gettime(2)) with the kernel's id of the boot (random(4)): a clock that jumps changes nothing, and
no lease outlives a reboot.
"""

from __future__ import annotations

import time

from . import files

#: Where the kernel has no boot id, all boots are one.
_NO_BOOT = "00000000-0000-0000-0000-000000000000"


def boot_id() -> str:
    """Return the kernel's id of this boot."""
    return (files.read("/proc/sys/kernel/random/boot_id") or _NO_BOOT.encode()).decode().strip()


def now() -> int:
    """Return whole seconds since boot."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME))


def left(boot: str, deadline: int | None) -> int:
    """Return the seconds that a lease of boot `boot` still runs; 0 when it is over or there is none."""
    if deadline is None or boot != boot_id():
        return 0
    return max(0, deadline - now())
