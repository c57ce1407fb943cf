# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a run is killed: before each effect that a dry pass named, and in the middle of each program. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

#: A line of code that has more effects than this in one step is a loop: its first, middle and last turn stand for all.
LOOP = 3
#: What a host left behind is set right by: the next run, the next boot, or nobody at all.
WAYS = ("next", "boot", "alone")
#: What comes before the first line of the journal, and writes none.
PREFLIGHT = "preflight"
#: Programs that wait for what they began: killed beside one, a run leaves it going on. Others are over at once.
_WAITS = re.compile(r": run systemctl (start|stop) (?!--no-block)")


@dataclass(frozen=True)
class Effect:
    """What a run is about to do: `kind` is write, rename, run, ...; `site` is the line of code."""

    name: str
    call: str
    step: str
    site: str
    kind: str
    path: str


@dataclass(frozen=True)
class Kill:
    """One kill of one story, and what comes after it."""

    story: str
    effect: str
    step: str
    during: bool
    way: str

    def __str__(self) -> str:
        return f"{self.story}: {'in' if self.during else 'before'} {self.effect}, then {self.way}"


def durable(effects: Sequence[Effect]) -> list[Effect]:
    """Leave out what only looks, and the making of a file that is renamed next: the kill comes before the rename."""
    return [
        each for each in effects if each.kind == "rename" or not (each.kind == "look" or each.path.endswith(".new"))
    ]


def turns(effects: Sequence[Effect]) -> list[Effect]:
    """Leave three turns of each loop, in the order of the effects."""
    order = {effect.name: number for number, effect in enumerate(effects)}
    kept: list[Effect] = []
    for _key, members in groupby(sorted(effects, key=_line), key=_line):
        each = sorted(members, key=lambda effect: order[effect.name])
        kept += each if len(each) <= LOOP else [each[0], each[len(each) // 2], each[-1]]
    return sorted(kept, key=lambda effect: order[effect.name])


def _line(effect: Effect) -> tuple[str, str, str]:
    return effect.call, effect.step, effect.site


def plan(story: str, effects: Sequence[Effect]) -> list[Kill]:
    """Return all kills of a story; the three ways on take turns."""
    found: list[Kill] = []
    for effect in turns(durable(effects)):
        for during in (False, True) if _WAITS.search(effect.name) else (False,):
            step = PREFLIGHT if effect.step == "-" else effect.step
            found.append(Kill(story, effect.name, step, during, WAYS[len(found) % len(WAYS)]))
    return found


def spread(kills: Sequence[Kill]) -> list[Kill]:
    """Return the kills with the first of each step of each story in front: who ends early has seen everything once."""
    first: dict[tuple[str, str], Kill] = {}
    for kill in kills:
        first.setdefault((kill.story, kill.step), kill)
    return [*first.values(), *(kill for kill in kills if kill not in first.values())]


def brief(kills: Sequence[Kill]) -> list[Kill]:
    """Return the first kill of each step: what a scenario has time for."""
    return list({kill.step: kill for kill in reversed(kills)}.values())[::-1]


def missing(steps: Sequence[str], hit: Sequence[Kill]) -> list[str]:
    """Return the steps of the journal in which nothing was killed."""
    return [step for step in steps if step not in {kill.step for kill in hit}]
