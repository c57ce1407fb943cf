# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of v2 over v1 is killed once at each step of the journal, under load; each test begins with v1 again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import schemas
from ansible_collections.containerless.django.tests.campaigns import kills, stories
from ansible_collections.containerless.django.tests.campaigns.bench import Bench, Story
from ansible_collections.containerless.django.tests.campaigns.kills import Kill
from ansible_collections.containerless.django.tests.rig import Host, Rig

sys.path.insert(0, str(Path(__file__).parents[2] / "shared/testinfra"))

from rigged import *  # noqa: F403


@pytest.fixture(scope="module")
def bench(rig: Rig, machine: Host) -> Bench:
    return Bench(rig, machine)


@pytest.fixture(scope="module")
def story(bench: Bench) -> Story:
    return stories.prepare(bench)["release"]


@pytest.fixture(scope="module")
def plan(bench: Bench, story: Story) -> dict[str, Kill]:
    return {kill.step: kill for kill in kills.brief(kills.plan("release", bench.effects(story)))}


@pytest.mark.parametrize("step", schemas.STEPS)
def test_a_killed_release_ends_in_one_whole_release(
    bench: Bench, story: Story, plan: dict[str, Kill], step: str
) -> None:
    verdict = bench.attempt(story, plan[step])
    assert verdict.reached
    assert verdict.asked
    assert not verdict.fault
