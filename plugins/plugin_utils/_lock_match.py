# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a lock is that of its pyproject.toml.

Own code, because `uv lock --check` needs an interpreter that the project allows, the person's own configuration and,
for some projects, a build. Markers are written in many ways, so what counts is what they say on Linux.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ..module_utils._artifact.lock import normalised
from ..module_utils._core.errors import ContainerlessError
from . import _lock_uv
from ._committed import entries, table
from ._wheels import Platform

# Whoever reads a project asks for the library first.
with contextlib.suppress(ImportError):
    from packaging.dependency_groups import resolve_dependency_groups
    from packaging.markers import InvalidMarker, Marker
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..module_utils._artifact.lock import Lock, Pin
    from ._lock_pylock import Choice

PYPROJECT = "pyproject.toml"
_MINORS = range(9, 24)
_MACHINES = ("x86_64", "aarch64")
#: Keys of a requirement in uv.lock that comes from elsewhere than an index; its specifier is left out there.
_SOURCED = frozenset({"git", "url", "path", "directory", "editable", "virtual"})

Environment = dict[str, str]


@dataclass(frozen=True)
class Wish:
    """A requirement of a project."""

    name: str
    extras: frozenset[str]
    specifier: SpecifierSet
    marker: Marker | None

    def holds(self, environment: Environment, extras: Iterable[str] = ()) -> bool:
        """Say whether it is meant for a target, with at least one of these extras or without any."""
        if self.marker is None:
            return True
        return any(self.marker.evaluate(t.cast("t.Any", {**environment, "extra": each})) for each in ("", *extras))


@dataclass(frozen=True)
class Wanted:
    """What an artifact takes of a project. `extras` are the chosen ones and those that they name in turn."""

    project: str
    extras: frozenset[str]
    groups: tuple[str, ...]
    dependencies: tuple[Wish, ...]
    from_groups: tuple[Wish, ...]
    environments: tuple[Environment, ...]


def wanted(document: dict[str, t.Any], choice: Choice) -> Wanted | None:
    """Return what a pyproject.toml asks for, or None where only a build of the project would tell.

    Raises with the name of what is no requirement, and of an extra or a group that is not there.
    """
    project = table(document, "project")
    dynamic = entries(project, "dynamic")
    if "dependencies" in dynamic or "optional-dependencies" in dynamic:
        return None
    name = normalised(str(project.get("name", "")))
    optional = {normalised(extra): lines for extra, lines in table(project, "optional-dependencies").items()}
    found, extras = _wishes(project.get("dependencies", []), "project.dependencies"), set[str]()
    todo = [*choice.extras, *_own_extras(found, name)]
    while todo:
        extra = todo.pop()
        if extra not in optional:
            raise _unknown("extras", extra, "project.optional-dependencies")
        extras.add(extra)
        more = _wishes(optional[extra], f"project.optional-dependencies.{extra}")
        todo += _own_extras(more, name) - extras
        found += more
    groups = _of_groups(table(document, "dependency-groups"), choice.groups)
    return Wanted(
        project=name,
        extras=frozenset(extras),
        groups=choice.groups,
        dependencies=tuple(wish for wish in found if wish.name != name),
        from_groups=tuple(wish for wish in groups if wish.name != name),
        environments=_environments(requires_python(document)),
    )


def _own_extras(wishes: Iterable[Wish], name: str) -> set[str]:
    """Return the extras that a project takes of itself, as "shop[redis]" among the requirements of shop."""
    return {extra for wish in wishes if wish.name == name for extra in wish.extras}


def check_uv(document: dict[str, t.Any], asked: Wanted, name: str) -> None:
    """Raise when uv.lock was made of other requirements."""
    found = _lock_uv.root(document)
    if found is None:
        stood: dict[str, t.Any] = {"requires-dev": table(document, "manifest", "dependency-groups")}
    elif normalised(str(found.get("name"))) == asked.project:
        stood = table(found, "metadata")
    else:
        raise ContainerlessError(f"{name} is the lock of {found.get('name')}, not of {asked.project}; {_lock_uv.HOW}")
    of_groups = [
        each
        for group, lines in table(stood, "requires-dev").items()
        if normalised(group) in asked.groups
        for each in lines
    ]
    pairs = ((asked.dependencies, stood.get("requires-dist", [])), (asked.from_groups, of_groups))
    differ: set[str] = set()
    for wishes, locked in pairs:
        sourced = {normalised(each["name"]) for each in locked if _SOURCED & each.keys()}
        theirs = [wish for wish in map(_locked, locked) if wish.name != asked.project]
        for environment in asked.environments:
            one = {_key(wish, sourced) for wish in wishes if wish.holds(environment)}
            two = {_key(wish, sourced) for wish in theirs if wish.holds(environment, asked.extras)}
            differ |= {key[0] for key in one ^ two}
    if differ:
        raise ContainerlessError(f"{name} does not match {PYPROJECT} ({', '.join(sorted(differ))}); {_lock_uv.HOW}")


