# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an interrupted test left misses a bar, as does a task that nobody interrupted it at."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from ansible_collections.containerless.django.tests.campaigns import interrupted, leftovers, points
from ansible_collections.containerless.django.tests.campaigns.allowance import Allowance
from ansible_collections.containerless.django.tests.campaigns.interrupted import STORIES, Campaign, Verdict
from ansible_collections.containerless.django.tests.campaigns.points import CTRL_C, Point


def campaign(*verdicts: Verdict) -> Campaign:
    options = argparse.Namespace(only=[story.name for story in STORIES], point="", carry=False)
    plans = {story.name: [each.point for each in verdicts if each.point.story == story.name] for story in STORIES}
    return Campaign(options, "d", Allowance(0), plans, {str(each.point): each for each in verdicts})


def tried(name: str, number: int, **what: object) -> Verdict:
    return Verdict(Point("machine", number, f"app_test: {name}", 0.0, CTRL_C), "machines", **what)  # type: ignore[arg-type]


NAMES = sorted(points.named(interrupted.ROLE, interrupted.LEFT_OUT) - set(interrupted.CHECK_MODE))


def held(*verdicts: Verdict) -> dict[str, bool]:
    made = interrupted.rows(campaign(*verdicts))
    return {row.what: row.held for row in made if row.tried and row.bar}


def test_all_tasks_hit_and_nothing_left_is_good() -> None:
    assert len(NAMES) > 20
    assert all(held(*(tried(name, number) for number, name in enumerate(NAMES))).values())


@pytest.mark.parametrize(
    ("verdicts", "missed"),
    [
        ([tried("x", 1, left=["mount /a"])], "machine, Ctrl-C: left something"),
        ([tried("x", 1, reached=False)], "points planned and not reached"),
        ([tried("x", 1)], "tasks of the role not hit"),
    ],
)
def test_what_is_left_or_not_hit_misses_a_bar(verdicts: list[Verdict], missed: str) -> None:
    bad = [what for what, good in held(*verdicts).items() if not good]
    assert any(what.startswith(missed) for what in bad)


def test_files_that_are_not_whole_are_found(tmp_path: Path) -> None:
    store, reports = tmp_path / "store", tmp_path / "reports"
    records = store / "rig/artifacts" / ("a" * 64) / "records"
    records.mkdir(parents=True)
    reports.mkdir()
    assert leftovers.half_written(store, reports, "rig") == []
    (records / "default-0123456789ab-debian12.json").write_text("{")
    (store / "index.json#1").touch()
    (reports / ".rig-tests.tar").touch()
    half = leftovers.half_written(store, reports, "rig")
    assert [line.partition(":")[0] for line in half] == [
        "half a file index.json#1",
        "half a file .rig-tests.tar",
        "half a record",
    ]
