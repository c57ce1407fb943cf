# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which distribution needs which, read from the Requires-Dist lines of what is installed. Pure.

The lock decides what is there; this only draws the lines between. So nothing is resolved: a requirement counts when
its marker holds on the target and the distribution that it names is there, an extra when a requirement asks for it.
What an extra brought that only the project asked for is then needed by the project itself, which is true as well.
"""

from __future__ import annotations

import ast
import re
import typing as t
from dataclasses import dataclass

from .lock import normalised

_LINE = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*(.*)", re.DOTALL)
_VERSION = re.compile(r"\d+(\.\d+)*")
_COMPARE: dict[type, t.Callable[[t.Any, t.Any], bool]] = {
    ast.Eq: lambda a, b: bool(a == b),
    ast.NotEq: lambda a, b: bool(a != b),
    ast.Lt: lambda a, b: bool(a < b),
    ast.LtE: lambda a, b: bool(a <= b),
    ast.Gt: lambda a, b: bool(a > b),
    ast.GtE: lambda a, b: bool(a >= b),
    ast.In: lambda a, b: bool(a in b),
    ast.NotIn: lambda a, b: bool(a not in b),
}
_VERSIONS = ("python_version", "python_full_version")


class Undecided(Exception):
    """A marker that is more than comparisons of what is known here."""


@dataclass(frozen=True)
class Requirement:
    """One line: the normalised names of what it asks for and of its extras, and its marker or nothing."""

    name: str
    extras: frozenset[str]
    marker: str


def environment(python: str, machine: str) -> dict[str, str]:
    """Return what markers are compared with (PEP 508) on a target: CPython of version X.Y on Linux."""
    return {
        "python_version": python,
        "python_full_version": python,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": machine,
    }


def parse(line: str) -> Requirement | None:
    """Return a Requires-Dist line, or None for one that is none."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    # A URL may hold a semicolon; PEP 508 asks for a space before the one that starts the marker.
    rest = re.split(r"\s;" if match[3].startswith("@") else ";", match[3], maxsplit=1)
    extras = frozenset(normalised(extra.strip()) for extra in (match[2] or "").split(",") if extra.strip())
    return Requirement(normalised(match[1]), extras, rest[1].strip() if len(rest) > 1 else "")


def holds(marker: str, facts: dict[str, str], extra: str = "") -> bool:
    """Return whether a marker holds. One that can't be decided here holds, but for extras: the lock has decided it."""
    if not marker:
        return True
    try:
        # The grammar of markers is a part of Python's, but for ~= and ===.
        return _decide(ast.parse(marker.strip(), mode="eval").body, {**facts, "extra": extra})
    except (SyntaxError, ValueError, RecursionError, Undecided):
        return bool(extra) or "extra" not in marker


def _decide(node: ast.AST, facts: dict[str, str]) -> bool:
    if isinstance(node, ast.BoolOp):
        together = all if isinstance(node.op, ast.And) else any
        return together(_decide(value, facts) for value in node.values)
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        raise Undecided
    left, right = node.left, node.comparators[0]
    names = [side.id for side in (left, right) if isinstance(side, ast.Name)]
    values = [_value(side, facts) for side in (left, right)]
    if names == ["extra"]:
        values = [normalised(value) for value in values]
    compare = _COMPARE.get(type(node.ops[0]))
    if compare is None:
        raise Undecided
    if len(names) == 1 and names[0] in _VERSIONS and not isinstance(node.ops[0], (ast.In, ast.NotIn)):
        return compare(*_numbers(*values))
    return compare(*values)


def _value(node: ast.AST, facts: dict[str, str]) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name) and node.id in facts:
        return facts[node.id]
    raise Undecided


def _numbers(left: str, right: str) -> list[tuple[int, ...]]:
    """Return two versions as numbers X.Y. Micro versions don't decide: the same artifact runs on all of them."""
    if not _VERSION.fullmatch(left) or not _VERSION.fullmatch(right):
        raise Undecided
    whole = [tuple(int(part) for part in side.split(".")) for side in (left, right)]
    short = [(*side, 0)[:2] for side in whole]
    if short[0] == short[1] and any(any(side[2:]) for side in whole):
        raise Undecided
    return short


Graph = dict[str, set[str]]


def graph(lines: dict[str, list[str]], facts: dict[str, str]) -> Graph:
    """Return what each distribution needs, given the Requires-Dist lines of all that are there by normalised name."""
    known = {name: [item for item in map(parse, texts) if item is not None] for name, texts in lines.items()}
    always = {name: [item for item in items if holds(item.marker, facts)] for name, items in known.items()}
    found: Graph = {name: _here(items, name, lines) for name, items in always.items()}
    options = {
        (name, extra): [item for item in items if item not in always[name] and holds(item.marker, facts, extra)]
        for name, items in known.items()
        for extra in _extras(items)
    }
    asked = {(item.name, extra) for items in always.values() for item in items for extra in item.extras}
    for name, extra in _with_extras_of_extras(asked, options) & options.keys():
        found[name] |= _here(options[name, extra], name, lines)
    return found


def _here(items: list[Requirement], name: str, lines: dict[str, list[str]]) -> set[str]:
    return {item.name for item in items if item.name in lines and item.name != name}


def _extras(items: list[Requirement]) -> list[str]:
    found = (re.findall(r"""extra\s*==\s*["']([^"']+)["']""", item.marker) for item in items)
    return sorted({normalised(extra) for extras in found for extra in extras})


def _with_extras_of_extras(
    asked: set[tuple[str, str]], options: dict[tuple[str, str], list[Requirement]]
) -> set[tuple[str, str]]:
    """Return extras with those that their own requirements ask for, as in `all = ["own[one,two]"]`."""
    seen: set[tuple[str, str]] = set()
    todo = list(asked)
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            todo += [(item.name, extra) for item in options.get(one, ()) for extra in item.extras]
    return seen
