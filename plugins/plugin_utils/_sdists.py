# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Source distributions that a project names, and the wheels that their builds need, for the target's platform.

Only read here, never run: what a build needs is what `[build-system]` says (PEP 518), plus what the project adds. What
is needed and itself one of these sdists is built before (PyGObject needs pycairo, and neither has wheels).
"""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import typing as t
import zipfile
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from ..module_utils._artifact import lock
from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError
from . import _builder
from ._pyproject import OF_PROJECT, PYPROJECT, Settings
from ._wheels import Cache, Platform, Wheel, collect, need_packaging

try:
    from packaging.requirements import InvalidRequirement, Requirement
except ImportError:
    need_packaging()

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..module_utils._artifact.lock import Pin
    from ._index import Index
    from ._source import Source

#: What PEP 518 takes where nothing is said.
DEFAULT = ("setuptools", "wheel")
_LARGEST_PYPROJECT = 1 << 20
#: Bytes of an unpacked sdist that are read through to find its pyproject.toml.
_LARGEST_SDIST = 4 << 30
#: Of the platforms that uv 0.13 can resolve for: manylinux_2_40 and older.
NEWEST_GLIBC = 40
_REFUSED = re.compile(r"\b(401|403) (Unauthorized|Forbidden)")
_UNDATED = "is missing an upload date"


@dataclass(frozen=True)
class Sdist:
    """A source distribution in the cache; its build needs the wheels `requires`, and comes after the sdists `after`."""

    pin: Pin
    path: Path
    sha256: str
    requires: list[Wheel]
    after: list[str]

    @property
    def told(self) -> dict[str, t.Any]:
        """What the build host is told of it."""
        facts = {"name": self.pin.name, "version": self.pin.version, "file": self.path.name, "sha256": self.sha256}
        return {**facts, "after": self.after}


def sdists_for(
    pins: Sequence[Pin],
    platform: Platform,
    folder: Path,
    index: Index,
    *,
    build_requires: Mapping[str, Sequence[str]],
    before: int,
) -> list[Sdist]:
    """Return the sdists of pins that have no wheel, in the order in which they can be built.

    Their build requirements are those as of `before` (epoch seconds). Raises where two need each other.
    """
    need_packaging()
    found, _fetched = collect(pins, Cache(folder, platform), index, [pin.name for pin in pins])
    sdists: dict[str, Sdist] = {}
    for pin in pins:
        kept = found[pin.name]
        if kept is None or kept.is_wheel:
            what = "has a wheel" if kept else f"is not offered as a sdist with a hash of {pin.where}"
            raise ContainerlessError(f"{pin.name}=={pin.version} can't be built from source: it {what}")
        said = [*requires_of(kept.path), *build_requires.get(pin.name, ())]
        after, wanted = _own(said, [other for other in pins if other.name != pin.name], platform, pin.name)
        resolver = Resolver(platform, folder, index, before)
        sdists[pin.name] = Sdist(pin, kept.path, kept.sha256, resolver.wheels(wanted, pin.name), after)
    try:
        order = TopologicalSorter({name: sdist.after for name, sdist in sdists.items()}).static_order()
        return [sdists[name] for name in order]
    except CycleError as exc:
        raise ContainerlessError(
            f"the builds of {' and '.join(sorted(set(exc.args[1])))} need each other; one of them has to come as a"
            " wheel, in app_build_wheelhouse or from an index of your own"
        ) from None


def _own(requires: list[str], pins: list[Pin], platform: Platform, name: str) -> tuple[list[str], list[str]]:
    """Return the names of pins that satisfy some of a build's requirements, sorted, and the other requirements."""
    versions = {pin.name: pin.version for pin in pins}
    after: set[str] = set()
    others: list[str] = []
    for text in requires:
        need = Requirement(_checked(text, _where(name)))
        own = lock.normalised(need.name)
        applies = not need.marker or need.marker.evaluate(t.cast("t.Any", platform.markers))
        if applies and own in versions and need.specifier.contains(versions[own], prereleases=True):
            after.add(own)
        else:
            others.append(text)
    return sorted(after), others


def project_requires(source: Source, declared: Settings, platform: Platform, folder: Path, index: Index) -> list[Wheel]:
    """Return the wheels that the build of the project itself needs, as of its commit."""
    need_packaging()
    said = _requires(source.read(PYPROJECT) or b"", PYPROJECT)
    resolver = Resolver(platform, folder, index, source.time)
    return resolver.wheels([*said, *declared.build_requires.get(OF_PROJECT, ())], OF_PROJECT)


def requires_of(path: Path) -> list[str]:
    """Return what `[build-system]` of a sdist requires; nothing of the archive is written anywhere."""
    what = f"{PYPROJECT} of {path.name}"
    try:
        data = _zipped(path) if path.suffix == ".zip" else _tarred(path)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, RuntimeError) as exc:
        raise ContainerlessError(f"{path.name} can't be read as a sdist: {exc}") from None
    if data is None:
        return list(DEFAULT)
    if len(data) > _LARGEST_PYPROJECT:
        raise ContainerlessError(f"{what} is larger than {_LARGEST_PYPROJECT // 1024} KiB")
    return _requires(data, what)


def _is_pyproject(name: str) -> bool:
    parts = name.removeprefix("./").split("/")
    return len(parts) == 2 and parts[1] == PYPROJECT


