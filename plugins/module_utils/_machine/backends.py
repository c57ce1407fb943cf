# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backend a machine gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable

NSPAWN = "nspawn"
QEMU = "qemu"
AUTO = "auto"


def choose(wanted: str, root: bool, kvm: Callable[[], bool]) -> str:
    """An own kernel at full speed if this host can give it, else speed, else an own kernel in emulation."""
    if wanted == NSPAWN and not root:
        raise MachineError("backend: nspawn needs root, use become or choose qemu.")
    if wanted != AUTO:
        return wanted
    if kvm():
        return QEMU
    return NSPAWN if root else QEMU
