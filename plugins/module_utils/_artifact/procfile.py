# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Procfile: `name: command` a line, each command an argv that no shell ever sees.

Blank lines and lines that start with # are ignored. `release: python manage.py migrate` is taken as what it means and
dropped, because migrations are a step of every release; another `release` command is refused. So is any other line.
"""

from __future__ import annotations

import re
import shlex

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
    processes.pop("release", None)
    if "web" not in processes:
        raise ContainerlessError("the Procfile names no process web; add a line such as 'web: gunicorn shop.wsgi'")
    return processes


def _take(line: str, processes: dict[str, list[str]]) -> None:
    name, argv = _parse_line(line)
    if name in processes:
        raise ContainerlessError(f"the process {name} stands there twice")
    if name == "release":
        _check_release(argv)
    processes[name] = argv


def _parse_line(line: str) -> tuple[str, list[str]]:
    match = _LINE.fullmatch(line)
    if _CONTROL.search(line) or not match:
        raise ContainerlessError("a line is 'name: command', a comment that starts with #, or empty")
    name, command = check_process_name(match.group(1)), match.group(2)
    _refuse_shell(command)
    try:
        argv = shlex.split(command)
    except ValueError as exc:
        raise ContainerlessError(f"the command can't be split into words: {str(exc).lower()}") from None
    if not argv or not argv[0]:
        raise ContainerlessError("the command is empty")
    if _ASSIGNMENT.fullmatch(argv[0]):
        variable = argv[0].partition("=")[0]
        raise ContainerlessError(f"the variable {variable} belongs into app_release_env, no shell sets it here")
    return name, argv


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
