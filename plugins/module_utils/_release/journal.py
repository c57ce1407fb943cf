# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal: the intent of the release that is under way, so that whoever comes next knows what to do.

It is written and flushed before each step starts and removed at the end. Pure; `_release.state` writes the file.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core import schemas

STEPS = schemas.STEPS
#: The flushed rename of the file `active` happens in this step; before it the old release is the truth.
COMMIT = "commit"


@dataclass(frozen=True)
class Ref:
    """An activation and what it runs."""

    activation: int
    release: str
    content_id: str


@dataclass(frozen=True)
class Journal:
    """One release or rollback under way."""

    kind: str
    run: str
    step: str
    origin: Ref | None
    target: Ref
    boot_id: str

    def document(self) -> dict[str, t.Any]:
        return t.cast(
            "dict[str, t.Any]",
            schemas.check(
                "journal",
                {
                    "schema": "containerless.journal/v1",
                    "kind": self.kind,
                    "run": self.run,
                    "step": self.step,
                    "from": dict(self.origin.__dict__) if self.origin else None,
                    "to": dict(self.target.__dict__),
                    "boot_id": self.boot_id,
                },
                "journal",
            ),
        )


def from_document(document: dict[str, t.Any]) -> Journal:
    """Return the journal of a document. Raises InvalidDocument."""
    schemas.check("journal", document, "journal")
    origin = document["from"]
    return Journal(
        kind=document["kind"],
        run=document["run"],
        step=document["step"],
        origin=Ref(**origin) if origin else None,
        target=Ref(**document["to"]),
        boot_id=document["boot_id"],
    )


def recovery(journal: Journal, active: int | None, confirmed: bool) -> str:
    """Say what the next boot or run must do with an interrupted release: `undo`, `revert` or `finish`.

    - undo: `active` was not renamed; the old release is live and the new one is taken away.
    - revert: renamed, but nobody confirmed it; back to the old release.
    - finish: confirmed, or there is nothing to go back to; what follows the commit is done again.
    """
    if active != journal.target.activation:
        return "undo"
    if confirmed or journal.origin is None:
        return "finish"
    return "revert"
