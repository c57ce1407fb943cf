# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock of a project: uv.lock, pylock.toml or requirements with hashes, checked against its pyproject.toml."""

from __future__ import annotations

import posixpath
import re
import typing as t

from ..module_utils._artifact import lock
from ..module_utils._core.errors import ContainerlessError
from . import _lock_match, _lock_pylock, _lock_uv
from ._committed import decoded, read_text, toml

if t.TYPE_CHECKING:
    from ._lock_pylock import Choice
    from ._source import Source

#: What is looked for, the most exact first.
NAMES = ("uv.lock", "pylock.toml", "requirements.txt")
PYPROJECT = "pyproject.toml"
#: Locks that are not read, and what makes one of them that is.
_FOREIGN = {
    "poetry.lock": "poetry export -f requirements.txt -o requirements.txt",
    "pdm.lock": "pdm export -f pylock -o pylock.toml",
    "Pipfile.lock": "pipenv requirements --hash > requirements.txt",
}
_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")


def find(source: Source, wanted: str | None) -> str:
    """Return the lock to use: the one that option or table names, else the first that the commit holds.

    That may be a lock that only another tool reads: read() says what to do about it.
    """
    if wanted:
        return wanted
    for name in (*NAMES, *_FOREIGN):
        if source.read(name) is not None:
            return name
    raise ContainerlessError(
        f"{source.path} has no {', '.join(NAMES[:-1])} or {NAMES[-1]} in its commit (app_build_lock); {lock.HOW}"
    )


def read(source: Source, name: str, choice: Choice) -> tuple[bytes, lock.Lock]:
    """Return the lock as it is committed and what it pins of the choice.

    Raises in one sentence when it is not there, is no lock, or is not that of pyproject.toml.
    """
    data = source.read(name)
    if data is None:
        raise ContainerlessError(f"{name} is not in the commit of {source.path} (app_build_lock); {lock.HOW}")
    folder, base = posixpath.split(name)
    if base in _FOREIGN:
        raise ContainerlessError(f"{name} is not read; write a lock that is: `{_FOREIGN[base]}`")
    text = decoded(data, name)
    # A lock in a folder of locks is that of the whole project; uv.lock always lies beside its own pyproject.toml.
    beside = posixpath.join(folder, PYPROJECT) if base == _lock_uv.LOCK else PYPROJECT
    pyproject = read_text(source, beside)
    if base == _lock_uv.LOCK:
        return data, _read_uv(text, name, pyproject, choice)
    found = _lock_pylock.parse(text, name, choice) if _PYLOCK.fullmatch(base) else lock.parse(text, name)
    asked = _lock_match.wanted(toml(pyproject or "", beside), choice)
    if asked is not None:
        _lock_match.check_pins(found, asked, name)
    return data, found


def _read_uv(text: str, name: str, pyproject: str | None, choice: Choice) -> lock.Lock:
    if pyproject is None:
        raise ContainerlessError(f"{name} stands without the {PYPROJECT} that it is the lock of; commit both")
    asked = _lock_match.wanted(toml(pyproject, PYPROJECT), choice)
    found = _lock_uv.parse(text, name, pyproject, choice)
    if asked is not None:
        _lock_match.check_uv(toml(text, name), asked, name)
    return found
