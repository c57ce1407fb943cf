# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watch after the flip: processes that end, and answers that are no longer good."""

from __future__ import annotations

import threading
import time
import typing as t
from dataclasses import dataclass

from . import health

#: Seconds between two looks at the processes: what bounds the time that a crashed release stays live.
LOOK = 0.15
#: Seconds between two questions of our own.
ASK = 0.5
#: Bad answers below this number are no rate.
FEW = 2


@dataclass
class Rate:
    """Answers of our own questions since the flip."""

    asked: int = 0
    bad: int = 0
    last: health.Answer | None = None
    why: str = ""

    def verdict(self, percent: int) -> str:
        """Return why this rate of bad answers is too much; empty when it is not. `percent` may be bad."""
        if self.bad >= FEW and self.bad * 100 > percent * self.asked:
            return f"{self.bad} of {self.asked} answers after the flip were bad, the last one: {self.why}"
        return ""


def watch(
    seconds: float, percent: int, ask: t.Callable[[], tuple[health.Answer, str]], ended: t.Callable[[], str]
) -> Rate:
    """Look for `seconds`. `ask` returns an answer and why it is bad, `ended` which process ended; both may be empty.

    Raises HealthError with the last answer.
    """
    rate, over = Rate(), threading.Event()

    def question() -> None:
        while not over.is_set():
            answer, why = ask()
            if over.is_set():
                return
            rate.asked += 1
            rate.last = answer
            if why:
                rate.bad, rate.why = rate.bad + 1, why
            over.wait(ASK)

    asking = threading.Thread(target=question, daemon=True)
    asking.start()
    try:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            why = ended() or rate.verdict(percent)
            if why:
                raise health.HealthError(why, rate.last or health.Answer(0, why, "", 0.0))
            time.sleep(min(LOOK, max(0.0, deadline - time.monotonic())))
    finally:
        # The thread may still wait for an answer; it ends with it, and nobody reads its rate then.
        over.set()
    return rate
