# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a virtual machine on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import MachineError

if TYPE_CHECKING:
    from .paths import Cache, ImagePaths, MachinePaths
    from .recipes import Recipe
    from .state import State


def require_tools() -> None:
    """What has to be installed."""
    raise MachineError("backend: qemu is not there yet.")


def kvm_works(cache: Cache, recipe: Recipe) -> bool:
    """Whether KVM boots the kernel of the image."""
    return False


def plan(draft: State, paths: MachinePaths) -> State:
    """Ports."""
    return draft


def start(state: State, paths: MachinePaths, image: ImagePaths, memory: int, cpus: int, kvm: bool) -> None:
    """Boot."""