def _tarred(path: Path) -> bytes | None:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.offset > _LARGEST_SDIST:
                raise tarfile.TarError("it is larger than 4 GiB")
            # Never a link: what it leads to may be anything.
            if member.isreg() and _is_pyproject(member.name):
                stream = archive.extractfile(member)
                return stream.read(_LARGEST_PYPROJECT + 1) if stream else None
    return None


def _zipped(path: Path) -> bytes | None:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if _is_pyproject(name):
                with archive.open(name) as stream:
                    return stream.read(_LARGEST_PYPROJECT + 1)
    return None


def _requires(data: bytes, what: str) -> list[str]:
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except ValueError as exc:
        raise ContainerlessError(f"{what} is not TOML: {exc}") from None
    system = document.get("build-system")
    if system is None:
        return list(DEFAULT)
    said = system.get("requires") if isinstance(system, dict) else None
    if not isinstance(said, list) or not all(isinstance(item, str) for item in said):
        raise ContainerlessError(f"[build-system] of {what} has no list of requires (PEP 518)")
    return said


@dataclass(frozen=True)
class Resolver:
    """Turns requirements into wheels for a target: the newest that were there at a time, so that all builds agree."""

    platform: Platform
    folder: Path
    index: Index
    before: int

    def wheels(self, requires: Sequence[str], name: str) -> list[Wheel]:
        """Return the wheels of a build's requirements with all that they depend on. Raises, naming whose they are."""
        where = _where(name)
        wanted = sorted({_checked(item, where) for item in requires})
        if not wanted:
            return []
        pins = lock.parse(self._compiled(wanted, where, name), where).pins
        found, _fetched = collect(pins, Cache(self.folder, self.platform), self.index)
        without = [f"{pin.name}=={pin.version}" for pin in pins if found[pin.name] is None]
        if without:
            raise ContainerlessError(f"{where}: the package index has no wheel for {', '.join(without)} any more")
        kept = [(pin, found[pin.name]) for pin in pins]
        return [Wheel(pin, file.path, file.sha256) for pin, file in kept if file]

    def _compiled(self, wanted: list[str], where: str, name: str) -> str:
        """Return a hash-locked requirements file; an earlier answer for the same question is the answer."""
        if self.index.wheelhouse is not None:
            return self._compile(wanted, where, name)
        key = canonical.digest([wanted, self.platform.full, self.platform.tags, self.before])
        known = self.folder / "build-requires" / f"{key[:32]}.txt"
        if not known.is_file():
            known.parent.mkdir(parents=True, exist_ok=True)
            fresh = known.with_suffix(f".{os.getpid()}")
            fresh.write_text(self._compile(wanted, where, name), encoding="utf-8")
            fresh.replace(known)
        return known.read_text(encoding="utf-8")

    def _compile(self, wanted: list[str], where: str, name: str) -> str:
        settings = self.index.settings()
        day = datetime.datetime.fromtimestamp(self.before, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        options, env = settings.uv()
        status, locked, said = self._uv([*options, "--exclude-newer", day], env, wanted)
        if status and _UNDATED in said:
            # An index that tells no times (PEP 700) would be empty at any time but now.
            status, locked, said = self._uv(options, env, wanted)
        if status and _REFUSED.search(said):
            raise ContainerlessError(
                f"{where} can't be looked up: the package index refuses these credentials, or wants some; they stand in"
                " app_build_index_url, in a netrc or in pip's configuration"
            )
        if status:
            lines = (line.strip() for line in said.partition("\nhint:")[0].splitlines())
            reason = " ".join(line for line in lines if line and not line.startswith("warning:"))
            raise ContainerlessError(
                f"{where} ({', '.join(wanted)}) have no wheels for {self.platform.name} as of {day}: {reason};"
                f' bound it below [tool.containerless.build-requires] in pyproject.toml ({name} = ["..."]),'
                " or pin what has no wheel in the lock and name it among sdists too: it is built first then"
            )
        return locked

    def _uv(self, options: list[str], env: dict[str, str], wanted: list[str]) -> tuple[int, str, str]:
        argv = [str(_builder.find_uv()), "--color", "never", "pip", "compile", *options]
        argv += ["--only-binary", ":all:", "--generate-hashes", "--no-annotate", "--no-header", "--no-emit-options"]
        argv += ["--python-platform", f"{self.platform.machine}-manylinux_2_{min(self.platform.glibc, NEWEST_GLIBC)}"]
        argv += ["--python-version", self.platform.full, "--python", sys.executable, "-"]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("UV_") or key == "UV_CACHE_DIR"}
        done = subprocess.run(
            argv, input="\n".join(wanted) + "\n", capture_output=True, text=True, check=False, env={**kept, **env}
        )
        # uv masks passwords itself; user names may be tokens.
        return done.returncode, done.stdout, re.sub(r"//[^/@\s]+@", "//", done.stderr)


def _where(name: str) -> str:
    return "the build requirements of " + ("the project" if name == OF_PROJECT else name)


def _checked(text: str, where: str) -> str:
    """Return a requirement in one spelling; it goes to uv as a line, where other lines are options."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement as exc:
        raise ContainerlessError(f"{where}: {text!r} is no requirement: {str(exc).splitlines()[0]}") from None
    if requirement.url:
        raise ContainerlessError(f"{where}: {text!r} names an address; only the package index is asked")
    return str(requirement)
