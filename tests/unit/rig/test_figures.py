# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read out of the samples."""

from __future__ import annotations

import math

import pytest
from ansible_collections.containerless.django.tests.rig.figures import Sample, gap, percentile, summary, within


def sample(due: float, latency: float = 0.1, *, status: int = 200, error: str = "", late: float = 0.0) -> Sample:
    return Sample(due, due + late, latency, "/", status, error, "one" if status == 200 else "")


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [([5, 1, 3], 50, 3), (range(1, 101), 99, 99), (range(1, 101), 100, 100), ([7], 1, 7), ([1, 2], 0, 1)],
)
def test_percentile_is_one_of_the_values(values, q, expected):
    assert percentile(values, q) == expected


def test_percentile_of_nothing_is_no_number():
    assert math.isnan(percentile([], 50))


def test_window_holds_what_was_under_way():
    samples = [sample(0.0, 0.5), sample(0.0, 2.0), sample(1.5), sample(3.0)]
    assert within(samples, 1.0, 3.0) == samples[1:3]


def test_summary_counts_failures_and_reasons():
    samples = [sample(0), sample(1, 0.3, late=0.2), sample(2, 9, status=502), sample(3, status=0, error="TimeoutError")]
    found = summary(samples)
    assert (found.count, found.failed, found.p50, found.slowest) == (4, 2, 0.1, 0.3)
    assert found.late == pytest.approx(0.2)
    assert found.reasons == {"/ 502": 1, "TimeoutError": 1}
    assert found.releases == {"one": 2}
    assert summary(samples, 10.9, 12).reasons == {"/ 502": 1}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], 0.0),
        ([sample(0), sample(1)], 1.0),
        ([sample(0), sample(1, status=500), sample(4)], 4.0),
        ([sample(0), sample(1, 5, status=0, error="TimeoutError")], 5.9),
        ([sample(2, status=500)], 0.1),
    ],
)
def test_gap_is_the_longest_time_without_a_good_answer(samples, expected):
    assert gap(samples) == pytest.approx(expected)
