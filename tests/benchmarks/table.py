# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closing table, on a terminal of 80 columns and as a page of docs/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from .figures import Row

HEADS = ("measured / against", "n", "median s", "against", "ratio", "95 %", "CPU", "bar", "")
LEFT = (0, 7, 8)
HELD, MISSED = "ok", "MISSED"


def cells(row: Row) -> tuple[str, ...]:
    """Return the texts of a row, as many as there are HEADS."""
    interval = f"{row.ratio.low:.2f}-{row.ratio.high:.2f}" if row.ratio else ""
    return (
        row.what,
        str(row.pairs),
        f"{row.mine:.2f}",
        "" if row.theirs is None else f"{row.theirs:.2f}",
        f"{row.ratio.value:.2f}" if row.ratio else "",
        interval,
        "" if row.cpu is None else f"{row.cpu:.2f}",
        "" if row.bar is None else str(row.bar),
        "" if row.bar is None else (HELD if row.held else MISSED),
    )


def terminal(rows: Sequence[Row]) -> Table:
    """Return the table for rich; it fits into 80 columns."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    for number, head in enumerate(HEADS):
        table.add_column(
            head,
            justify="left" if number in LEFT else "right",
            no_wrap=number > 0,
            overflow="fold" if number == 0 else "ignore",
        )
    for row in rows:
        table.add_row(*cells(row), style=None if row.held else "bold red")
    return table


def page(rows: Sequence[Row]) -> str:
    """Return the table in Markdown."""
    rule = ["---" if number in LEFT else "---:" for number in range(len(HEADS))]
    lines = [HEADS, rule, *(cells(row) for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def two_columns(heads: tuple[str, str], values: Mapping[str, str]) -> str:
    """Return a small table in Markdown: a name and a value a line."""
    lines = [heads, ("---", "---:"), *values.items()]
    return "".join(f"| {name} | {value} |\n" for name, value in lines)
