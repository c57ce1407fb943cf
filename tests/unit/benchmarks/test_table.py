# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closing table: 80 columns, and what is missed cannot be overlooked."""

from __future__ import annotations

import io

from ansible_collections.containerless.django.tests.benchmarks import table
from ansible_collections.containerless.django.tests.benchmarks.figures import Bar, Ratio, Row
from rich.console import Console

ROWS = [
    Row(
        "first gunicorn --version, CPU seconds",
        "artifact / venv",
        24,
        12.345,
        10.1,
        Ratio(12.22, 11.2, 13.25),
        0.9,
        Bar(1.05),
    ),
    Row("warm deps layer of shop, seconds", "artifact / floor", 11, 2.5, 4.0, Ratio(0.625, 0.6, 0.65), 0.5),
    Row("host", "verify", 21, 0.4, bar=Bar(0.5)),
]


def lines() -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80).print(table.terminal(ROWS))
    return [line.rstrip() for line in out.getvalue().splitlines() if line.strip()]


def test_the_terminal_table_has_80_columns_and_no_figure_is_cut() -> None:
    text = "\n".join(lines())
    assert max(map(len, lines())) <= 80
    for figure in ("12.35", "10.10", "12.22", "11.20-13.25", "0.90", "<= 1.05", "MISSED", "0.62", "ok"):
        assert figure in text


def test_each_heading_stands_once() -> None:
    for row in ROWS:
        assert lines().count(row.group) == 1


def test_a_row_says_whether_its_bar_is_held() -> None:
    assert [table.cells(row)[-1] for row in ROWS] == ["MISSED", "", "ok"]
    assert table.cells(ROWS[2]) == ("verify", "21", "0.40", "", "", "", "", "<= 0.5", "ok")


def test_the_page_holds_the_same_cells() -> None:
    page = table.page(ROWS).splitlines()
    assert len(page) == len(ROWS) + 2
    assert page[1] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |"
    assert (
        page[3]
        == "| warm deps layer of shop, seconds: artifact / floor | 11 | 2.50 | 4.00 | 0.62 | 0.60-0.65 | 0.50 |  |  |"
    )
