# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control node's half of a build: platforms, build keys, and the one bundle that goes to the build host."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError
from ._wheels import Platform, Wheel, pins_for

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ._project import Project
    from ._sdists import Sdist

PLATFORMS = {
    "debian12": Platform("debian12", full="3.11.2", glibc=36),
    "debian13": Platform("debian13", full="3.13.5", glibc=41),
}
_COLLECTION = Path(__file__).resolve().parent.parent
#: Everything that runs on the build host: other code, other bytes.
_BUILDER_CODE = ("module_utils/_artifact", "module_utils/_core")


def platform(name: str) -> Platform:
    """Return the platform of that name, for this machine's processor: the build host has the same."""
    if name not in PLATFORMS:
        raise ContainerlessError(
            f"{name!r} is no platform that can be built for; app_build_platforms knows {', '.join(PLATFORMS)}"
        )
    return replace(PLATFORMS[name], machine=os.uname().machine)


def channel(src: Path) -> str:
    """Return the channel of the build store that follows a source folder."""
    return "built-" + hashlib.sha256(os.fsencode(os.path.realpath(src))).hexdigest()[:8]


def code_revision() -> str:
    """Return the digest of the builder's code."""
    files = [path for folder in _BUILDER_CODE for path in sorted((_COLLECTION / folder).glob("*.py"))]
    return canonical.digest([[path.name, canonical.sha256(path.read_bytes())] for path in files])


def find_uv() -> Path:
    """Return the uv that goes to the build host: the one beside this Python, else the one on PATH."""
    try:
        import uv

        return Path(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise ContainerlessError("a build needs uv on the control node: pip install 'uv>=0.13.9,<0.14'")
    return Path(found)


def uv_version(path: Path) -> str:
    """Return the version of a uv binary: it decides what RECORD and scripts look like."""
    done = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=False)
    match = re.match(r"uv (\S+)", done.stdout)
    if not match:
        raise ContainerlessError(f"{path} does not say a version of uv; install it again")
    return match[1]


def build_key(project: Project, target: Platform, *, revision: str, uv: str) -> str:
    """Return the digest of everything that decides the bytes of an artifact, known before a machine is made."""
    options = project.options
    return canonical.digest(
        {
            "project": options.name,
            "version": project.version,
            "commit": project.source.commit,
            # The tree holds lock, Procfile and pyproject.toml; what is derived from them stands here all the same.
            "tree": project.source.tree,
            "time": project.source.time,
            "dirty": project.source.dirty,
            "lock": project.lock_digest,
            "layer": layer_key(project, target, revision=revision, uv=uv),
            "settings_module": project.settings_module,
            "manage": project.manage,
            "package": project.package,
            "processes": project.processes,
            "timers": project.timers,
            "secret_names": sorted(options.secret_names),
            "env": dict(options.env),
        }
    )


def layer_key(project: Project, target: Platform, *, revision: str, uv: str) -> str:
    """Return the digest of everything that decides the bytes of an environment, the project's own code left out.

    Artifacts with the same one share their environment, so it is installed and compiled once.
    """
    pins = pins_for(project.lock, target)
    declared = project.declared
    sdists = {pin.name for pin in pins} & set(declared.sdists)
    return canonical.digest(
        {
            "pins": [[pin.name, pin.version, list(pin.hashes)] for pin in pins],
            "platform": [target.name, target.full, target.machine, *target.tags],
            "sdists": sorted(sdists),
            "build_requires": {name: list(declared.build_requires.get(name, ())) for name in sorted(sdists)},
            "builder": revision,
            "uv": uv,
        }
    )


def foreseen(old: dict[str, t.Any], project: Project, target: Platform) -> dict[str, t.Any]:
    """Return the manifest of an earlier artifact with all that the commit alone says of the next one."""
    files = {item["name"]: item for item in old["distributions"] if not _is_project(item)}
    pins = [
        {**files.get(pin.name, {"file": "", "sha256": ""}), "name": pin.name, "version": pin.version}
        for pin in pins_for(project.lock, target)
    ]
    # What the project's own wheel will be is known after its build.
    own = [item for item in old["distributions"] if _is_project(item)] if project.package else []
    known = {"version": project.version, "processes": project.processes, "timers": project.timers}
    return {**old, **known, "distributions": [*pins, *own]}


