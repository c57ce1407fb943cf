# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which line of a sandbox stops which attempt: each directive left out of the whole, and each alone over nothing.

An attempt that gets through without a directive is stopped by that alone. Most are stopped by several: those are the
ones that stop it when nothing else of the sandbox is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

#: Without these nothing starts, so they are there in every run: where the program stands, and what a refusal says.
BASE = ("StateDirectory", "StateDirectoryMode", "UMask", "BindReadOnlyPaths", "ExecPaths", "SystemCallErrorNumber")
#: Limits and what goes beside: no attempt of the suite is about them.
LEFT_OUT = re.compile(
    "Memory(Max|High|Swap|Pressure)|Limit|OOM|Tasks|CPU|Log|NotifyAccess|CacheDirectory|LogsDirectory|RuntimeDirectory|ReadWrite|BindPaths"
)
_ASSIGNMENT = re.compile(r"^([A-Za-z]+)=(.*)$")
_USR = "BindReadOnlyPaths=/usr "

#: {attempt: "allowed" or what refused it}, under these lines of a drop-in; empty where nothing can run under them
Try = Callable[[str], Mapping[str, str]]


@dataclass(frozen=True)
class Part:
    """Lines of a drop-in that belong together."""

    name: str
    lines: tuple[str, ...]

    def without(self, text: str) -> str:
        """Return a drop-in that lacks this part."""
        if self.lines == (_USR,):
            return text.replace(_USR, "BindReadOnlyPaths=")
        return "".join(line for line in text.splitlines(keepends=True) if line.rstrip("\n") not in self.lines)


@dataclass
class Stops:
    """What stops an attempt: the parts without any one of which it gets through, and those that do it alone."""

    needed: set[str] = field(default_factory=set)
    alone: set[str] = field(default_factory=set)


def parts(text: str) -> list[Part]:
    """Return the parts of a drop-in that may stop an attempt; a list of places is a part for each line."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        match = _ASSIGNMENT.match(line)
        if not match or match[1] in BASE or LEFT_OUT.match(match[1]):
            continue
        if match[1] == "TemporaryFileSystem":
            name = f"{match[1]}={match[2].split(':')[0]}" if match[2] else ""
        else:
            name = match[1]
        if name:
            found.setdefault(name, []).append(line)
    return [Part(name, tuple(lines)) for name, lines in found.items()] + [Part("BindReadOnlyPaths=/usr", (_USR,))]


def base(text: str) -> str:
    """Return what is left of a drop-in when all of its parts are gone."""
    kept = [line for line in text.splitlines() if (found := _ASSIGNMENT.match(line)) and found[1] in BASE]
    return "\n".join(["[Service]", *kept, ""]).replace(_USR, "BindReadOnlyPaths=")


def alone(text: str, part: Part) -> str:
    """Return a drop-in that has nothing but this part."""
    if part.lines == (_USR,):
        return base(text) + "BindReadOnlyPaths=/usr\n"
    return base(text) + "".join(f"{line}\n" for line in part.lines)


def ablate(text: str, attempt: Try, say: Callable[[str], None] = lambda _text: None) -> dict[str, Stops]:
    """Return what stops each attempt that gets through when no part is there.

    A drop-in under which nothing can run says nothing about attempts.
    """
    bare = attempt(base(text))
    found = {name: Stops() for name, outcome in bare.items() if outcome == "allowed"}
    for part in parts(text):
        say(part.name)
        without, only = attempt(part.without(text)), attempt(alone(text, part))
        for name, stops in found.items():
            if without.get(name) == "allowed":
                stops.needed.add(part.name)
            if only.get(name, "allowed") != "allowed":
                stops.alone.add(part.name)
    return found


def rows(found: Mapping[str, Stops]) -> list[tuple[str, str, str]]:
    """Return (attempts, parts that are needed each, parts that do it alone); attempts with one answer are one row."""
    same: dict[tuple[str, str], list[str]] = {}
    for name, stops in found.items():
        same.setdefault((_joined(stops.needed), _joined(stops.alone)), []).append(name)
    return [(_attempts(names), *key) for key, names in same.items()]


def _joined(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _attempts(names: Iterable[str]) -> str:
    """Write attempts of one kind as one: `execute: program in /tmp; program in /var/tmp`."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind, _, what = name.partition(": ")
        kinds.setdefault(kind, []).append(what)
    return "<br>".join(f"{kind}: {'; '.join(what)}" for kind, what in kinds.items())
