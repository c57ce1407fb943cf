# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control node's half of a build: platforms, build keys, and the one bundle that goes to the build host."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import typing as t
from dataclasses import replace
from pathlib import Path

from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError
from ._wheels import Platform, Wheel, pins_for

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ._project import Project

LOCK_OPTION = "app_build_lock"
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
            "tree": project.source.tree,
            "time": project.source.time,
            "dirty": project.source.dirty,
            "lock": project.lock_digest,
            "pins": [[pin.name, pin.version, list(pin.hashes)] for pin in pins_for(project.lock, target, options.lock)],
            "platform": [target.name, target.full, target.machine, *target.tags],
            "settings_module": project.settings_module,
            "manage": project.manage,
            "processes": project.processes,
            "secret_names": sorted(options.secret_names),
            "env": dict(options.env),
            "builder": revision,
            "uv": uv,
        }
    )


def inputs(project: Project, target: Platform, wheels: Iterable[Wheel], key: str) -> dict[str, t.Any]:
    """Return what the build host is told."""
    return {
        "project": project.options.name,
        "version": project.version,
        "commit": project.source.commit,
        "tree": project.source.tree,
        "dirty": project.source.dirty,
        "source_date_epoch": project.source.time,
        "platform": target.name,
        "python": target.python,
        "machine": target.machine,
        "settings_module": project.settings_module,
        "manage": project.manage,
        "secret_names": sorted(project.options.secret_names),
        "env": dict(project.options.env),
        "processes": project.processes,
        "lock": project.lock_digest,
        "lock_name": project.options.lock,
        "distributions": [wheel.distribution for wheel in wheels],
        "key": key,
    }


def write_bundle(dest: Path, project: Project, wheels: list[Wheel], told: dict[str, t.Any], uv: Path) -> None:
    """Write everything that a build needs into one tar."""
    folder = dest.parent
    pins = [f"{wheel.pin.name}=={wheel.pin.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels]
    files = {
        "inputs.json": canonical.dumps(told),
        "lock": project.lock_bytes,
        "requirements.txt": "".join(pins).encode(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    project.source.archive(folder / "app.tar")
    with tarfile.open(dest, "w") as bundle:
        for name in (*files, "app.tar"):
            bundle.add(folder / name, name)
        bundle.add(uv.resolve(), "uv", filter=_executable)
        for wheel in wheels:
            bundle.add(wheel.path, f"wheels/{wheel.path.name}")


def _executable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode = 0o755
    return member
