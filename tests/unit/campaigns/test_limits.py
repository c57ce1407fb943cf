# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.tests.campaigns import limits
from ansible_collections.containerless.django.tests.campaigns.limits import Limits, Window
from ansible_collections.containerless.django.tests.campaigns.report import HELD, MISSED, NOT_TRIED


@pytest.fixture(name="story")
def fixture_story() -> Limits:
    """A story that is over, without a machine."""
    story = Limits.__new__(Limits)
    story.calm = [Window(0, 10), Window(20, 30)]
    story.bombed = {"fork": Window(10, 20), "memory": Window(30, 40)}
    story.rows = []
    return story


def test_a_latency_counts_where_it_began(story: Limits) -> None:
    samples = [(1.0, 0.1), (9.9, 0.2), (10.0, 0.3), (25.0, 0.4), (50.0, 0.5)]
    assert limits.by_window(story, samples) == {"calm": [0.1, 0.2, 0.4], "fork": [0.3], "memory": []}


@pytest.mark.parametrize(("taken", "verdict"), [([0.19, 0.21, 0.2], HELD), ([0.21, 0.22], MISSED), ([], NOT_TRIED)])
def test_twice_the_median_of_calm_is_the_bar(story: Limits, taken: list[float], verdict: str) -> None:
    story.compare("a login", {"calm": [0.1, 0.1, 5.0], "fork": taken, "memory": [0.1], "cpu": [0.1]})
    (row,) = [row for row in story.rows if row.what == "a login, fork bomb"]
    assert row.verdict == verdict