@dataclass(frozen=True)
class Layer:
    """The environment of an earlier artifact: its blob, and what its manifest says is in there."""

    blob: Path
    encoding: str
    manifest: dict[str, t.Any]

    @property
    def distributions(self) -> list[dict[str, t.Any]]:
        """The locked ones."""
        return [item for item in self.manifest["distributions"] if not _is_project(item)]

    @property
    def projects(self) -> list[str]:
        """The names of those that were made of the project's own code."""
        return [item["name"] for item in self.manifest["distributions"] if _is_project(item)]


def _is_project(distribution: dict[str, t.Any]) -> bool:
    return bool(distribution.get("built_from", {}).get("kind") == "project")


@dataclass(frozen=True)
class Parts:
    """What an artifact is made of beside the project's code: wheels and sdists, or the layer that was made of them."""

    wheels: list[Wheel] = field(default_factory=list)
    sdists: list[Sdist] = field(default_factory=list)
    #: Wheels that build the project itself, where it is a package.
    project_requires: list[Wheel] | None = None
    layer: Layer | None = None

    @property
    def build_requires(self) -> dict[str, list[Wheel]]:
        """What each build of a wheel needs, by the name of its folder in the bundle."""
        found = {sdist.pin.name: sdist.requires for sdist in self.sdists}
        return found if self.project_requires is None else {**found, "project": self.project_requires}


def inputs(
    project: Project, target: Platform, parts: Parts, *, key: str, uv: str, encodings: list[str]
) -> dict[str, t.Any]:
    """Return what the build host is told."""
    layer, declared = parts.layer, project.declared
    return {
        "project": project.options.name,
        "version": project.version,
        "commit": project.source.commit,
        "tree": project.source.tree,
        "dirty": project.source.dirty,
        "source_date_epoch": project.source.time,
        "platform": target.name,
        "python": target.python,
        "python_full": target.full,
        "machine": target.machine,
        "settings_module": project.settings_module,
        "manage": project.manage,
        "secret_names": sorted(project.options.secret_names),
        "env": dict(project.options.env),
        "processes": project.processes,
        "timers": project.timers,
        "static": {"collect": declared.static_collect, "ignore": list(declared.static_ignore)},
        "commands": [list(argv) for argv in declared.commands],
        "exclude": list(declared.exclude),
        "package": project.package,
        "lock": project.lock_digest,
        "lock_name": project.lock_name,
        "distributions": layer.distributions if layer else [wheel.distribution for wheel in parts.wheels],
        "sdists": [sdist.told for sdist in parts.sdists],
        "build_requires": {
            name: [wheel.distribution for wheel in wheels] for name, wheels in parts.build_requires.items()
        },
        "layer": {"encoding": layer.encoding, "projects": layer.projects} if layer else None,
        "encodings": encodings,
        "key": key,
        "uv": uv,
    }


def write_bundle(dest: Path, project: Project, parts: Parts, told: dict[str, t.Any], uv: Path) -> None:
    """Write everything that a build needs into one tar."""
    folder = dest.parent
    project.source.archive(folder / "app.tar")
    documents = {
        "inputs.json": canonical.dumps(told),
        "lock": project.lock_bytes,
        "requirements.txt": requirements(parts.wheels),
        **{f"build/{name}/requirements.txt": requirements(needs) for name, needs in parts.build_requires.items()},
    }
    files = {
        "app.tar": folder / "app.tar",
        **{f"wheels/{wheel.path.name}": wheel.path for wheel in parts.wheels},
        **{f"sdists/{sdist.path.name}": sdist.path for sdist in parts.sdists},
        **{f"build/wheels/{wheel.path.name}": wheel.path for needs in parts.build_requires.values() for wheel in needs},
    }
    if parts.layer:
        files["layer"] = parts.layer.blob
    if told["package"] or not parts.layer:
        files["uv"] = uv.resolve()
    with tarfile.open(dest, "w") as bundle:
        for name, data in documents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            bundle.addfile(member, io.BytesIO(data))
        for name, path in files.items():
            bundle.add(path, name, filter=_executable if name == "uv" else None)


def requirements(wheels: Iterable[Wheel]) -> bytes:
    return "".join(f"{wheel.pin.name}=={wheel.pin.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels).encode()


def _executable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode = 0o755
    return member
