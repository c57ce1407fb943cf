# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table [tool.containerless] of a pyproject.toml: every key known, every value of its type, or a refusal by name.

docs/project.md describes the keys.
"""

from __future__ import annotations

import contextlib
import difflib
import posixpath
import re
import typing as t
from dataclasses import dataclass, field

from ..module_utils._artifact import procfile
from ..module_utils._artifact.lock import normalised
from ..module_utils._core.errors import ContainerlessError
from ..module_utils._core.names import check_process_name

# Whoever reads a project asks for the library first.
with contextlib.suppress(ImportError):
    from packaging.requirements import InvalidRequirement, Requirement

PYPROJECT = "pyproject.toml"
TABLE = f"[tool.containerless] in {PYPROJECT}"
#: Key of build-requires that stands for the project itself, no distribution of the lock.
OF_PROJECT = "project"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
# systemd.time(7), CALENDAR EVENTS: letters are week days, short forms and time zones. A % would be expanded.
_SCHEDULE = re.compile(r"[A-Za-z0-9*:.,/~+_@-]+( +[A-Za-z0-9*:.,/~+_@-]+)*")


class Timer(t.TypedDict):
    """What runs at a time: no shell in `argv`, `schedule` as OnCalendar= of systemd.timer(5) takes it."""

    argv: list[str]
    schedule: str


@dataclass(frozen=True)
class Settings:
    """What a project says of its artifact; without the table, all that is default here."""

    manage: str | None = None
    settings: str | None = None
    lock: str | None = None
    #: Whether the project itself is installed; None leaves it to the lock.
    package: bool | None = None
    #: Optional dependencies and dependency groups that the artifact holds beside the dependencies.
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    #: Normalised names of what may be built from its sdist, and what such builds require where a sdist does not say.
    sdists: tuple[str, ...] = ()
    build_requires: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: argv of each command that runs in the code before it is sealed.
    commands: tuple[tuple[str, ...], ...] = ()
    #: Globs below the code, taken out after the commands.
    exclude: tuple[str, ...] = ()
    static_collect: bool = True
    static_ignore: tuple[str, ...] = ()
    processes: dict[str, list[str]] = field(default_factory=dict)
    timers: dict[str, Timer] = field(default_factory=dict)


def settings_of(tool: object) -> Settings:
    """Return what the table says. Raises with key and file for what is unknown or of another type."""
    given = _read(tool, "tool.containerless", _KEYS)
    found = Settings(**given.pop("static", {}), **given)
    strangers = sorted(set(found.build_requires) - {*found.sdists, OF_PROJECT})
    if strangers:
        raise ContainerlessError(
            f"build-requires of {TABLE} names {', '.join(strangers)}, which sdists there does not; only what is built"
            " from its sdist has build requirements"
        )
    return found


def _named(where: str) -> str:
    """Turn the dotted path of a key into what a person looks for."""
    table, _, key = where.rpartition(".")
    return f"{key} of [{table}] in {PYPROJECT}"


def _wrong(where: str, wanted: str, value: object) -> t.NoReturn:
    raise ContainerlessError(f"{_named(where)} must be {wanted}, not {value!r}")


class _Reader(t.Protocol):
    def __call__(self, value: t.Any, where: str, /) -> t.Any:
        """Return the value as Settings holds it, or raise."""


def _table(value: object, where: str) -> dict[str, t.Any]:
    if not isinstance(value, dict):
        raise ContainerlessError(f"[{where}] in {PYPROJECT} must be a table, not {value!r}")
    return value


def _read(value: object, where: str, keys: t.Mapping[str, tuple[str, _Reader]]) -> dict[str, t.Any]:
    """Return the fields of a table whose keys are all known."""
    given = _table(value, where)
    for key in given:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(sorted(keys))}"
            raise ContainerlessError(f"[{where}] in {PYPROJECT} has no key {key!r}; {hint}")
    return {keys[key][0]: keys[key][1](given[key], f"{where}.{key}") for key in given}


def _flag(value: object, where: str) -> bool:
    return value if isinstance(value, bool) else _wrong(where, "true or false", value)


def _text(value: object, where: str, wanted: str = "a text") -> str:
    good = isinstance(value, str) and value.strip() and not _CONTROL.search(value)
    return str(value) if good else _wrong(where, wanted, value)


def _path(value: object, where: str) -> str:
    path = _text(value, where, wanted := "a path inside of the project")
    if posixpath.isabs(path) or ".." in path.split("/"):
        _wrong(where, wanted, value)
    return posixpath.normpath(path)


def _module(value: object, where: str) -> str:
    name = _text(value, where, wanted := "a module such as 'shop.settings'")
    return name if _MODULE.fullmatch(name) else _wrong(where, wanted, value)


def _name(value: object, where: str) -> str:
    name = _text(value, where, wanted := "a list of names")
    return normalised(name) if _NAME.fullmatch(name) else _wrong(where, wanted, value)


def _list(value: object, where: str, entry: _Reader) -> tuple[t.Any, ...]:
    if not isinstance(value, list):
        _wrong(where, "a list", value)
    return tuple(entry(each, where) for each in value)


def _names(value: object, where: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_list(value, where, _name)))


def _glob(value: object, where: str) -> str:
    pattern = _path(value, where)
    parts = pattern.split("/")
    # pathlib takes ** as a whole part alone, and a pattern of nothing else as the folder itself.
    if set(parts) <= {".", "**"} or any("**" in part and part != "**" for part in parts):
        _wrong(where, "a pattern such as '**/*.map', where ** is all between two slashes and not the last part", value)
    return pattern


def _globs(value: object, where: str) -> tuple[str, ...]:
    return _list(value, where, _glob)


def _patterns(value: object, where: str) -> tuple[str, ...]:
    return _list(value, where, lambda each, at: _text(each, at, "a list of patterns"))


def _command(value: object, where: str, environment: str) -> tuple[str, ...]:
    # Control characters are the Procfile's to refuse, in its own words.
    text = value if isinstance(value, str) else _wrong(where, "a command", value)
    try:
        return tuple(procfile.command(text, environment))
    except ContainerlessError as exc:
        raise ContainerlessError(f"{_named(where)} ({text!r}): {exc}") from None


def _commands(value: object, where: str) -> tuple[tuple[str, ...], ...]:
    return _list(value, where, lambda each, at: _command(each, at, "app_build_env"))


def _requirement(value: object, where: str) -> str:
    text = _text(value, where, wanted := "a list of requirements such as 'setuptools>=80'")
    try:
        found = Requirement(text)
    except InvalidRequirement:
        _wrong(where, wanted, value)
    return text if found.url is None else _wrong(where, wanted, value)


def _build_requires(value: object, where: str) -> dict[str, tuple[str, ...]]:
    given = _table(value, where)
    return {_name(key, f"{where}.{key}"): _list(each, f"{where}.{key}", _requirement) for key, each in given.items()}


def _processes(value: object, where: str) -> dict[str, list[str]]:
    given = _table(value, where)
    for name, each in given.items():
        if not isinstance(each, str):
            _wrong(f"{where}.{name}", "a command", each)
    return procfile.from_table(given, f"[{where}] in {PYPROJECT}")


def _schedule(value: object, where: str) -> str:
    text = _text(value, where, wanted := "a calendar event of systemd.time(7) such as 'daily' or 'Mon *-*-* 04:00'")
    return text.strip() if _SCHEDULE.fullmatch(text.strip()) else _wrong(where, wanted, value)


def _timer(name: str, value: object, where: str) -> Timer:
    try:
        check_process_name(name)
    except ContainerlessError as exc:
        raise ContainerlessError(f"[{where}] in {PYPROJECT}: {exc}") from None
    given = _read(value, where, _TIMER_KEYS)
    missing = sorted(set(_TIMER_KEYS) - set(_table(value, where)))
    if missing:
        raise ContainerlessError(f"[{where}] in {PYPROJECT} has no {' and no '.join(missing)}")
    return Timer(argv=list(given["argv"]), schedule=given["schedule"])


def _timers(value: object, where: str) -> dict[str, Timer]:
    return {name: _timer(name, each, f"{where}.{name}") for name, each in _table(value, where).items()}


_TIMER_KEYS: dict[str, tuple[str, _Reader]] = {
    "command": ("argv", lambda value, where: _command(value, where, "app_release_env")),
    "schedule": ("schedule", _schedule),
}
_STATIC_KEYS: dict[str, tuple[str, _Reader]] = {
    "collect": ("static_collect", _flag),
    "ignore": ("static_ignore", _patterns),
}
#: Field of Settings and reader of each key.
_KEYS: dict[str, tuple[str, _Reader]] = {
    "manage": ("manage", _path),
    "settings": ("settings", _module),
    "lock": ("lock", _path),
    "package": ("package", _flag),
    "extras": ("extras", _names),
    "groups": ("groups", _names),
    "sdists": ("sdists", _names),
    "build-requires": ("build_requires", _build_requires),
    "build": ("commands", _commands),
    "exclude": ("exclude", _globs),
    "static": ("static", lambda value, where: _read(value, where, _STATIC_KEYS)),
    "processes": ("processes", _processes),
    "timers": ("timers", _timers),
}
