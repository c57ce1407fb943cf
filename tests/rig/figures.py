# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What load clients record, and what is read out of it. Pure."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One request; times are those of time.monotonic().

    `due` is when it had to start, `latency` counts from there to the last byte: a client that is late hides nothing.
    """

    due: float
    start: float
    latency: float
    path: str
    status: int = 0
    error: str = ""
    release: str = ""

    @property
    def good(self) -> bool:
        return not self.error and 200 <= self.status < 400

    @property
    def end(self) -> float:
        return self.due + self.latency


@dataclass(frozen=True)
class Summary:
    """Requests of a time; latencies in seconds, of the good ones. `late`: how far the client fell behind at most."""

    count: int
    failed: int
    p50: float
    p99: float
    slowest: float
    late: float
    releases: dict[str, int]
    reasons: dict[str, int]


def percentile(values: Iterable[float], q: float) -> float:
    """Return the smallest value that is not below q percent of the values; NaN for none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * q / 100) - 1)] if ordered else math.nan


def within(samples: Iterable[Sample], begin: float = -math.inf, end: float = math.inf) -> list[Sample]:
    """Return the requests under way at any time of a window."""
    return [sample for sample in samples if sample.due < end and sample.end >= begin]


def summary(samples: Iterable[Sample], begin: float = -math.inf, end: float = math.inf) -> Summary:
    """Sum up the requests under way in a window."""
    chosen = within(samples, begin, end)
    good = [sample.latency for sample in chosen if sample.good]
    bad = [sample for sample in chosen if not sample.good]
    return Summary(
        count=len(chosen),
        failed=len(bad),
        p50=percentile(good, 50),
        p99=percentile(good, 99),
        slowest=max(good, default=math.nan),
        late=max((sample.start - sample.due for sample in chosen), default=0.0),
        releases=dict(Counter(sample.release for sample in chosen if sample.good)),
        reasons=dict(Counter(sample.error or f"{sample.path} {sample.status}" for sample in bad)),
    )


def gap(samples: Sequence[Sample]) -> float:
    """Return the longest time in which no request ended well, between the first and the last request of all."""
    if not samples:
        return 0.0
    ends = sorted(sample.end for sample in samples if sample.good)
    edges = [min(sample.due for sample in samples), *ends, max(sample.end for sample in samples)]
    return max(after - before for before, after in itertools.pairwise(edges))
