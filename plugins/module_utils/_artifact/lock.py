# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a hash-locked requirements file: every line a pinned distribution with SHA-256 hashes, or a refusal.

Markers are kept as text: whoever knows the target evaluates them for it.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._core.errors import ContainerlessError

HOW = "write the lock with `uv pip compile --universal --generate-hashes requirements.in -o requirements.txt`"

_COMMENT = re.compile(r"(^|\s+)#.*$")
_HASH = re.compile(r"\s--hash[=\s]\s*([a-z0-9]+):([0-9a-fA-F]+)")
_PIN = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^]]*\])?\s*===?\s*([^\s;,*]+)\s*(?:;\s*(.+))?")
_INDEX_OPTIONS = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--trusted-host")


@dataclass(frozen=True)
class Pin:
    """One distribution of a lock. `hashes` are hex SHA-256 digests, sorted."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class Lock:
    """The pins of a lock, and the lines of it that only say where to fetch from."""

    pins: tuple[Pin, ...]
    index_options: tuple[str, ...]


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


def _hashes(text: str, where: str) -> tuple[str, ...]:
    found: list[tuple[str, str]] = _HASH.findall(" " + text)
    if not found:
        raise ContainerlessError(f"{where} has no --hash; {HOW}")
    for kind, value in found:
        if kind != "sha256" or len(value) != 64:
            raise ContainerlessError(f"{where} has a hash that is not a SHA-256 ({kind}); {HOW}")
    return tuple(sorted({value.lower() for _kind, value in found}))


def _pin(line: str, number: int, where: str) -> Pin:
    requirement = _HASH.sub("", " " + line).strip()
    match = _PIN.fullmatch(requirement)
    if not match:
        raise ContainerlessError(f"{where} ({requirement.split(';')[0].strip()}) is not pinned as name==version; {HOW}")
    name, version, marker = match.groups()
    return Pin(normalised(name), version, (marker or "").strip(), _hashes(line, f"{where} ({name}=={version})"), number)


def parse(text: str, filename: str) -> Lock:
    """Return the lock. Raises with file and line for whatever is no pinned and hashed distribution."""
    pins: list[Pin] = []
    options: list[str] = []
    for number, line in logical_lines(text):
        where = f"{filename} line {number}"
        if re.split(r"[=\s]", line)[0] in _INDEX_OPTIONS:
            options.append(line)
        elif line.startswith("-"):
            raise ContainerlessError(f"{where}: {line.split()[0]} has no place in a lock; {HOW}")
        else:
            pins.append(_pin(line, number, where))
    if not pins:
        raise ContainerlessError(f"{filename} pins no distribution; {HOW}")
    return Lock(tuple(pins), tuple(options))
