# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal: the intent of the release that is under way, so that whoever comes next knows what to do.

It is written and flushed before each step starts and removed at the end. Pure; `_release.state` writes the file.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

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
    """One release or rollback under way.

    `deadline` is that of `_release.lease`, in seconds; None within a call: its lock says that it lives.
    `held`: requests wait at the target's socket and the origin was stopped. `one_way`: the schema went where only the
    target can follow. `policy` is what steers the run (_release.desired).
    """

    kind: str
    run: str
    who: str
    step: str
    origin: Ref | None
    target: Ref
    boot_id: str
    deadline: int | None = None
    pending: bool = False
    held: bool = False
    one_way: bool = False
    policy: dict[str, t.Any] = field(default_factory=dict)

    def document(self) -> dict[str, t.Any]:
        return t.cast(
            "dict[str, t.Any]",
            schemas.check(
                "journal",
                {
                    "schema": "containerless.journal/v1",
                    **{name: getattr(self, name) for name in _PLAIN},
                    "from": dict(self.origin.__dict__) if self.origin else None,
                    "to": dict(self.target.__dict__),
                },
                "journal",
            ),
        )


_PLAIN = ("kind", "run", "who", "step", "boot_id", "deadline", "pending", "held", "one_way", "policy")


def from_document(document: dict[str, t.Any]) -> Journal:
    """Return the journal of a document. Raises InvalidDocument."""
    schemas.check("journal", document, "journal")
    origin = document["from"]
    return Journal(
        **{name: document[name] for name in _PLAIN},
        origin=Ref(**origin) if origin else None,
        target=Ref(**document["to"]),
    )


def recovery(journal: Journal, active: int | None, confirmed: bool) -> str:
    """Say what the next boot or run must do with an interrupted release: `undo`, `revert`, `forward` or `finish`.

    - undo: `active` was not renamed; the old release is live and the new one is taken away.
    - revert: renamed, but nobody confirmed it; back to the old release.
    - forward: the schema knows no way back; the new release is live, and not called good.
    - finish: confirmed, or there is nothing to go back to, or a rollback, whose target was good before; what follows
      the commit is done again.
    """
    if confirmed:
        return "finish"
    if journal.one_way:
        return "forward"
    if active != journal.target.activation:
        return "undo"
    return "finish" if journal.origin is None or journal.kind == "rollback" else "revert"
