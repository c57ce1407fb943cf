# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a pylock.toml (PEP 751): every package with version and SHA-256 from an index, or a refusal that names all."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..module_utils._artifact.lock import SHA256_DIGITS, Lock, Pin, normalised, refuse
from ..module_utils._core.errors import ContainerlessError
from ._committed import entries, toml

try:
    from packaging.markers import Marker
    from packaging.pylock import Package, Pylock, PylockValidationError
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    HAS_LIBRARIES = True
except ImportError:
    HAS_LIBRARIES = False

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOW = "lock it again with a release from an index"

_SHA256 = re.compile(rf"[0-9a-f]{{{SHA256_DIGITS}}}")
_NO_URL = re.compile(r"[\s\x00-\x1f\x7f]|^-")
#: How packaging writes the two markers that depend on what is chosen for an installation.
_CHOICE = re.compile(r'"([^"]*)" (not in|in) (extras|dependency_groups)')
_ALWAYS, _NEVER = 'os_name != ""', 'os_name == ""'


@dataclass(frozen=True)
class Choice:
    """What an artifact holds beside the dependencies of a project, by normalised names."""

    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def need_libraries() -> None:
    """Raise when what reads and compares locks is not there."""
    if not HAS_LIBRARIES:
        raise ContainerlessError(
            "a build needs Python libraries on the control node: pip install 'packaging>=26.1' 'pypi-simple>=1.8,<2'"
        )


def parse(text: str, name: str, choice: Choice, kind: str = "pylock") -> Lock:
    """Return the lock. Raises, naming each, for packages that come from no index, have no version or no SHA-256."""
    document = toml(text, name)
    try:
        found = Pylock.from_dict(_without_useless_sdists(document))
    except PylockValidationError as exc:
        # A broken marker is explained in several lines.
        why = f"{exc.message.splitlines()[0]}{f' in {exc.context}' if exc.context else ''}"
        raise ContainerlessError(f"{name} is no lock as PEP 751 describes it: {why}") from None
    _check_choice(found, choice, name)
    chosen = Choice(choice.extras, (*choice.groups, *map(normalised, found.default_groups or ())))
    refuse(name, "holds what comes from no index", [_shown(p) for p in found.packages if p.is_direct], HOW)
    refuse(name, "holds packages without a version", [p.name for p in found.packages if not p.version], HOW)
    pins = tuple(_pin(package, name, chosen) for package in found.packages)
    unhashed = [_shown(package) for package, pin in zip(found.packages, pins, strict=True) if not pin.hashes]
    refuse(name, "holds packages without a SHA-256", unhashed, HOW)
    if not pins:
        raise ContainerlessError(f"{name} pins no distribution; an artifact needs at least its server")
    return Lock(pins, tuple(_index_options(found.packages, name)), kind=kind)


def _without_useless_sdists(document: dict[str, t.Any]) -> dict[str, t.Any]:
    """Leave out sdists of a kind that no index takes any more (PEP 625), where there are wheels: they are no fault."""
    for package in entries(document, "packages"):
        sdist = package.get("sdist") if isinstance(package, dict) and package.get("wheels") else None
        where = str(sdist.get("name") or sdist.get("path") or sdist.get("url")) if isinstance(sdist, dict) else ".zip"
        if not where.endswith((".tar.gz", ".zip")):
            del package["sdist"]
    return document


def _check_choice(found: Pylock, choice: Choice, name: str) -> None:
    for what, chosen, known in (
        ("extras", choice.extras, found.extras),
        ("groups", choice.groups, found.dependency_groups),
    ):
        # A lock that lists none was made for one choice; what it lacks is found when the pins are compared.
        missing = sorted(set(chosen) - set(map(normalised, known))) if known else []
        if missing:
            raise ContainerlessError(f"{name} was not made for {what} {', '.join(missing)} of [tool.containerless]")


def _shown(package: Package) -> str:
    if package.vcs:
        return f"{package.name} (from a {package.vcs.type} repository)"
    if package.directory:
        return f"{package.name} (from the folder {package.directory.path})"
    if package.archive:
        return f"{package.name} (from a file of its own)"
    return f"{package.name} {package.version}"


def _pin(package: Package, name: str, choice: Choice) -> Pin:
    hashes = [file.hashes for file in (package.sdist, *(package.wheels or ())) if file]
    digests = {str(each.get("sha256", "")).lower() for each in hashes}
    return Pin(
        name=package.name,
        version=str(package.version),
        marker=_decided(package.marker, choice) if package.marker else "",
        hashes=tuple(sorted(digest for digest in digests if _SHA256.fullmatch(digest))),
        where=f"{name} ({_shown(package)})",
    )


def _decided(marker: Marker, choice: Choice) -> str:
    """Return the marker with `in extras` and `in dependency_groups` answered, so that the target decides the rest."""

    def answer(match: re.Match[str]) -> str:
        value, how, variable = match.groups()
        chosen = choice.extras if variable == "extras" else choice.groups
        return _ALWAYS if (normalised(value) in chosen) == (how == "in") else _NEVER

    return _CHOICE.sub(answer, str(marker))


def _index_options(packages: Iterable[Package], name: str) -> Iterator[str]:
    """Yield a line for each index but the default one, in whose place a person's own configuration stands."""
    indexes = {package.index.rstrip("/") for package in packages if package.index}
    for index in sorted(indexes - {PYPI_SIMPLE_ENDPOINT.rstrip("/")}):
        if _NO_URL.search(index):
            raise ContainerlessError(f"{name} names the index {index!r}, which is no URL")
        # A folder is of the machine that made the lock; app_build_wheelhouse names the one of this machine.
        if "://" in index and not index.startswith("file:"):
            yield f"--extra-index-url {index}"
