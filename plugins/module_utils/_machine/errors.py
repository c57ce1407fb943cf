# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception of this room."""

from __future__ import annotations

from .._core.errors import ContainerlessError


class MachineError(ContainerlessError):
    """A sentence for the person who asked for the machine."""
