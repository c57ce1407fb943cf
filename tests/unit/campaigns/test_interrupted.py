# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an interrupted test left misses a bar, as does a task that nobody interrupted it at."""

from __future__ import annotations

import argparse
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._test import guest
from ansible_collections.containerless.django.tests.campaigns import interrupted, leftovers, points
from ansible_collections.containerless.django.tests.campaigns.allowance import Allowance
from ansible_collections.containerless.django.tests.campaigns.interrupted import STORIES, Campaign, Verdict
from ansible_collections.containerless.django.tests.campaigns.points import CTRL_C, Point, Task


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


def test_the_client_of_level_full_is_looked_for_on_a_host() -> None:
    found = re.search(r"'(containerless-\S+)'", leftovers._HOST.format(app="shop"))
    assert found
    assert fnmatch(guest.client(Layout("shop")), found[1])


def run(*names: str) -> list[Task]:
    return [Task(number, "app_test", name, 0.1) for number, name in enumerate(names, 1)]


def test_level_full_on_a_host_is_interrupted_while_its_client_asks() -> None:
    (story,) = [story for story in STORIES if story.name == "host full"]
    room, gone = "fresh | Make room on the host", "gone | Take what was released off the host"
    seen = run(
        "built | x", room, "checks | 1", gone, room, "stage | x", "checks | begin", "back | x", gone, "outcome | x"
    )
    assert [task.name for task in story.only(seen)] == ["stage | x", "checks | begin", "back | x", gone]


def test_level_full_is_interrupted_where_it_is_more_than_level_default() -> None:
    (story,) = [story for story in STORIES if story.name == "full"]
    kept = "variant | Keep what was released"
    seen = run("built | x", "live | Read what is live", "overlay | x", "variant | x", kept, "gone | x", "outcome | x")
    assert [task.name for task in story.only(seen)] == [
        "live | Read what is live",
        "overlay | x",
        "gone | x",
        "outcome | x",
    ]


def test_what_stories_pick_tasks_by_are_names_of_the_role() -> None:
    names = points.named(interrupted.ROLE)
    for start in (
        "live |",
        "fresh | Make room",
        "gone | Take",
        "overlay |",
        "services |",
        "stage | Keep why it failed",
        "variant | Keep what was released",
    ):
        assert any(name.startswith(start) for name in names), start
