# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures of a release are read from: output of playbooks, samples of a load, pages."""

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.tests.benchmarks import index, traffic
from ansible_collections.containerless.django.tests.benchmarks.back import add, breakdown
from ansible_collections.containerless.django.tests.benchmarks.figures import Bar, Sample
from ansible_collections.containerless.django.tests.benchmarks.outcome import Outcome
from ansible_collections.containerless.django.tests.benchmarks.peers import Run
from ansible_collections.containerless.django.tests.benchmarks.traffic import Window
from ansible_collections.containerless.django.tests.campaigns.report import Row as Count
from ansible_collections.containerless.django.tests.rig import Sample as Request

PLAYED = """\
TASK [Bring it before traffic] *****
included: /roles/live.yml for rig1, rig2
included: /roles/batch.yml for rig1

PLAY RECAP *****
localhost                  : ok=1    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
rig1                       : ok=7    changed=3    unreachable=0    failed=0    skipped=2    rescued=0    ignored=0
"""
CAPISTRANO = """\
00:00 git:wrapper
      01 mkdir -p /tmp
    ✔ 01 ops@198.18.0.2 0.1s
      02 chmod 700 /tmp/x
    ✔ 02 ops@198.18.0.2 0.0s
"""
PAGE = """\
# Figures of a release

Made by `make bench-release`, which ends with 1.

| measured / against | n | bar |  |
| --- | ---: | --- | --- |
| release: ours / deploy_helper | 9 | <= 0.8 | ok |
| release: ours / capistrano | 9 | <= 0.6 | MISSED |

| what | tried | measured | bar |  |
| --- | ---: | ---: | --- | --- |
| gap | 0 | 0 | <= 1 | NOT TRIED |
| for the record | 1 | 5 |  |  |

| measured with |  |
| --- | --- |
| date | 2026-02-02 |

| measured with |  |
| --- | --- |
| date | 2026-02-01 |
"""


@pytest.mark.parametrize(("output", "tasks"), [(PLAYED, 5), (CAPISTRANO, 2)])
def test_tasks_are_results_without_includes(output: str, tasks: int) -> None:
    assert Run(Sample(1, 1), output, 3).tasks == tasks


def test_changes_are_those_of_all_hosts() -> None:
    assert Run(Sample(1, 1), PLAYED, 3).changed == 3


def test_a_page_tells_its_date_and_what_it_missed() -> None:
    found = index.summary(PAGE)
    assert (found.title, found.target, found.date) == ("Figures of a release", "`make bench-release`", "2026-02-01")
    assert (found.bars, found.missed) == (3, ("release: ours / capistrano", "gap"))


def test_a_page_without_a_date_takes_the_one_it_is_given() -> None:
    assert "| 2025-05-05 | 0 | none |" in index.line("x.md", index.summary("# X\n"), "2025-05-05")


def test_latencies_are_split_by_when_requests_were_due() -> None:
    path = traffic.WORK.path
    samples = [
        Request(1, 1, 0.1, path, 200),
        Request(5, 5, 0.2, path, 200),
        Request(5, 5, 0.3, path, 502),
        Request(5, 5, 0.4, "/", 200),
        Request(9, 9, 0.5, path, 200),
    ]
    assert traffic.split(samples, [Window(4, 6)]) == ([0.1, 0.5], [0.2])


def test_a_second_of_load_holds_one_long_request_and_every_kind() -> None:
    asks = traffic.mix(60)
    assert len(asks) == 60
    assert asks.count(traffic.LONG) == 1
    assert {traffic.WORK, *traffic.OTHERS} <= set(asks)


def test_no_rollback_stands_where_it_has_nothing_to_go_back_to() -> None:
    """The first good release is made before the deeds; one that is rolled back is never a target again."""
    good = 1
    for deed in traffic.DEEDS:
        if deed.title == "rollback":
            assert good > 1, deed
            good -= 1
        elif not deed.fails:
            good += 1
    assert len(traffic.DEEDS) == 20


def test_a_breakdown_names_medians() -> None:
    found = [{"seconds": 1.0, "start": 0.5}, {"seconds": 2.0, "start": 0.7}, {"seconds": 3.0, "start": 0.9}]
    assert breakdown(found) == "start 0.70, in all 2.00"


@pytest.mark.parametrize(("measured", "held"), [(0, True), (1, False)])
def test_a_section_holds_when_all_its_rows_do(measured: int, held: bool) -> None:
    assert Outcome(counts=[Count("x", 1, measured, Bar(0))]).held is held


def test_a_section_without_rows_holds_nothing() -> None:
    assert not Outcome().held


def test_a_rollback_is_held_against_the_bare_start() -> None:
    outcome = Outcome()
    add("an app", outcome, [{"seconds": 1.0}, {"seconds": 1.2}], [{"seconds": 1.1}, {"seconds": 1.3}], [4.0, 4.6])
    assert [row.held for row in outcome.rows] == [True]
    assert [(count.measured, str(count.bar), count.held) for count in outcome.counts] == [(4.3, "<= 4.2", False)]
