# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a lock pins, and the reader of hash-locked requirements files: every line a pin with SHA-256, or a refusal.

Markers are kept as text: whoever knows the target evaluates them for it.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._core.errors import ContainerlessError

HOW = "write the lock with `uv pip compile --universal --generate-hashes requirements.in -o requirements.txt`"

SHA256_DIGITS = 64
_COMMENT = re.compile(r"(^|\s+)#.*$")
_HASH = re.compile(r"\s--hash[=\s]\s*([a-z0-9]+):([0-9a-fA-F]+)")
_PIN = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^]]*\])?\s*===?\s*([^\s;,*]+)\s*(?:;\s*(.+))?")
_INDEX_OPTIONS = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--trusted-host")


@dataclass(frozen=True)
class Pin:
    """One distribution of a lock. `hashes` are hex SHA-256 digests, sorted; `where` is how errors name the entry."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class Lock:
    """The pins of a lock, and the lines that tell pip where to fetch from.

    `kind` is "requirements", "pylock" or "uv". `package` says whether the project itself is to be installed, None where
    the lock does not say.
    """

    pins: tuple[Pin, ...]
    index_options: tuple[str, ...]
    kind: str = "requirements"
    package: bool | None = None


def normalised(name: str) -> str:
    """Return the name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def logical_lines(text: str) -> t.Iterator[tuple[int, str]]:
    """Yield (number of its first line, text) of each line, continuations joined, comments and empty lines dropped."""
    parts: list[str] = []
    first = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = _COMMENT.sub("", raw).rstrip()
        first = first if parts else number
        parts.append(line.rstrip("\\").strip())
        if line.endswith("\\"):
            continue
        joined = " ".join(part for part in parts if part)
        parts = []
        if joined:
            yield first, joined
    if any(parts):
        yield first, " ".join(part for part in parts if part)


def _hashes(line: str) -> tuple[str, ...]:
    """Return the digests of a line, none when it has none or one that is no SHA-256."""
    found: list[tuple[str, str]] = _HASH.findall(" " + line)
    if any(kind != "sha256" or len(value) != SHA256_DIGITS for kind, value in found):
        return ()
    return tuple(sorted({value.lower() for _kind, value in found}))


def refuse(filename: str, fault: str, entries: list[str], how: str) -> None:
    """Raise when there are entries with this fault, naming all of them and what to do."""
    if entries:
        raise ContainerlessError(f"{filename} {fault}: {', '.join(entries)}; {how}")


def parse(text: str, filename: str) -> Lock:
    """Return the lock of a requirements file. Raises with all lines that are no pinned and hashed distribution."""
    pins: list[Pin] = []
    options: list[str] = []
    foreign, unpinned, unhashed = [], [], []
    for number, line in logical_lines(text):
        requirement = _HASH.sub("", " " + line).strip()
        match, hashes = _PIN.fullmatch(requirement), _hashes(line)
        shown = f"line {number} ({requirement.split(';')[0].strip()})"
        if re.split(r"[=\s]", line)[0] in _INDEX_OPTIONS:
            options.append(line)
        elif line.startswith("-"):
            foreign.append(f"line {number} ({line.split()[0]})")
        elif not match:
            unpinned.append(shown)
        elif not hashes:
            unhashed.append(shown)
        else:
            name, version, marker = match.groups()
            pins.append(Pin(normalised(name), version, (marker or "").strip(), hashes, f"{filename} line {number}"))
    refuse(filename, "has options that have no place in a lock", foreign, HOW)
    refuse(filename, "has lines that are not pinned as name==version", unpinned, HOW)
    refuse(filename, "has lines without a SHA-256 --hash", unhashed, HOW)
    if not pins:
        raise ContainerlessError(f"{filename} pins no distribution; {HOW}")
    return Lock(tuple(pins), tuple(options))
