# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the campaigns share: rows with a bar, the closing table of 80 columns, and sections of a page in docs/."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..benchmarks import table
from ..benchmarks.figures import Bar

HELD, MISSED, NOT_TRIED = "ok", "MISSED", "NOT TRIED"
HEADS = ("what", "tried", "measured", "bar", "")
_LINE = "{:<41.41} {:>6} {:>11} {:>8} {:<9}".format
_FAULTS_SHOWN = 20
_PAGE = """\
<!--
SPDX-FileCopyrightText: containerless.django contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->

# {title}

{introduction}
"""
#: What must not happen at all.
NONE = Bar(0)


@dataclass(frozen=True)
class Row:
    """A line of the closing table: a figure of so many tries, and the bar that it must hold (none: for the record)."""

    what: str
    tried: int
    measured: float
    bar: Bar | None = NONE
    unit: str = ""

    @property
    def verdict(self) -> str:
        """What was never tried holds no bar."""
        if self.bar is None:
            return ""
        if not self.tried:
            return NOT_TRIED
        return HELD if self.bar.holds(self.measured) else MISSED

    @property
    def held(self) -> bool:
        return self.verdict in ("", HELD)

    def cells(self) -> tuple[str, ...]:
        figure = f"{self.measured:.0f}" if self.measured == int(self.measured) else f"{self.measured:.2f}"
        bar = "" if self.bar is None else str(self.bar)
        return (self.what, str(self.tried), f"{figure} {self.unit}".strip(), bar, self.verdict)


def terminal(rows: Sequence[Row]) -> str:
    """Return the closing table at 80 columns."""
    return "\n".join(line.rstrip() for line in (_LINE(*HEADS), "-" * 80, *(_LINE(*row.cells()) for row in rows)))


def markdown(rows: Sequence[Row]) -> str:
    """Return the same table for a page."""
    lines = [HEADS, ("---", "---:", "---:", "---", "---"), *(row.cells() for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def section(rows: Sequence[Row], facts: Mapping[str, str], text: str = "") -> str:
    """Return what stands below a heading: words, the table, and what it was measured with."""
    words = f"{text}\n" if text else ""
    return "\n".join(filter(None, (words, markdown(rows), table.two_columns(("measured with", ""), facts))))


def write(page: Path, title: str, introduction: str, heading: str, body: str) -> None:
    """Put a section into a page, in the place of an earlier one of this heading; make the page where there is none."""
    whole = _PAGE.format(title=title, introduction=introduction.strip())
    sections = dict(_sections(page.read_text(encoding="utf-8"))) if page.exists() else {}
    sections[heading] = body.strip("\n")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(whole + "".join(f"\n## {name}\n\n{each}\n" for name, each in sections.items()), encoding="utf-8")


def _sections(text: str) -> list[tuple[str, str]]:
    """Return heading and body of each section; what stands before the first is written anew by each run."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return [(name, body.strip("\n")) for name, body in zip(parts[::2], parts[1::2], strict=True)]


def close(rows: Sequence[Row], faults: Sequence[str] = ()) -> int:
    """Print the table and the first faults; return the exit code, 1 where a bar was missed."""
    print(f"\n{terminal(rows)}", flush=True)
    for fault in faults[:_FAULTS_SHOWN]:
        print(f"  {fault}", flush=True)
    if len(faults) > _FAULTS_SHOWN:
        print(f"  ... and {len(faults) - _FAULTS_SHOWN} more", flush=True)
    return 0 if rows and all(row.held for row in rows) else 1


class Progress:
    """A line for each thing that was tried; the rest of it only where it went wrong."""

    def __init__(self, whole: int) -> None:
        self.whole, self.done, self.begin = whole, 0, time.monotonic()

    def say(self, what: str, fault: str = "") -> None:
        self.done += 1
        spent = time.monotonic() - self.begin
        print(f"{spent:6.0f} s  [{self.done:>3}/{self.whole}] {what}{f': FAULT: {fault}' if fault else ''}", flush=True)
