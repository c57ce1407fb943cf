# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a section of the release's figures consists of: ratios, figures with a bar of their own, circumstances."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

from ..campaigns import report
from . import table
from .figures import Row

WIDTH = 118


@dataclass
class Outcome:
    """`rows` are compared side by side, `counts` stand for themselves, `facts` explain."""

    rows: list[Row] = field(default_factory=list)
    counts: list[report.Row] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        """Nothing measured holds no bar."""
        return bool(self.rows or self.counts) and all(r.held for r in self.rows) and all(c.held for c in self.counts)

    def body(self, text: str) -> str:
        """Return the section in Markdown."""
        parts = [
            textwrap.fill(text, WIDTH),
            table.page(self.rows) if self.rows else "",
            report.markdown(self.counts) if self.counts else "",
            table.two_columns(("measured with", ""), self.facts),
        ]
        return "\n".join(part.strip("\n") + "\n" for part in parts if part)
