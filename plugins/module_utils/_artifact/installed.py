# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment of an artifact after installation: is it what the wheels say, and what of it is this machine's."""

from __future__ import annotations

import base64
import csv
import glob
import hashlib
import os
import re
import shutil
import stat
import typing as t
import zipfile
from dataclasses import dataclass
from pathlib import Path

from .._core.errors import ContainerlessError
from .lock import normalised

#: What uv or venv leave for a person at a shell, or for this machine; a host writes its own pyvenv.cfg and links.
_MACHINE_FILES = ("pyvenv.cfg", ".lock", ".gitignore", "CACHEDIR.TAG", "lib64", "bin/deactivate.bat", "bin/pydoc.bat")
_MACHINE_GLOBS = ("bin/activate*", "bin/python*", "lib/python*/site-packages/_virtualenv.*")
_ENVIRONMENTS_OWN = re.compile(r"pyvenv\.cfg|bin/python([0-9.]*|3-config)|bin/activate(\.\w+)?")
#: Compiled code; a compiler writes a file under a name with a number, then renames it.
_BYTECODE = re.compile(r".+\.pyc(\.[0-9]+)?")
#: Homes that are named in many a text: they tell nothing of this machine.
_ANYBODYS = ("", "/root", "/nonexistent", "/home")
#: Written by the installer about where it took a wheel from.
_ORIGINS = ("direct_url.json", "uv_cache.json")


def site_packages(venv: str) -> Path:
    """Return the one site-packages folder of an environment."""
    found = sorted(Path(venv).glob("lib/python3.*/site-packages"))
    if len(found) != 1:
        raise ContainerlessError(f"{venv} holds {len(found)} site-packages folders, expected one")
    return found[0]


