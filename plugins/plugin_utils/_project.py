# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a project says of itself, read from its commit: version, processes, timers, lock and the way into Django."""

from __future__ import annotations

import ast
import datetime
import typing as t
from dataclasses import dataclass, replace

from ..module_utils._artifact import processes, procfile
from ..module_utils._core import canonical, names
from ..module_utils._core.errors import ContainerlessError
from . import _lock_match, _locks
from ._committed import read_text, read_toml, table
from ._lock_pylock import Choice, need_libraries
from ._pyproject import PYPROJECT, TABLE, Settings, Timer, settings_of

if t.TYPE_CHECKING:
    from ..module_utils._artifact.lock import Lock
    from ._source import Source

PROCFILE, MANAGE = "Procfile", "manage.py"


@dataclass(frozen=True)
class Options:
    """What the caller of a build asks for; the options of module artifact that decide bytes."""

    name: str
    version: str | None = None
    lock: str | None = None
    settings_module: str | None = None
    secret_names: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Project:
    """Everything about a build that is the same for all platforms. `options.lock` is the lock that was found."""

    options: Options
    source: Source
    version: str
    declared: Settings
    processes: dict[str, list[str]]
    manage: str | None
    settings_module: str | None
    package: bool
    requires_python: str
    lock_bytes: bytes
    lock: Lock

    @property
    def lock_name(self) -> str:
        """Its path in the commit."""
        return str(self.options.lock)

    @property
    def lock_digest(self) -> dict[str, str]:
        """What the manifest says of the lock."""
        return {"kind": self.lock.kind, "sha256": canonical.sha256(self.lock_bytes)}

    @property
    def timers(self) -> dict[str, Timer]:
        """What runs at a time."""
        return self.declared.timers

    @property
    def sdists(self) -> tuple[str, ...]:
        """Normalised names of the distributions that are built from their sdist."""
        return self.declared.sdists


def version_of(wanted: str | None, declared: str | None, source: Source) -> str:
    """Return the version of decision 0001; `.dirty` ends one that no commit holds."""
    day = datetime.datetime.fromtimestamp(source.time, datetime.UTC).strftime("%Y.%m.%d")
    version = wanted or f"{declared or day}.g{source.commit[:8]}"
    return names.check_version(version + ".dirty" if source.dirty else version)


def default_settings(data: bytes, name: str) -> str | None:
    """Return what a manage.py sets DJANGO_SETTINGS_MODULE to, or None. Raises when the file is not Python."""
    try:
        # Bytes: a file may name its encoding (PEP 263).
        calls = [node for node in ast.walk(ast.parse(data)) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError) as exc:
        line = f" line {exc.lineno}" if isinstance(exc, SyntaxError) and exc.lineno else ""
        raise ContainerlessError(f"{name}{line} is not Python: {getattr(exc, 'msg', exc)}") from None
    for call in calls:
        values = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
        if ast.unparse(call.func).endswith("environ.setdefault") and values[:1] == ["DJANGO_SETTINGS_MODULE"]:
            return str(values[1]) if len(values) == 2 else None
    return None


def _django(options: Options, declared: Settings, source: Source, pins: Lock) -> tuple[str | None, str | None]:
    """Return manage.py and the settings module: a project without either is none of Django's.

    A project that knows its settings needs no manage.py: the application may be a distribution of the lock.
    """
    manage = declared.manage or MANAGE
    data = source.read(manage)
    if data is None and declared.manage:
        raise ContainerlessError(f"{manage} is not in the commit, but {TABLE} names it")
    settings = options.settings_module or declared.settings
    if not settings and data is not None:
        settings = default_settings(data, manage)
        if not settings:
            raise ContainerlessError(
                f"{manage} sets no DJANGO_SETTINGS_MODULE; name one in app_build_settings_module, or as settings of"
                f" {TABLE}"
            )
    if not settings:
        return None, None
    if "django" not in {pin.name for pin in pins.pins}:
        why = f"the settings module {settings}" if data is None else f"a {manage}"
        raise ContainerlessError(f"the project has {why}, but {options.lock} holds no django")
    return None if data is None else manage, settings


def _processes(source: Source, declared: Settings, pins: Lock) -> dict[str, list[str]]:
    text = read_text(source, PROCFILE)
    if text is not None and declared.processes:
        raise ContainerlessError(f"{source.path} has a {PROCFILE} and processes of {TABLE}; remove one of them")
    if text is None and not declared.processes:
        raise ContainerlessError(
            f"{source.path} has no {PROCFILE} in its commit; add one with a line such as `web: gunicorn shop.wsgi`"
        )
    found = declared.processes or procfile.parse(str(text))
    both = sorted(set(found) & set(declared.timers))
    if both:
        raise ContainerlessError(f"{', '.join(both)} is both a process and a timer of {TABLE}; rename one")
    distributions = {pin.name: pin.version for pin in pins.pins}
    for name, argv in (*found.items(), *((name, timer["argv"]) for name, timer in declared.timers.items())):
        # What no host could start is refused here, before there is a machine.
        processes.command(name, argv, distributions=distributions, tree="/tree")
    return found


def _check_sdists(declared: Settings, pins: Lock, name: str) -> None:
    strangers = sorted(set(declared.sdists) - {pin.name for pin in pins.pins})
    if strangers:
        raise ContainerlessError(f"sdists of {TABLE} names {', '.join(strangers)}, which {name} does not pin")


def read_project(source: Source, options: Options) -> Project:
    """Read all of it. Raises with the file or option to change; nothing has been made yet."""
    names.check_app_name(options.name)
    need_libraries()
    document = read_toml(source, PYPROJECT)
    stated = table(document, "project").get("version")
    requires_python = _lock_match.requires_python(document)
    declared = settings_of(table(document, "tool").get("containerless", {}))
    lock_name = _locks.find(source, options.lock or declared.lock)
    options = replace(options, lock=lock_name)
    data, pins = _locks.read(source, lock_name, Choice(declared.extras, declared.groups))
    _check_sdists(declared, pins, lock_name)
    manage, settings_module = _django(options, declared, source, pins)
    return Project(
        options=options,
        source=source,
        version=version_of(options.version, stated if isinstance(stated, str) else None, source),
        declared=declared,
        processes=_processes(source, declared, pins),
        manage=manage,
        settings_module=settings_module,
        package=bool(pins.package if declared.package is None else declared.package),
        requires_python=str(requires_python),
        lock_bytes=data,
        lock=pins,
    )


def check_python(project: Project, python: str, platform: str) -> None:
    """Raise when project.requires-python leaves out the Python X.Y.Z of a platform."""
    if not _lock_match.SpecifierSet(project.requires_python).contains(python, prereleases=True):
        raise ContainerlessError(
            f"project.requires-python of {PYPROJECT} is {project.requires_python}, but {platform} has Python {python}"
            " (app_build_platforms)"
        )
