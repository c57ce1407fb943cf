# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From samples to figures: medians, ratios with their interval, and whether a bar is held. Pure."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: Seconds on the clock, or seconds of all processors in the process and what it started and waited for.
By = Literal["wall", "cpu"]
RESAMPLES = 4000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Sample:
    """One run: seconds on the clock and processor seconds (user and system)."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Bar:
    """What a figure must hold: at most `limit`, or with `below` less than that."""

    limit: float
    below: bool = False

    def __str__(self) -> str:
        return f"{'<' if self.below else '<='} {self.limit:g}"

    def holds(self, figure: float) -> bool:
        return figure < self.limit or (figure == self.limit and not self.below)


@dataclass(frozen=True)
class Ratio:
    """Ratio of two medians, with the ends of its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """A line of the table, below the heading `group`.

    `mine` and `theirs` are median seconds; a row without `ratio` is judged by `mine`.

    The bar is compared with the point estimate: the interval beside it says how much a second run may differ.
    """

    group: str
    what: str
    pairs: int
    mine: float
    theirs: float | None = None
    ratio: Ratio | None = None
    cpu: float | None = None
    bar: Bar | None = None

    @property
    def held(self) -> bool:
        figure = self.ratio.value if self.ratio else self.mine
        return self.bar is None or self.bar.holds(figure)


def median_ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Return median(mine) / median(theirs)."""
    return statistics.median(mine) / statistics.median(theirs)


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Return the ratio of medians with its bootstrap interval (percentile method, Efron 1979).

    Pairs are drawn, not single runs: what disturbed one round disturbed both halves of it. Raises ValueError when the
    runs do not pair up.
    """
    pairs = list(zip(mine, theirs, strict=True))
    drawer = random.Random(0)  # the same samples give the same table
    draws = (drawer.choices(pairs, k=len(pairs)) for _ in range(RESAMPLES))
    found = sorted(median_ratio([a for a, _ in draw], [b for _, b in draw]) for draw in draws)
    tail = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Ratio(median_ratio(mine, theirs), found[tail], found[-1 - tail])


def compare(
    group: str, what: str, mine: Sequence[Sample], theirs: Sequence[Sample], *, by: By, bar: Bar | None = None
) -> Row:
    """Return the row of two things that ran in turns. Where one ran less often, only the rounds of both count."""
    pairs = min(len(mine), len(theirs))
    ours, others = mine[:pairs], theirs[:pairs]
    a, b = [getattr(sample, by) for sample in ours], [getattr(sample, by) for sample in others]
    cpu = median_ratio([sample.cpu for sample in ours], [sample.cpu for sample in others])
    return Row(group, what, pairs, statistics.median(a), statistics.median(b), ratio(a, b), cpu, bar)


def absolute(group: str, what: str, runs: Sequence[Sample], bar: Bar) -> Row:
    """Return the row of a thing whose bar is in seconds on the clock."""
    return Row(group, what, len(runs), statistics.median(sample.wall for sample in runs), bar=bar)
