# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.tests.campaigns import limits
from ansible_collections.containerless.django.tests.campaigns.limits import Limits, Window
from ansible_collections.containerless.django.tests.campaigns.report import HELD, MISSED, NOT_TRIED

CALM, BOMBED = (1.0, 2.0, 3.0), (11.0, 12.0, 13.0)


@pytest.fixture(name="story")
def fixture_story() -> Limits:
    """A story that is over, without a machine."""
    story = Limits.__new__(Limits)
    story.calm = [Window(0, 10), Window(20, 30)]
    story.bombed = {bomb: Window(40 + number, 41 + number, beside=0.3) for number, bomb in enumerate(limits.BOMBS)}
    story.bombed["fork", limits.HALF] = Window(10, 20)
    story.back = {"fork": [3.0, 31.0], "memory": [2.0, 30.0]}
    story.counted, story.ended = {"fork": [0, 0], "memory": [0, 2]}, {"fork": 1, "memory": 0}
    story.rows = []
    return story


def verdicts(story: Limits) -> dict[str, str]:
    return {row.what: row.verdict for row in story.rows}


def test_a_latency_counts_where_it_began(story: Limits) -> None:
    samples = [(1.0, 0.1), (9.9, 0.2), (10.0, 0.3), (25.0, 0.4), (50.0, 0.5)]
    assert limits.within_windows(samples, story.calm) == [0.1, 0.2, 0.4]
    assert limits.within_windows(samples, [story.bombed["fork", limits.HALF]]) == [0.3]


@pytest.mark.parametrize(("taken", "verdict"), [([0.19, 0.21, 0.2], HELD), ([0.21, 0.22], MISSED), ([], NOT_TRIED)])
def test_twice_the_median_of_calm_is_the_bar(story: Limits, taken: list[float], verdict: str) -> None:
    story.compare("a login", [*zip(CALM, (0.1, 0.1, 5.0), strict=True), *zip(BOMBED, taken, strict=False)])
    assert verdicts(story)["a login, fork, quota 100%"] == verdict


@pytest.mark.parametrize(("later", "verdict"), [(0.15, HELD), (0.16, MISSED)])
def test_figures_are_void_where_calm_is_not_calm(story: Limits, later: float, verdict: str) -> None:
    story.compare("a login", [(1.0, 0.1), (25.0, later)])
    assert verdicts(story)["void: a login, drift of peace"] == verdict


def test_figures_are_void_beside_other_work(story: Limits) -> None:
    story.bombed["fork", limits.HALF] = Window(10, 20, beside=0.3)
    assert [(row.tried, row.verdict) for row in story.void()] == [(2, HELD), (6, MISSED)]


def test_the_worst_round_tells_how_long_the_site_was_away(story: Limits) -> None:
    fork, memory = ({row.what.partition(": ")[2]: row for row in story.outcome(name)} for name in ("fork", "memory"))
    assert fork["the site answers again after"].verdict == MISSED
    assert memory["the site answers again after"].verdict == HELD
    assert [row.verdict for what, row in fork.items() if "never" in what or "ended" in what] == [MISSED, MISSED]
    assert [row.verdict for what, row in memory.items() if "never" in what or "ended" in what] == [HELD, HELD]
