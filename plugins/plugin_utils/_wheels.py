# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The locked wheels of a target, fetched on the control node into a cache with one folder for each pin.

Which wheel of a pin a target takes follows from the target's tags, never from the interpreter that runs here. The cache
remembers it: what is there needs no network.
"""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..module_utils._artifact.lock import Pin, normalised
from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError
from ._index import CONNECTIONS, Client, File, Index

try:
    from packaging.markers import InvalidMarker, Marker
    from packaging.tags import Tag, compatible_tags, cpython_tags
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
    from packaging.version import InvalidVersion, Version

    HAS_PACKAGING = True
except ImportError:
    HAS_PACKAGING = False

if t.TYPE_CHECKING:
    from ..module_utils._artifact.lock import Lock

_OLDEST_GLIBC = 5  # PEP 600: manylinux_2_5 is manylinux1
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True)
class Platform:
    """What decides on the targets' side which wheels fit. `full` is the interpreter's micro version."""

    name: str
    full: str
    glibc: int
    machine: str = "x86_64"

    @property
    def python(self) -> str:
        """X.Y."""
        return ".".join(self.full.split(".")[:2])

    @property
    def tags(self) -> list[str]:
        """Platform tags of its wheels, the most specific first."""
        found: list[str] = []
        for minor in range(self.glibc, _OLDEST_GLIBC - 1, -1):
            found.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in _LEGACY:
                found.append(f"{_LEGACY[minor]}_{self.machine}")
        return [*found, f"linux_{self.machine}"]

    @property
    def markers(self) -> dict[str, str]:
        """The environment in which the target evaluates markers (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.full,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.full,
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }


@dataclass(frozen=True)
class Wheel:
    """A wheel in the cache."""

    pin: Pin
    path: Path
    sha256: str

    @property
    def distribution(self) -> dict[str, str]:
        """What the manifest says of it."""
        return {"name": self.pin.name, "version": self.pin.version, "file": self.path.name, "sha256": self.sha256}


def pins_for(lock: Lock, platform: Platform) -> list[Pin]:
    """Return the pins that the target installs, sorted. Raises when a marker is broken or a name is left twice."""
    need_packaging()
    found: dict[str, Pin] = {}
    for pin in lock.pins:
        try:
            fits = not pin.marker or Marker(pin.marker).evaluate(t.cast("t.Any", platform.markers))
        except InvalidMarker as exc:
            raise ContainerlessError(f"{pin.where}: {str(exc).splitlines()[0]}") from None
        if fits and pin.name in found:
            raise ContainerlessError(f"{pin.where}: {pin.name} is pinned twice for {platform.name}")
        if fits:
            found[pin.name] = pin
    return [found[name] for name in sorted(found)]


def need_packaging() -> None:
    """Raise when the library is not there."""
    if not HAS_PACKAGING:
        raise ContainerlessError(
            "a build needs the Python library packaging on the control node: pip install packaging"
        )


@dataclass(frozen=True)
class Kept:
    """A file of the cache whose SHA-256 is locked: a wheel, or a sdist where the target has no wheel."""

    path: Path
    sha256: str

    @property
    def is_wheel(self) -> bool:
        """Whether it can be installed as it is."""
        return self.path.suffix == ".whl"


