# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time that a campaign may take."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from types import FrameType


@dataclass
class Allowance:
    """So many minutes from now on (0: all that it needs), or until a signal comes."""

    minutes: float
    begin: float = field(default_factory=time.monotonic)
    is_stopped: bool = False

    def is_over(self) -> bool:
        return self.is_stopped or 0 < self.minutes * 60 < time.monotonic() - self.begin

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """End by a signal: threads that try something begin nothing more."""
        self.is_stopped = True
        sys.exit(128 + number)
