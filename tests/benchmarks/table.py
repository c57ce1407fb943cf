# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closing table, on a terminal of 80 columns and as a page of docs/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from rich.text import Text

from .figures import Row

#: Heads of the columns with their width on a terminal.
COLUMNS = {
    "measured / against": 21,
    "n": 2,
    "median": 6,
    "against": 7,
    "ratio": 5,
    "95 %": 12,
    "CPU": 5,
    "bar": 7,
    "": 6,
}
LEFT = ("measured / against", "bar", "")
HELD, MISSED = "ok", "MISSED"


def cells(row: Row) -> tuple[str, ...]:
    """Return the texts of a row, one for each of COLUMNS."""
    return (
        row.what,
        str(row.pairs),
        f"{row.mine:.2f}",
        "" if row.theirs is None else f"{row.theirs:.2f}",
        f"{row.ratio.value:.2f}" if row.ratio else "",
        f"{row.ratio.low:.2f}-{row.ratio.high:.2f}" if row.ratio else "",
        "" if row.cpu is None else f"{row.cpu:.2f}",
        "" if row.bar is None else str(row.bar),
        "" if row.bar is None else (HELD if row.held else MISSED),
    )


def terminal(rows: Sequence[Row]) -> Text:
    """Return the table for rich, 80 columns wide: a heading for each group of rows, red where a bar is missed."""
    text = Text(_line(tuple(COLUMNS)) + "\n", style="")
    for heading, members in groupby(rows, key=lambda row: row.group):
        text.append(f"{heading}\n", style="bold")
        for row in members:
            text.append(_line(cells(row)) + "\n", style="" if row.held else "red")
    return text


def _line(texts: Sequence[str]) -> str:
    padded = (
        text.ljust(width) if head in LEFT else text.rjust(width)
        for text, (head, width) in zip(texts, COLUMNS.items(), strict=True)
    )
    return " ".join(padded).rstrip()


def page(rows: Sequence[Row]) -> str:
    """Return the table in Markdown."""
    rule = ["---" if head in LEFT else "---:" for head in COLUMNS]
    lines = [tuple(COLUMNS), rule]
    lines += [(f"{row.group}: {cells(row)[0]}", *cells(row)[1:]) for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def two_columns(heads: tuple[str, str], values: Mapping[str, str]) -> str:
    """Return a small table in Markdown: a name and a value a line."""
    lines = [heads, ("---", "---"), *values.items()]
    return "".join(f"| {name} | {value} |\n" for name, value in lines)