def _stamp(path: Path, digest: str) -> dict[str, t.Any]:
    facts = path.stat()
    # No program but the kernel sets ctime: who writes into the file, or puts another one there, changes it.
    marks = [facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
    return {"file": path.name, "sha256": digest, "marks": marks}


@dataclass(frozen=True)
class Cache:
    """A folder of the control node with the files that were fetched for a platform."""

    folder: Path
    platform: Platform

    def _slot(self, pin: Pin) -> Path:
        key = canonical.digest([pin.name, pin.version, list(pin.hashes), self.platform.tags, self.platform.python])
        return self.folder / "wheels" / self.platform.name / key[:32]

    def find(self, pin: Pin) -> Kept | None:
        """Return the file of a pin when it is there and whole. It is hashed once, and again when it was touched."""
        slot = self._slot(pin)
        try:
            known = json.loads((slot / "verified.json").read_text(encoding="utf-8"))
            path = slot / known["file"]
            if known["sha256"] in pin.hashes and known == _stamp(path, known["sha256"]):
                return Kept(path, known["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        for path in sorted(slot.glob("[!.]*")):
            digest = canonical.sha256(path.read_bytes())
            if digest in pin.hashes:
                return self._remember(path, digest)
        return None

    @staticmethod
    def _remember(path: Path, digest: str) -> Kept:
        document = path.parent / f".verified-{os.getpid()}"
        document.write_bytes(canonical.dumps(_stamp(path, digest)))
        document.replace(path.parent / "verified.json")
        return Kept(path, digest)

    def fetch(self, client: Client, pin: Pin, *, sdist: bool) -> Kept | None:
        """Download the target's wheel, else, where that will do, the sdist; None when no offered one is locked."""
        offered = client.files(pin.name)
        wanted = self._wheels(pin, offered) + (_sdists(pin, offered) if sdist else [])
        for file in wanted:
            if file.sha256 is not None and file.sha256 not in pin.hashes:
                continue
            kept = self._take(client, pin, file)
            if kept:
                return kept
        return None

    def _take(self, client: Client, pin: Pin, file: File) -> Kept | None:
        slot = self._slot(pin)
        slot.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=slot.parent) as scratch:
            came = Path(scratch) / file.name
            digest = client.fetch(file, came)
            if digest in pin.hashes:
                return self._remember(came.replace(slot / file.name), digest)
        if file.sha256 is not None:
            raise ContainerlessError(
                f"{file.host} promises another {file.name} than it sends: its SHA-256 is {digest}, which {pin.where}"
                " does not hold"
            )
        return None

    def _wheels(self, pin: Pin, offered: list[File]) -> list[File]:
        """Return the wheels of a pin that the target can install, the best first (PEP 425)."""
        ranks = self._ranks()
        found: list[tuple[int, tuple[t.Any, ...], File]] = []
        for file in offered:
            try:
                name, version, build, tags = parse_wheel_filename(file.name)
            except (InvalidWheelFilename, InvalidVersion):
                continue
            rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
            if rank is not None and name == pin.name and version == Version(pin.version):
                found.append((rank, build, file))
        # Of two builds of a wheel the later one counts.
        found.sort(key=lambda item: (item[1], item[2].name), reverse=True)
        return [file for _rank, _build, file in sorted(found, key=lambda item: item[0])]

    def _ranks(self) -> dict[Tag, int]:
        python = tuple(int(part) for part in self.platform.python.split("."))
        interpreter = f"cp{python[0]}{python[1]}"
        tags = [
            *cpython_tags(python, abis=[interpreter], platforms=self.platform.tags),
            *compatible_tags(python, interpreter, self.platform.tags),
        ]
        return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}


def _sdists(pin: Pin, offered: list[File]) -> list[File]:
    """Return the sdists of a pin (PEP 625 and what came before it)."""
    found: list[File] = []
    for file in offered:
        try:
            name, version = parse_sdist_filename(file.name)
        except (InvalidSdistFilename, InvalidVersion):
            continue
        if name == pin.name and version == Version(pin.version):
            found.append(file)
    return found


def collect(
    pins: t.Sequence[Pin], cache: Cache, index: Index, sdists: t.Collection[str] = ()
) -> tuple[dict[str, Kept | None], int]:
    """Return what the cache holds of each pin after asking the index for the rest, and how many were fetched.

    A sdist is taken only for the names in `sdists`, and only where there is no wheel.
    """
    need_packaging()
    found = {pin.name: cache.find(pin) for pin in pins}
    found = {name: kept if kept and (kept.is_wheel or name in sdists) else None for name, kept in found.items()}
    missing = [pin for pin in pins if found[pin.name] is None]
    if not missing:
        return found, 0
    with Client(index.settings()) as client, ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = pool.map(lambda pin: cache.fetch(client, pin, sdist=pin.name in sdists), missing)
        found.update(zip((pin.name for pin in missing), answers, strict=True))
    return found, len(missing)


def wheels_for(
    pins: t.Sequence[Pin], platform: Platform, folder: Path, index: Index, sdists: t.Collection[str] = ()
) -> tuple[list[Wheel], int]:
    """Return the wheels of a target, and how many files had to be fetched.

    Names in `sdists` may have none: those are left out, their sdist is in the cache then. Raises with all the others at
    once, and the line of pyproject.toml that lets them be built.
    """
    found, fetched = collect(pins, Cache(folder, platform), index, sdists)
    without = [pin for pin in pins if found[pin.name] is None]
    if without:
        _refuse(without, platform, index, {normalised(name) for name in sdists})
    kept = [(pin, found[pin.name]) for pin in pins]
    return [Wheel(pin, file.path, file.sha256) for pin, file in kept if file and file.is_wheel], fetched


def _refuse(without: list[Pin], platform: Platform, index: Index, sdists: set[str]) -> t.NoReturn:
    """Say which pins have no wheel, and what to do about each of them."""
    with Client(index.settings()) as client, ThreadPoolExecutor(CONNECTIONS) as pool:
        offers = pool.map(lambda pin: _sdists(pin, client.files(pin.name)), without)
        buildable = {
            pin.name
            for pin, files in zip(without, offers, strict=True)
            if any(file.sha256 is None or file.sha256 in pin.hashes for file in files)
        }
    place = f"{platform.name} (Python {platform.python}, {platform.machine})"
    said = [f"no wheel for {place} has a locked hash: {', '.join(f'{pin.name}=={pin.version}' for pin in without)}"]
    if buildable:
        names = ", ".join(f'"{name}"' for name in sorted(buildable | sdists))
        said.append(f"to build them from source, write sdists = [{names}] below [tool.containerless] in pyproject.toml")
    hopeless = [f"{pin.name} ({pin.where})" for pin in without if pin.name not in buildable]
    if hopeless:
        where = index.wheelhouse or "the package index"
        said.append(f"{where} has no sdist with a locked hash either of {', '.join(hopeless)}")
    raise ContainerlessError("; ".join(said))
