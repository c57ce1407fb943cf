# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The test overlay of an artifact: what the project's own tests need beside it, locked, and never a part of it.

It holds the distributions that the lock has for tests and the artifact lacks, and the files of the commit that the
artifact leaves out (`exclude` of [tool.containerless]). Its document names the artifact, so its digest is bound to it.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ..module_utils._artifact import app_code, identity, tar
from ..module_utils._artifact.lock import normalised
from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError
from ..module_utils._test.overlay import CODE, DOCUMENT, LIBRARIES
from . import _builder, _lock_uv, _locks, _wheels
from ._committed import read_toml, table
from ._index import Index
from ._lock_pylock import Choice, need_libraries
from ._pyproject import PYPROJECT, Settings, settings_of
from ._sdists import NEWEST_GLIBC
from ._source import Source, open_source

if t.TYPE_CHECKING:
    from ..module_utils._artifact.job import Job
    from ..module_utils._artifact.lock import Pin

#: The group of people who develop (PEP 735, and uv's own default).
DEV = "dev"
#: What the installer notes about where a wheel came from, and when.
_ORIGINS = ("direct_url.json", "uv_cache.json")


@dataclass(frozen=True)
class Artifact:
    """What the overlay is for."""

    manifest: dict[str, t.Any]
    target: _wheels.Platform

    @property
    def content_id(self) -> str:
        return identity.content_id(self.manifest)

    @property
    def distributions(self) -> dict[str, str]:
        return {item["name"]: item["version"] for item in self.manifest["distributions"]}


@dataclass(frozen=True)
class Asked:
    """What the tests need. `groups` is None where nothing was said: `dev`, where a uv.lock has it."""

    groups: tuple[str, ...] | None = None
    extras: tuple[str, ...] = ()
    lock: str = ""


@dataclass(frozen=True)
class Places:
    """Where distributions come from."""

    cache: Path
    index_url: str | None = None
    wheelhouse: Path | None = None


@dataclass(frozen=True)
class Built:
    """An overlay that was written."""

    sha256: str
    document: dict[str, t.Any]


@dataclass
class _Excluded:
    """Stands for the job of a build: what that takes out of the code is put into the overlay here."""

    tree: str
    inputs: dict[str, t.Any]
    dest: Path
    warnings: list[str] = field(default_factory=list)

    def remove(self, path: str) -> None:
        target = self.dest / Path(path).relative_to(Path(self.tree, "app"))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)


def build(src: Path, artifact: Artifact, asked: Asked, places: Places, dest: Path) -> Built:
    """Write the overlay of an artifact. Raises in one sentence; `dest` is whole or not there."""
    need_libraries()
    source = _source(src, artifact)
    declared = settings_of(table(read_toml(source, PYPROJECT), "tool").get("containerless", {}))
    wheels = _wheels_of(source, declared, artifact, asked, places)
    with tempfile.TemporaryDirectory(prefix="containerless-") as name:
        scratch = Path(name)
        root = scratch / "overlay"
        for folder in (root, root / CODE, root / LIBRARIES):
            folder.mkdir()
        _take_excluded(source, declared, scratch, root / CODE)
        _install(wheels, artifact.target, scratch, root / LIBRARIES)
        document = {
            "schema": "containerless.test-overlay/v1",
            "content_id": artifact.content_id,
            "commit": source.commit,
            "distributions": [wheel.distribution for wheel in wheels],
            "files": sum(path.is_symlink() or path.is_file() for path in (root / CODE).rglob("*")),
        }
        (root / DOCUMENT).write_bytes(canonical.dumps(document))
        packed = io.BytesIO()
        tar.write_tar(str(root), packed, mtime=source.time)
    dest.parent.mkdir(parents=True, exist_ok=True)
    fresh = dest.with_name(f".{dest.name}")
    fresh.write_bytes(packed.getvalue())
    fresh.replace(dest)
    return Built(canonical.sha256(packed.getvalue()), document)


def _source(src: Path, artifact: Artifact) -> Source:
    """Return the commit that the artifact was made of."""
    said = artifact.manifest["source"]
    source = open_source(src, said["commit"], allow_dirty=said["dirty"])
    if source.tree != said["tree"]:
        raise ContainerlessError(
            f"{src} is no longer what artifact {artifact.content_id[:12]} was built from (commit"
            f" {said['commit'][:12]}), so its tests may be others; run the build playbook again"
        )
    return source