def _digest(path: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode("ascii")


def _record(info: Path, venv: str) -> t.Iterator[tuple[Path, str, str]]:
    """Yield (file, hash with its name, size) of a distribution, the paths as they stand on the disk."""
    record = info / "RECORD"
    if not record.is_file():
        raise ContainerlessError(f"{info.name} has no RECORD, so nobody can tell whether its files are whole")
    inside = os.path.join(os.path.normpath(venv), "")
    with record.open(encoding="utf-8", newline="") as source:
        for row in csv.reader(source):
            name, kind, size = (*row, "", "")[:3]
            path = os.path.normpath(os.path.join(info.parent, name))
            if not path.startswith(inside):
                raise ContainerlessError(f"{info.name} writes outside of its environment: its RECORD holds {name}")
            yield Path(path), kind, size


def _fault(path: Path, kind: str, size: str) -> str | None:
    if not path.is_file():
        return "is missing"
    if size and int(size) != path.stat().st_size:
        return "has another size"
    if kind and not kind.startswith("sha256="):
        return f"has a {kind.split('=', maxsplit=1)[0]} hash, only sha256 is verified"
    if kind and kind != f"sha256={_digest(path)}":
        return "was changed"
    return None


@dataclass(frozen=True)
class _Claim:
    info: Path
    kind: str
    size: str


def _claims(venv: str) -> dict[Path, _Claim]:
    """Return who installed which file. Raises when two distributions bring different ones under one name."""
    found: dict[Path, _Claim] = {}
    for info in sorted(site_packages(venv).glob("*.dist-info")):
        for path, kind, size in _record(info, venv):
            name = os.path.relpath(path, venv)
            if _ENVIRONMENTS_OWN.fullmatch(name):
                raise ContainerlessError(f"{_named(info)} brings {name}, which is the environment's own")
            other = found.setdefault(path, _Claim(info, kind, size))
            # The same bytes twice, as the empty __init__.py of a shared folder, are no conflict.
            if other.info != info and (other.kind != kind or not kind):
                what = "a command" if path.parent == Path(venv, "bin") else "a file"
                raise ContainerlessError(
                    f"{_named(other.info)} and {_named(info)} both bring {what} {name}:"
                    " which of them a host would get is chance; take one out of the lock"
                )
    return found


def _named(info: Path) -> str:
    return info.name[: -len(".dist-info")].replace("-", " ")


def check_wheels(folder: str) -> None:
    """Refuse wheels with files that lead out of the environment: an installer may leave such a file out in silence."""
    for path in sorted(Path(folder).glob("*.whl")):
        try:
            with zipfile.ZipFile(path) as wheel:
                names = [member.filename for member in wheel.infolist()]
        except zipfile.BadZipFile:
            raise ContainerlessError(f"{path.name} is no wheel: it can't be read as a zip") from None
        for name in names:
            if name.startswith("/") or "\\" in name or ".." in name.split("/"):
                raise ContainerlessError(f"{path.name} writes outside of its environment: it holds {name}")


def verify(venv: str) -> None:
    """Compare each installed file with its RECORD, and refuse files that stand in none, in two, or outside."""
    venv = os.path.abspath(venv)
    site = site_packages(venv)
    known = _claims(venv)
    for path, claim in known.items():
        # A wheel may bring bytecode (djangorestframework-csv does). All of it is made anew, and may be by now.
        if path.parent.name == "__pycache__" and _BYTECODE.fullmatch(path.name):
            continue
        fault = _fault(path, claim.kind, claim.size)
        if fault:
            name = os.path.relpath(path, site)
            raise ContainerlessError(f"{claim.info.name}: installed file {name} {fault} (RECORD)")
    for path in sorted(site.rglob("*")):
        made = path.name.startswith("_virtualenv.") or _BYTECODE.fullmatch(path.name)
        if path not in known and not made and not path.is_dir():
            raise ContainerlessError(f"{path.relative_to(site)} was installed but stands in no RECORD")


def names(venv: str) -> dict[str, str]:
    """Return the version of each installed distribution by its normalised name."""
    stems = (info.name[: -len(".dist-info")].split("-") for info in site_packages(venv).glob("*.dist-info"))
    return {normalised(stem[0]): stem[1] for stem in stems}


def own_files(venv: str, name: str) -> list[Path]:
    """Return the files of a distribution, by its normalised name, that no other one brings too; sorted."""
    mine: set[Path] = set()
    others: set[Path] = set()
    for info in site_packages(venv).glob("*.dist-info"):
        files = mine if normalised(info.name.split("-")[0]) == name else others
        files.update(path for path, _kind, _size in _record(info, venv))
    return sorted(mine - others)


def uninstall(venv: str, name: str) -> None:
    """Remove a distribution as if it had never been there; uv would take its neighbours' bytecode, and leave some."""
    root = Path(os.path.abspath(venv))
    keep = {root / "bin", site_packages(str(root)), *site_packages(str(root)).parents}
    for path in own_files(str(root), name):
        bytecode = path.parent.joinpath("__pycache__").glob(f"{glob.escape(path.stem)}.*.pyc")
        for item in (path, *(bytecode if path.suffix == ".py" else ())):
            item.unlink(missing_ok=True)
        for folder in (path.parent / "__pycache__", path.parent, *path.parent.parents):
            if folder in keep or (folder.is_dir() and any(folder.iterdir())):
                break
            if folder.is_dir():
                folder.rmdir()


def prune(venv: str) -> None:
    """Remove what belongs to this machine or says where something came from."""
    root = Path(os.path.abspath(venv))
    # argcomplete brings a command whose name begins with "activate".
    brought = _claims(str(root))
    doomed = [root / name for name in _MACHINE_FILES]
    for pattern in _MACHINE_GLOBS:
        doomed += root.glob(pattern)
    for info in site_packages(venv).glob("*.dist-info"):
        _forget_origin(info)
    for path in doomed:
        if path not in brought and (path.is_symlink() or path.is_file()):
            path.unlink()
    for path in sorted(root.iterdir()):
        if path.name not in ("bin", "lib"):
            _remove_empty(path)


def _forget_origin(info: Path) -> None:
    """Remove what the installer wrote about this machine's files and times, from the distribution's RECORD too."""
    for name in _ORIGINS:
        info.joinpath(name).unlink(missing_ok=True)
    record = info / "RECORD"
    gone = tuple(f"{info.name}/{name},".encode() for name in _ORIGINS)
    lines = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(line for line in lines if not line.startswith(gone)))


def _remove_empty(path: Path) -> None:
    # include/ and share/ stay when a wheel put something there.
    if path.is_dir() and not path.is_symlink() and not any(item.is_file() for item in path.rglob("*")):
        shutil.rmtree(path)


def leak(root: str, needles: t.Iterable[str]) -> str | None:
    """Return the first file (or link) below a folder in which one of the needles stands, or None.

    Needles are paths: of a folder whose name begins others (/home/ann), give it with its final slash. Without a folder
    that is this machine's alone ("", "/", "/root/") nothing is looked for.
    """
    wanted = [os.fsencode(needle) for needle in dict.fromkeys(needles) if needle.rstrip("/") not in _ANYBODYS]
    if not wanted:
        return None
    for folder, folders, files in os.walk(root):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*files, *links]):
            path = os.path.join(folder, name)
            data = _content(path)
            if any(needle in data for needle in wanted):
                return os.path.relpath(path, root)
    return None


def _content(path: str) -> bytes:
    """Return the bytes of a file, or where a link leads; nothing of what is neither."""
    kind = os.lstat(path).st_mode
    if stat.S_ISLNK(kind):
        return os.fsencode(os.readlink(path))
    if not stat.S_ISREG(kind):
        return b""
    with open(path, "rb", buffering=0) as source:
        return source.read()
