# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host is only left alone where it acts by itself."""

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.tests.campaigns import bench
from ansible_collections.containerless.django.tests.campaigns.kills import Kill

DEADMAN, DRAIN = "containerless-rig-deadman.timer", "containerless-rig-drain-1.service"


@pytest.mark.parametrize(
    ("story", "way", "timers", "taken"),
    [
        ("release", "alone", [DEADMAN], "alone"),
        ("release", "alone", [DRAIN], "next"),
        ("release", "alone", [], "next"),
        ("release", "boot", [], "boot"),
        ("drain", "alone", [DRAIN], "alone"),
    ],
)
def test_a_host_is_left_alone_where_it_acts_by_itself(story: str, way: str, timers: list[str], taken: str) -> None:
    assert bench.way(Kill(story, "rename /a", "finish", during=False, way=way), {"timers": timers}) == taken


def test_what_serves_after_a_kill_is_one_of_the_two_releases() -> None:
    story = bench.Story("release", "v1", "1.0-old", "2.0-new", [], [], [])
    for answer, faults in (("200 1.0-old", 0), ("200 2.0-new", 0), ("502 None", 1), ("200 3.0-other", 1)):
        assert len(bench.serving(story, {"answer": answer, "complaints": []})) == faults
    assert len(bench.serving(story, {"answer": "200 1.0-old", "complaints": ["down: web"]})) == 1
