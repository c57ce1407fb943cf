# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/benchmarks.md: all pages of figures, when they were made, and how many of their bars were held."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...tools import bootstrap
from ..campaigns.report import HELD, MISSED, NOT_TRIED

PAGES = bootstrap.ROOT / "docs/benchmarks"
INDEX = bootstrap.ROOT / "docs/benchmarks.md"
INTRODUCTION = """\
<!--
SPDX-FileCopyrightText: containerless.django contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->

# Figures

What was measured, each by a make target that ends with 1 where a bar is missed. A bar is a limit that the design sets;
a page says what was measured beside what, and on which machine.

| page | made by | date | bars | missed |
| --- | --- | --- | ---: | --- |
"""
_TARGET = re.compile(r"`make ([a-z-]+)`")
_DATE = re.compile(r"^\| date \| ([\d-]+) \|$", re.MULTILINE)
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_VERDICT = re.compile(rf"^\| (.+?) \|.* \| ({HELD}|{MISSED}|{NOT_TRIED}) *\|$", re.MULTILINE)


@dataclass(frozen=True)
class Summary:
    """What a page says of itself. `date` is the day of its oldest section, or unknown."""

    title: str
    target: str
    date: str
    bars: int
    missed: tuple[str, ...]


def summary(text: str) -> Summary:
    """Read a page."""
    titles, targets = _TITLE.findall(text), _TARGET.findall(text)
    verdicts = _VERDICT.findall(text)
    missed = tuple(what for what, verdict in verdicts if verdict != HELD)
    return Summary(
        titles[0] if titles else "",
        f"`make {targets[0]}`" if targets else "",
        min(_DATE.findall(text), default=""),
        len(verdicts),
        missed,
    )


def line(name: str, found: Summary, date: str) -> str:
    missed = "; ".join(found.missed) or "none"
    return f"| [{found.title}](benchmarks/{name}) | {found.target} | {found.date or date} | {found.bars} | {missed} |\n"


def write(pages: Path = PAGES, index: Path = INDEX) -> None:
    """Write the index of all pages that are there."""
    lines = [
        line(page.name, summary(page.read_text(encoding="utf-8")), last_change(page))
        for page in sorted(pages.glob("*.md"))
    ]
    index.write_text(INTRODUCTION + "".join(lines), encoding="utf-8")


def last_change(page: Path) -> str:
    """Return the day on which a page was committed last."""
    argv = ["git", "-C", str(page.parent), "log", "-1", "--format=%as", "--", page.name]
    return bootstrap.ask(argv) or "unknown"


if __name__ == "__main__":
    write()
