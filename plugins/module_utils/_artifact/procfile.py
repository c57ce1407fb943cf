# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Procfile: `name: command` a line, each command an argv that no shell ever sees. A table obeys the same rules.

Blank lines and lines that start with # are ignored. `release: python manage.py migrate` is taken as what it means and
dropped, because migrations are a step of every release; another `release` command is refused. So is any other line.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from .._core.errors import ContainerlessError
from .._core.names import check_process_name

_LINE = re.compile(r"([A-Za-z0-9_.-]+)\s*:\s*(.*)")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=.*", re.DOTALL)
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_PIECE = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|.""")
_OPERATORS = "|&;<>()$`"
_OPERATORS_IN_QUOTES = "$`"
_MIGRATE_OPTIONS = {"--noinput", "--no-input"}


def parse(text: str) -> dict[str, list[str]]:
    """Return the argv of each process. Raises ContainerlessError, naming the line, for all that is not one."""
    processes: dict[str, list[str]] = {}
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()  # Takes the \r of a file from Windows too.
        if line and not line.startswith("#"):
            try:
                _take(line, processes)
            except ContainerlessError as exc:
                raise ContainerlessError(f"Procfile line {number} ({line!r}): {exc}") from None
    return _complete(processes, "the Procfile", "'web: gunicorn shop.wsgi'")


def _entry(name: str, text: str, where: str) -> list[str]:
    try:
        return _process(name, text)
    except ContainerlessError as exc:
        raise ContainerlessError(f"{name} of {where} ({text!r}): {exc}") from None


def from_table(table: t.Mapping[str, str], where: str) -> dict[str, list[str]]:
    """Return the argv of each process of a table of commands that errors call `where`, by the rules of a Procfile."""
    processes = {name: _entry(name, text, where) for name, text in table.items()}
    return _complete(processes, where, "'web = \"gunicorn shop.wsgi\"'")


def command(text: str, environment: str) -> list[str]:
    """Return the argv of one command. Raises for what only a shell understands.

    `environment` names the option that takes a variable which stands in front of the command.
    """
    if _CONTROL.search(text):
        raise ContainerlessError("the command holds a control character")
    _refuse_shell(text)
    try:
        argv = shlex.split(text)
    except ValueError as exc:
        raise ContainerlessError(f"the command can't be split into words: {str(exc).lower()}") from None
    if not argv or not argv[0]:
        raise ContainerlessError("the command is empty")
    if _ASSIGNMENT.fullmatch(argv[0]):
        variable = argv[0].partition("=")[0]
        raise ContainerlessError(f"the variable {variable} belongs into {environment}, no shell sets it here")
    return argv


def _take(line: str, processes: dict[str, list[str]]) -> None:
    match = _LINE.fullmatch(line)
    if _CONTROL.search(line) or not match:
        raise ContainerlessError("a line is 'name: command', a comment that starts with #, or empty")
    name, argv = match.group(1), _process(*match.groups())
    if name in processes:
        raise ContainerlessError(f"the process {name} stands there twice")
    processes[name] = argv


def _process(name: str, text: str) -> list[str]:
    check_process_name(name)
    argv = command(text, "app_release_env")
    if name == "release":
        _check_release(argv)
    return argv


def _complete(processes: dict[str, list[str]], where: str, line: str) -> dict[str, list[str]]:
    processes.pop("release", None)
    if "web" not in processes:
        raise ContainerlessError(f"{where} names no process web; add a line such as {line}")
    return processes


def _refuse_shell(command: str) -> None:
    """Refuse what a shell would act on; between single quotes, or after a backslash, it is a character like others."""
    before = " "
    for piece in _PIECE.findall(command):
        if piece[0] == '"' and len(piece) > 1:
            found = [char for char in re.sub(r"\\.", "", piece) if char in _OPERATORS_IN_QUOTES]
        else:
            found = [piece] if piece in _OPERATORS else []
        if found:
            raise ContainerlessError(
                f"{found[0]} needs a shell, and no shell runs here; write one program and its arguments"
            )
        if piece == "#" and before.isspace():
            raise ContainerlessError("a comment stands on a line of its own")
        before = piece


def _check_release(argv: list[str]) -> None:
    python, manage, command = (*argv, "", "")[:3]
    if (
        python not in ("python", "python3")
        or manage.rpartition("/")[2] != "manage.py"
        or command != "migrate"
        or not set(argv[3:]) <= _MIGRATE_OPTIONS
    ):
        raise ContainerlessError(
            "a release runs the migrations and nothing else; only 'python manage.py migrate --noinput' may stand here"
        )