def _wheels_of(
    source: Source, declared: Settings, artifact: Artifact, asked: Asked, places: Places
) -> list[_wheels.Wheel]:
    """Return the wheels that the artifact lacks. Raises for a version that is another one there, or has no wheel."""
    name = _locks.find(source, asked.lock or declared.lock)
    choice = Choice(
        tuple(dict.fromkeys((*declared.extras, *map(normalised, asked.extras)))),
        tuple(dict.fromkeys((*declared.groups, *map(normalised, _groups(source, name, asked))))),
    )
    _data, lock = _locks.read(source, name, choice)
    pins, held = _wheels.pins_for(lock, artifact.target), artifact.distributions
    _refuse_others(pins, held, name)
    missing = [pin for pin in pins if pin.name not in held]
    index = Index(url=places.index_url, wheelhouse=places.wheelhouse, options=lock.index_options)
    found, _fetched = _wheels.collect(missing, _wheels.Cache(places.cache, artifact.target), index)
    without = [f"{pin.name}=={pin.version}" for pin in missing if found[pin.name] is None]
    if without:
        raise ContainerlessError(
            f"the tests need {', '.join(without)}, of which no wheel for {artifact.target.name} has a locked hash;"
            " lock versions that have one, or leave their group out (app_test_groups)"
        )
    return [_wheels.Wheel(pin, kept.path, kept.sha256) for pin in missing if (kept := found[pin.name])]


def _groups(source: Source, lock: str, asked: Asked) -> tuple[str, ...]:
    if asked.groups is not None:
        return asked.groups
    has = DEV in table(read_toml(source, PYPROJECT), "dependency-groups")
    return (DEV,) if has and Path(lock).name == _lock_uv.LOCK else ()


def _refuse_others(pins: list[Pin], held: dict[str, str], lock: str) -> None:
    """What the artifact holds is what is tested: a test dependency must not bring another version of it."""
    both = [(pin, held[pin.name]) for pin in pins if pin.name in held]
    others = [f"{pin.name} {pin.version}, not {version}" for pin, version in both if pin.version != version]
    if others:
        raise ContainerlessError(f"{lock} has other versions than the artifact: {'; '.join(others)} (app_test_lock)")


def _take_excluded(source: Source, declared: Settings, scratch: Path, dest: Path) -> None:
    """Put the files there that a build takes out of the code, by the code that takes them out."""
    if not declared.exclude:
        return
    source.archive(scratch / "app.tar")
    (scratch / "tree/app").mkdir(parents=True)
    with tarfile.open(scratch / "app.tar") as archive:
        archive.extractall(scratch / "tree/app", filter="tar")  # what git wrote
    job = _Excluded(str(scratch / "tree"), {"exclude": list(declared.exclude)}, dest)
    app_code.exclude(t.cast("Job", job))


def _install(wheels: list[_wheels.Wheel], target: _wheels.Platform, scratch: Path, dest: Path) -> None:
    if not wheels:
        return
    house = scratch / "wheels"
    house.mkdir()
    for wheel in wheels:
        shutil.copyfile(wheel.path, house / wheel.path.name)
    (scratch / "requirements.txt").write_bytes(_builder.requirements(wheels))
    glibc = min(target.glibc, NEWEST_GLIBC)
    argv = [str(_builder.find_uv()), "pip", "install", "--quiet", "--color", "never", "--no-config", "--no-cache"]
    argv += ["--offline", "--no-index", "--find-links", str(house), "--no-deps", "--only-binary", ":all:"]
    argv += ["--python", sys.executable, "--python-version", target.full, "--require-hashes", "--link-mode", "copy"]
    argv += ["--python-platform", f"{target.machine}-manylinux_2_{glibc}", "--target", str(dest)]
    done = subprocess.run([*argv, "-r", str(scratch / "requirements.txt")], capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
        raise ContainerlessError(f"the distributions of the tests can't be installed: {said}")
    _forget(dest)


def _forget(dest: Path) -> None:
    """Take out scripts and what the installer noted of this machine, also where a distribution lists its files."""
    shutil.rmtree(dest / "bin", ignore_errors=True)
    for path in [dest / ".lock", *(found for name in _ORIGINS for found in dest.rglob(name))]:
        path.unlink(missing_ok=True)
    gone = re.compile(rf"bin/|\.\./|[^,]*/({'|'.join(map(re.escape, _ORIGINS))}),")
    for record in dest.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        record.write_text("".join(line for line in lines if not gone.match(line)), encoding="utf-8")
