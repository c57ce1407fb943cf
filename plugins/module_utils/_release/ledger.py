# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger: what happened to each activation on this host, one line an event, each chained to the line before.

Pure functions over bytes and entries; `_release.state` does the reading and the flushed appending.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core import canonical, schemas
from .._core.errors import InvalidDocument

GENESIS = "0" * 64


@dataclass(frozen=True)
class Entry:
    """One event. `time` is for people; the order is that of `seq`."""

    seq: int
    prev: str
    time: str
    state: str
    activation: int
    release: str
    content_id: str
    run: str
    who: str
    why: str

    def line(self) -> bytes:
        return canonical.dumps({"schema": "containerless.ledger/v1", **self.__dict__})


def append(
    entries: t.Sequence[Entry],
    *,
    time: str,
    state: str,
    activation: int,
    release: str,
    content_id: str,
    run: str,
    who: str,
    why: str,
) -> Entry:
    """Return the next entry, chained to the last one."""
    last = entries[-1] if entries else None
    entry = Entry(
        seq=last.seq + 1 if last else 1,
        prev=canonical.sha256(last.line()) if last else GENESIS,
        time=time,
        state=state,
        activation=activation,
        release=release,
        content_id=content_id,
        run=run,
        who=who,
        why=why,
    )
    schemas.check("ledger", {"schema": "containerless.ledger/v1", **entry.__dict__}, "ledger entry")
    return entry


def parse(data: bytes) -> tuple[list[Entry], int]:
    """Return the entries and the number of good bytes: a torn last line (no newline) is not counted.

    Raises InvalidDocument for a line that was edited or removed: the chain shows it.
    """
    entries: list[Entry] = []
    good = 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        document = schemas.check("ledger", canonical.loads(line, f"ledger line {number}"), f"ledger line {number}")
        entry = Entry(**{key: value for key, value in document.items() if key != "schema"})
        expected = canonical.sha256(entries[-1].line()) if entries else GENESIS
        if entry.prev != expected or entry.seq != number:
            raise InvalidDocument(f"ledger line {number} does not follow the line before it: the ledger was edited")
        entries.append(entry)
        good += len(line)
    return entries, good


def head(entries: t.Sequence[Entry]) -> str:
    """Return the digest of the last line: kept on the control node, it shows a ledger that was cut."""
    return canonical.sha256(entries[-1].line()) if entries else GENESIS


def next_activation(entries: t.Iterable[Entry]) -> int:
    """Return the next free activation number of this host."""
    return max((entry.activation for entry in entries), default=0) + 1


def states(entries: t.Iterable[Entry]) -> dict[int, Entry]:
    """Return the last entry of each activation."""
    return {entry.activation: entry for entry in entries}


def since_good(entries: t.Sequence[Entry], release: str) -> set[str]:
    """Return every release that this host met after `release` was good for the last time."""
    last = max((entry.seq for entry in entries if (entry.release, entry.state) == (release, "good")), default=0)
    return {entry.release for entry in entries if entry.seq > last}


def rollback_target(entries: t.Sequence[Entry], active: int) -> Entry | None:
    """Return the last good activation to go back to from `active`, or None.

    Releases are ordered by when they were last released and good; a rollback moves none, so a second one goes further
    back, and never forward to a release that somebody left by a rollback. One that never became good is no target; one
    that was good stays one when a later start of it fails, say for a secret that was wrong.
    """
    lived = {entry.activation for entry in entries if entry.state == "good"}
    latest = {e.release: e for e in entries if e.activation in lived and e.state in ("good", "rolled_back")}
    order = _order(entries)
    now = next((entry.release for entry in reversed(entries) if entry.activation == active), None)
    if now is None:
        return None
    position = order.get(now, entries[-1].seq + 1)
    goods = [r for r, seq in order.items() if seq < position and r != now and latest[r].state == "good"]
    if not goods:
        return None
    release = max(goods, key=order.__getitem__)
    return next(entry for entry in reversed(entries) if entry.release == release and entry.state == "good")


def _order(entries: t.Sequence[Entry]) -> dict[str, int]:
    """Return the place of each release that was good: later ones are higher."""
    by_rollback = _by_rollback(entries)
    order: dict[str, int] = {}
    live = ""
    for entry in entries:
        if entry.state == "good":
            # What is live already and gets other secrets keeps its place too.
            moves = entry.activation not in by_rollback and entry.release != live
            if moves or entry.release not in order:
                order[entry.release] = entry.seq
            live = entry.release
    return order


def _by_rollback(entries: t.Iterable[Entry]) -> set[int]:
    """Return the activations that became good by a rollback: what each left is closed before anything else begins."""
    found: set[int] = set()
    good = 0
    for entry in entries:
        if entry.state == "good":
            good = entry.activation
        elif entry.state == "staged":
            good = 0
        elif entry.state == "rolled_back" and good not in (0, entry.activation):
            found.add(good)
    return found