def check_pins(lock: Lock, asked: Wanted, name: str) -> None:
    """Raise when a requirement of the project is not pinned, or at a version that it does not allow.

    A lock may be made for one target alone, so it is enough that it fits one; the faults are those of the nearest.
    """
    pins: dict[str, list[Pin]] = {}
    for pin in lock.pins:
        pins.setdefault(pin.name, []).append(pin)
    wishes = (*asked.dependencies, *asked.from_groups)
    faults = min((list(dict.fromkeys(_faults(wishes, pins, each))) for each in asked.environments), key=len)
    if faults:
        raise ContainerlessError(f"{name} does not match {PYPROJECT} ({', '.join(faults)}); write the lock again")


def _faults(wishes: Iterable[Wish], pins: dict[str, list[Pin]], environment: Environment) -> Iterator[str]:
    for wish in wishes:
        if not wish.holds(environment):
            continue
        there = [pin for pin in pins.get(wish.name, []) if _fits(pin, environment)]
        if not there:
            yield f"{wish.name} is not pinned"
        elif not any(_allows(wish, pin) for pin in there):
            yield f"{wish.name}{wish.specifier} is pinned as {' and '.join(pin.version for pin in there)}"


def _unknown(key: str, value: str, where: str) -> ContainerlessError:
    return ContainerlessError(
        f"{key} of [tool.containerless] in {PYPROJECT} names {value!r}, which [{where}] there does not hold"
    )


def _wishes(lines: object, where: str) -> list[Wish]:
    if not isinstance(lines, list):
        raise ContainerlessError(f"{where} of {PYPROJECT} is not a list of requirements")
    found = []
    for line in lines:
        try:
            parsed = Requirement(line)
        except (InvalidRequirement, TypeError):
            raise ContainerlessError(
                f"{where} of {PYPROJECT} holds {line!r}, which is no requirement (PEP 508)"
            ) from None
        extras = frozenset(map(normalised, parsed.extras))
        found.append(Wish(normalised(parsed.name), extras, parsed.specifier, parsed.marker))
    return found


def _of_groups(groups: dict[str, t.Any], chosen: tuple[str, ...]) -> list[Wish]:
    known = {normalised(group) for group in groups}
    for group in chosen:
        if group not in known:
            raise _unknown("groups", group, "dependency-groups")
    try:
        lines = list(resolve_dependency_groups(groups, *chosen))
    except (ExceptionGroup, LookupError, TypeError, ValueError) as exc:
        # The library raises a group of exceptions, each with its own words.
        why = str(next(iter(getattr(exc, "exceptions", [exc])))).splitlines()[0]
        raise ContainerlessError(f"[dependency-groups] of {PYPROJECT}: {why}") from None
    return _wishes(lines, "dependency-groups")


def requires_python(document: dict[str, t.Any]) -> SpecifierSet:
    """Return which Pythons a project allows. Raises when it is no version specifier."""
    text = table(document, "project").get("requires-python", "")
    try:
        return SpecifierSet(text)
    except (InvalidSpecifier, TypeError, AttributeError):
        raise ContainerlessError(f"project.requires-python of {PYPROJECT} is {text!r}, no version specifier") from None


def _environments(allowed: SpecifierSet) -> tuple[Environment, ...]:
    """Return the Linux targets that the project allows: the first and a late micro version of each Python."""
    versions = [f"3.{minor}.{micro}" for minor in _MINORS for micro in (0, 99)]
    fit = [version for version in versions if allowed.contains(version)] or versions
    targets = [Platform("linux", full=version, glibc=0, machine=machine) for version in fit for machine in _MACHINES]
    return tuple(target.markers for target in targets)


def _locked(each: dict[str, t.Any]) -> Wish:
    """Return a requirement as uv.lock writes it."""
    marker = each.get("marker")
    extras = frozenset(map(normalised, each.get("extras", [])))
    specifier = SpecifierSet(each.get("specifier", ""))
    return Wish(normalised(each["name"]), extras, specifier, Marker(marker) if marker else None)


def _key(wish: Wish, sourced: set[str]) -> tuple[str, frozenset[str], SpecifierSet | None]:
    return wish.name, wish.extras, None if wish.name in sourced else wish.specifier


def _fits(pin: Pin, environment: Environment) -> bool:
    try:
        return not pin.marker or Marker(pin.marker).evaluate(t.cast("t.Any", environment))
    except InvalidMarker as exc:
        raise ContainerlessError(f"{pin.where}: {str(exc).splitlines()[0]}") from None


def _allows(wish: Wish, pin: Pin) -> bool:
    try:
        return wish.specifier.contains(Version(pin.version), prereleases=True)
    except InvalidVersion:
        raise ContainerlessError(f"{pin.where}: {pin.version!r} is no version of {pin.name} (PEP 440)") from None
