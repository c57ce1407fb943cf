# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The locked wheels of a target, fetched by pip on the control node into a cache with one folder for each pin.

Which wheel of a pin a target takes is pip's choice for the target's tags, never for the interpreter that runs here. The
cache remembers it: what is there needs no network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError

try:
    from packaging.markers import InvalidMarker, Marker

    HAS_PACKAGING = True
except ImportError:
    HAS_PACKAGING = False

if t.TYPE_CHECKING:
    from ..module_utils._artifact.lock import Lock, Pin

_NO_WHEEL = ("No matching distribution found", "Could not find a version that satisfies")
_NO_NETWORK = ("Retrying (", "connection broken", "NewConnectionError", "Max retries exceeded", "Could not fetch URL")
_BAD_HASH = "DO NOT MATCH THE HASHES"
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


def pins_for(lock: Lock, platform: Platform, filename: str) -> list[Pin]:
    """Return the pins that the target installs, sorted. Raises when a marker is broken or a name is left twice."""
    if not HAS_PACKAGING:
        raise ContainerlessError(
            "a build needs the Python library packaging on the control node: pip install packaging"
        )
    found: dict[str, Pin] = {}
    for pin in lock.pins:
        try:
            fits = not pin.marker or Marker(pin.marker).evaluate(t.cast("t.Any", platform.markers))
        except InvalidMarker as exc:
            raise ContainerlessError(f"{filename} line {pin.line}: {str(exc).splitlines()[0]}") from None
        if fits and pin.name in found:
            raise ContainerlessError(f"{filename} line {pin.line}: {pin.name} is pinned twice for {platform.name}")
        if fits:
            found[pin.name] = pin
    return [found[name] for name in sorted(found)]


@dataclass(frozen=True)
class Cache:
    """A folder of the control node with the wheels that were fetched."""

    folder: Path
    platform: Platform

    def _slot(self, pin: Pin) -> Path:
        key = canonical.digest([pin.name, pin.version, list(pin.hashes), self.platform.tags, self.platform.python])
        return self.folder / "wheels" / self.platform.name / key[:32]

    def find(self, pin: Pin) -> Wheel | None:
        """Return the wheel of a pin when it is there and whole."""
        for path in sorted(self._slot(pin).glob("*.whl")):
            digest = canonical.sha256(path.read_bytes())
            if digest in pin.hashes:
                return Wheel(pin, path, digest)
        return None

    def fetch(self, pins: list[Pin], index_options: tuple[str, ...]) -> None:
        """Download wheels for the target; all pins without one are named at once."""
        (self.folder / "wheels").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=self.folder / "wheels") as scratch:
            said = self._download(pins, index_options, Path(scratch))
            if said is not None:
                self._blame(pins, index_options, Path(scratch), said)
            for pin in pins:
                self._keep(pin, Path(scratch))

    def _download(self, pins: list[Pin], index_options: tuple[str, ...], dest: Path) -> str | None:
        """Return None, or what pip said when it failed."""
        lines = [*index_options]
        lines += [f"{pin.name}=={pin.version} " + " ".join(f"--hash=sha256:{h}" for h in pin.hashes) for pin in pins]
        with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=dest) as requirements:
            requirements.write("\n".join(lines) + "\n")
            requirements.flush()
            argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
            argv += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", str(dest)]
            argv += ["--implementation", "cp", "--python-version", self.platform.python]
            argv += ["--abi", f"cp{self.platform.python.replace('.', '')}"]
            argv += [part for tag in self.platform.tags for part in ("--platform", tag)]
            done = subprocess.run(
                [*argv, "-r", requirements.name],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )
        return done.stderr if done.returncode else None

    def _blame(self, pins: list[Pin], index_options: tuple[str, ...], dest: Path, said: str) -> t.NoReturn:
        if "No module named pip" in said:
            raise ContainerlessError(
                f"a build fetches wheels with pip, which {sys.executable} does not have: install pip there"
            )
        if any(word in said for word in _NO_NETWORK):
            raise ContainerlessError(f"the package index can't be reached: {_last_line(said)}")
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda pin: self._download([pin], index_options, dest), pins))
        without = [f"{p.name}=={p.version}" for p, a in zip(pins, answers, strict=True) if a and _no_wheel(a)]
        if without:
            raise ContainerlessError(
                f"no wheel for {self.platform.name} (Python {self.platform.python}, {self.platform.machine}) has a"
                f" locked hash: {', '.join(without)}; sdists are not built"
            )
        raise ContainerlessError(f"pip could not fetch the locked wheels: {_last_line(said)}")

    def _keep(self, pin: Pin, scratch: Path) -> None:
        wanted = [path for path in scratch.glob("*.whl") if canonical.sha256(path.read_bytes()) in pin.hashes]
        if len(wanted) != 1:
            raise ContainerlessError(f"pip left {len(wanted)} wheels for {pin.name}=={pin.version}, expected one")
        slot = self._slot(pin)
        slot.mkdir(parents=True, exist_ok=True)
        wanted[0].replace(slot / wanted[0].name)


def _no_wheel(said: str) -> bool:
    return any(words in said for words in _NO_WHEEL) and _BAD_HASH not in said


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason given"])[-1]


def wheels_for(lock: Lock, platform: Platform, filename: str, folder: Path) -> tuple[list[Wheel], int]:
    """Return the wheels of a target, and how many of them had to be fetched."""
    cache, pins = Cache(folder, platform), pins_for(lock, platform, filename)
    missing = [pin for pin in pins if cache.find(pin) is None]
    if missing:
        cache.fetch(missing, lock.index_options)
    found = [cache.find(pin) for pin in pins]
    return [wheel for wheel in found if wheel], len(missing)
