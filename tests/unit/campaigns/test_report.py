# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closing table of the campaigns: 80 columns, and a miss can neither be overlooked nor forgotten."""

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.tests.benchmarks.figures import Bar
from ansible_collections.containerless.django.tests.campaigns import report
from ansible_collections.containerless.django.tests.campaigns.report import Row

GOOD = Row("requests that failed", 1200, 0)
BAD = Row("hosts that did not end in one whole release", 143, 2)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (GOOD, "ok"),
        (BAD, "MISSED"),
        (Row("nothing was tried", 0, 0), "NOT TRIED"),
        (Row("seconds, for the record", 3, 1.25, None, "s"), ""),
        (Row("longest gap", 3, 1.25, Bar(1), "s"), "MISSED"),
        (Row("longest gap", 3, 0.25, Bar(1), "s"), "ok"),
    ],
)
def test_a_row_says_whether_its_bar_was_held(row: Row, verdict: str) -> None:
    assert row.verdict == verdict
    assert report.terminal([row]).splitlines()[-1].endswith(row.cells()[-1] or row.cells()[2])


def test_the_table_has_80_columns() -> None:
    assert max(map(len, report.terminal([GOOD, BAD]).splitlines())) <= 80


@pytest.mark.parametrize(("rows", "code"), [([GOOD], 0), ([GOOD, BAD], 1), ([], 1)])
def test_a_miss_and_an_empty_campaign_end_with_1(rows: list[Row], code: int) -> None:
    assert report.close(rows) == code


def test_the_first_faults_are_printed_and_the_others_counted(capsys: pytest.CaptureFixture[str]) -> None:
    report.close([BAD], [f"fault {number}" for number in range(25)])
    out = capsys.readouterr().out
    assert "fault 19" in out
    assert "fault 20" not in out
    assert "... and 5 more" in out


def test_a_section_is_replaced_and_the_others_stay(tmp_path) -> None:
    page = tmp_path / "docs/crash.md"
    for heading, body in (
        ("Host", "first"),
        ("Control node", "other"),
        ("Host", report.section([BAD], {"cores": "2"})),
    ):
        report.write(page, "Figures", "Words.", heading, body)
    text = page.read_text()
    assert text.count("# Figures") == 1
    assert text.count("## Host") == 1
    assert "first" not in text
    assert "other" in text
    assert "| cores | 2 |" in text
    assert "| 143 | 2 | <= 0 | MISSED |" in text
    assert text.index("## Host") < text.index("## Control node")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
