# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Medians, ratios, their intervals, and bars."""

from __future__ import annotations

import random
import statistics

import pytest
from ansible_collections.containerless.django.tests.benchmarks.figures import (
    Bar,
    Row,
    Sample,
    absolute,
    compare,
    median_ratio,
    ratio,
)


@pytest.mark.parametrize(
    ("bar", "figure", "held", "text"),
    [
        (Bar(1.3), 1.29, True, "<= 1.3"),
        (Bar(1.3), 1.3, True, "<= 1.3"),
        (Bar(1.3), 1.31, False, "<= 1.3"),
        (Bar(1, below=True), 0.99, True, "< 1"),
        (Bar(1, below=True), 1, False, "< 1"),
    ],
)
def test_a_bar_holds_up_to_its_limit(bar: Bar, figure: float, held: bool, text: str) -> None:
    assert bar.holds(figure) is held
    assert str(bar) == text


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ([2.0], [1.0], 2.0),
        ([1.0, 3.0, 100.0], [1.0, 1.5, 2.0], 2.0),  # one outlier moves no median
        ([1.0, 3.0], [4.0, 4.0], 0.5),
    ],
)
def test_a_ratio_is_that_of_medians(mine: list[float], theirs: list[float], expected: float) -> None:
    assert median_ratio(mine, theirs) == expected


def test_an_interval_of_equal_pairs_is_a_point() -> None:
    found = ratio([2.0] * 5, [1.0] * 5)
    assert (found.low, found.value, found.high) == (2.0, 2.0, 2.0)


def test_an_interval_is_the_same_each_time_and_holds_the_ratio() -> None:
    mine, theirs = [1.0, 1.2, 1.1, 1.4, 1.3], [1.0, 1.1, 0.9, 1.2, 1.0]
    found = ratio(mine, theirs)
    assert found == ratio(mine, theirs)
    assert found.low < found.value < found.high


def test_what_disturbs_both_halves_of_a_pair_does_not_widen_the_interval() -> None:
    rounds = [1.0, 5.0, 2.0, 9.0, 3.0, 7.0]
    paired = ratio([1.1 * wall for wall in rounds], rounds)
    crossed = ratio([1.1 * wall for wall in rounds], rounds[::-1])
    assert paired.high - paired.low < 1e-9
    assert crossed.high - crossed.low > 0.5


def test_nine_of_ten_intervals_hold_the_true_ratio() -> None:
    drawer = random.Random(7)
    found = []
    for _ in range(40):
        mine = [1.2 * drawer.gauss(1, 0.05) for _ in range(15)]
        theirs = [drawer.gauss(1, 0.05) for _ in range(15)]
        found.append(ratio(mine, theirs))
    assert sum(each.low <= 1.2 <= each.high for each in found) >= 36
    assert statistics.median(each.high - each.low for each in found) < 0.15


def test_runs_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        ratio([1.0, 2.0], [1.0])


def test_a_row_is_judged_by_what_it_measures() -> None:
    mine, theirs = [Sample(wall=3, cpu=1)] * 3, [Sample(wall=2, cpu=1)] * 3
    wall = compare("build", "wall", mine, theirs, by="wall", bar=Bar(1.3))
    cpu = compare("build", "cpu", mine, theirs, by="cpu", bar=Bar(1.3))
    assert (wall.mine, wall.theirs, wall.held) == (3, 2, False)
    assert (cpu.mine, cpu.theirs, cpu.held) == (1, 1, True)
    assert wall.cpu == cpu.cpu == 1


def test_only_rounds_of_both_count() -> None:
    mine = [Sample(1, 1), Sample(1, 1)]
    theirs = [Sample(1, 1), Sample(1, 1), Sample(9, 9), Sample(9, 9)]
    row = compare("first start", "shiv", mine, theirs, by="wall")
    assert (row.pairs, row.theirs) == (2, 1)


def test_without_a_bar_nothing_is_missed() -> None:
    assert Row("build", "warm", 1, mine=99).held


@pytest.mark.parametrize(("wall", "held"), [(0.4, True), (0.6, False)])
def test_an_absolute_bar_is_in_seconds(wall: float, held: bool) -> None:
    assert absolute("host", "verify", [Sample(wall, 0), Sample(wall, 0)], Bar(0.5)).held is held
