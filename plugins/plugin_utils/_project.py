# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a project says of itself, read from its commit: version, processes, lock and the way into Django."""

from __future__ import annotations

import ast
import datetime
import posixpath
import tomllib
import typing as t
from dataclasses import dataclass

from ..module_utils._artifact import lock, processes, procfile
from ..module_utils._core import canonical, names
from ..module_utils._core.errors import ContainerlessError

if t.TYPE_CHECKING:
    from ._source import Source

PYPROJECT, PROCFILE, MANAGE = "pyproject.toml", "Procfile", "manage.py"


@dataclass(frozen=True)
class Options:
    """What the caller of a build asks for; the options of module artifact that decide bytes."""

    name: str
    version: str | None = None
    lock: str = "requirements.txt"
    settings_module: str | None = None
    secret_names: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Project:
    """Everything about a build that is the same for all platforms."""

    options: Options
    source: Source
    version: str
    processes: dict[str, list[str]]
    manage: str | None
    settings_module: str | None
    lock_bytes: bytes
    lock: lock.Lock

    @property
    def lock_digest(self) -> dict[str, str]:
        """What the manifest says of the lock."""
        return {"kind": "requirements", "sha256": canonical.sha256(self.lock_bytes)}


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ContainerlessError(f"{name} is not UTF-8") from None


def _pyproject(source: Source) -> dict[str, t.Any]:
    try:
        return tomllib.loads(_decoded(source.read(PYPROJECT) or b"", PYPROJECT))
    except tomllib.TOMLDecodeError as exc:
        raise ContainerlessError(f"{PYPROJECT} is not TOML: {exc}") from None


def _table(document: dict[str, t.Any], *keys: str) -> dict[str, t.Any]:
    for key in keys:
        found = document.get(key, {})
        document = found if isinstance(found, dict) else {}
    return document


def version_of(wanted: str | None, declared: str | None, source: Source) -> str:
    """Return the version of decision 0001; `.dirty` ends one that no commit holds."""
    day = datetime.datetime.fromtimestamp(source.time, datetime.UTC).strftime("%Y.%m.%d")
    version = wanted or f"{declared or day}.g{source.commit[:8]}"
    return names.check_version(version + ".dirty" if source.dirty else version)


def default_settings(manage: str) -> str | None:
    """Return what a manage.py sets DJANGO_SETTINGS_MODULE to, or None."""
    try:
        calls = [node for node in ast.walk(ast.parse(manage)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return None
    for call in calls:
        values = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
        if ast.unparse(call.func).endswith("environ.setdefault") and values[:1] == ["DJANGO_SETTINGS_MODULE"]:
            return str(values[1]) if len(values) == 2 else None
    return None


def _manage(source: Source, tool: dict[str, t.Any]) -> str | None:
    name = tool.get("manage", MANAGE)
    if not isinstance(name, str) or posixpath.isabs(name) or ".." in name.split("/"):
        raise ContainerlessError(
            f"manage = {name!r} of [tool.containerless] in {PYPROJECT} is not a path in the project"
        )
    name = posixpath.normpath(name)
    if source.read(name) is not None:
        return name
    if "manage" in tool:
        raise ContainerlessError(f"{name} is not in the commit, but [tool.containerless] in {PYPROJECT} names it")
    return None


def _settings_module(options: Options, source: Source, manage: str | None) -> str | None:
    if manage is None:
        return None
    found = options.settings_module or default_settings(_decoded(source.read(manage) or b"", manage))
    if not found:
        raise ContainerlessError(f"{manage} sets no DJANGO_SETTINGS_MODULE; name one in app_build_settings_module")
    return found


def _processes(source: Source, pins: lock.Lock) -> dict[str, list[str]]:
    data = source.read(PROCFILE)
    if data is None:
        raise ContainerlessError(
            f"{source.path} has no {PROCFILE} in its commit; add one with a line such as `web: gunicorn shop.wsgi`"
        )
    found = procfile.parse(_decoded(data, PROCFILE))
    distributions = {pin.name: pin.version for pin in pins.pins}
    for name, argv in found.items():
        # What no host could start is refused here, before there is a machine.
        processes.command(name, argv, distributions=distributions, tree="/tree")
    return found


def _lock(options: Options, source: Source) -> tuple[bytes, lock.Lock]:
    data = source.read(options.lock)
    if data is None:
        raise ContainerlessError(f"{options.lock} is not in the commit of {source.path} (app_build_lock); {lock.HOW}")
    return data, lock.parse(_decoded(data, options.lock), options.lock)


def read_project(source: Source, options: Options) -> Project:
    """Read all of it. Raises with the file or option to change; nothing has been made yet."""
    names.check_app_name(options.name)
    document = _pyproject(source)
    declared = _table(document, "project").get("version")
    manage = _manage(source, _table(document, "tool", "containerless"))
    data, pins = _lock(options, source)
    if manage and "django" not in {pin.name for pin in pins.pins}:
        raise ContainerlessError(f"the project has a {manage}, but {options.lock} holds no django")
    return Project(
        options=options,
        source=source,
        version=version_of(options.version, declared if isinstance(declared, str) else None, source),
        processes=_processes(source, pins),
        manage=manage,
        settings_module=_settings_module(options, source, manage),
        lock_bytes=data,
        lock=pins,
    )
