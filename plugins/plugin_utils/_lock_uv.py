# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a uv.lock: uv itself writes what the project takes of it as a pylock.toml, offline and without resolving.

Extras, groups, forks and conflicts are uv's to understand. That takes 0.01 s, no interpreter and no cache.
"""

from __future__ import annotations

import subprocess
import tempfile
import typing as t
from dataclasses import replace
from pathlib import Path

from ..module_utils._artifact.lock import refuse
from ..module_utils._core.errors import ContainerlessError
from . import _builder, _lock_pylock
from ._committed import entries, table, toml

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..module_utils._artifact.lock import Lock

LOCK, PYPROJECT = "uv.lock", "pyproject.toml"
HOW = "run `uv lock` and commit it"

# Whatever of ours would decide otherwise than the two files: configuration, cache, interpreters, the index.
_EXPORT = ("export", "--frozen", "--offline", "--no-config", "--no-cache", "--no-python-downloads", "--quiet")
_WHAT = ("--format", "pylock.toml", "--no-header", "--no-emit-project", "--no-default-groups")
_WORKSPACE = "\n[tool.uv.workspace]\n"


def parse(text: str, name: str, pyproject: str, choice: _lock_pylock.Choice) -> Lock:
    """Return the lock of the project beside it. Raises in one sentence for what uv can't read."""
    document = toml(text, name)
    # Asked for a hash that is not there, uv would fetch the file.
    refuse(name, "holds packages without a SHA-256", list(_unhashed(document)), _lock_pylock.HOW)
    lock = _lock_pylock.parse(_exported(text, name, pyproject, choice), name, choice, kind="uv")
    flat = _flat_indexes(toml(pyproject, PYPROJECT))
    options = tuple(_as_links(option, flat) for option in lock.index_options)
    found = root(document)
    return replace(lock, index_options=options, package=None if found is None else "editable" in found["source"])


def root(document: dict[str, t.Any]) -> dict[str, t.Any] | None:
    """Return the entry of the project itself: `editable` in its source says that it is a package, `virtual` not."""
    for package in _packages(document):
        source = table(package, "source")
        if "." in (source.get("editable"), source.get("virtual")):
            return package
    return None


def _packages(document: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    return [each for each in entries(document, "package") if isinstance(each, dict)]


def _unhashed(document: dict[str, t.Any]) -> Iterator[str]:
    for package in _packages(document):
        files = [*entries(package, "wheels"), package.get("sdist")]
        unhashed = [file for file in files if isinstance(file, dict) and "hash" not in file]
        if unhashed and "registry" in table(package, "source"):
            yield f"{package.get('name')} {package.get('version')}"


def _exported(text: str, name: str, pyproject: str, choice: _lock_pylock.Choice) -> str:
    uv = _builder.find_uv()
    chosen = [f"--extra={extra}" for extra in choice.extras] + [f"--group={group}" for group in choice.groups]
    with tempfile.TemporaryDirectory(prefix="containerless-") as scratch:
        # A workspace of its own: a pyproject.toml in a folder above, of whomever, must not take this one in.
        own = "" if "workspace" in table(toml(pyproject, PYPROJECT), "tool", "uv") else _WORKSPACE
        Path(scratch, PYPROJECT).write_text(pyproject + own, encoding="utf-8")
        Path(scratch, LOCK).write_text(text, encoding="utf-8")
        done = subprocess.run(
            [str(uv), *_EXPORT, *_WHAT, *chosen],
            cwd=scratch,
            env={"HOME": scratch, "LC_ALL": "C.UTF-8", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    if done.returncode:
        raise ContainerlessError(f"{name} can't be read: {_reason(done.stderr.decode('utf-8', 'replace'))}")
    return done.stdout.decode()


def _reason(said: str) -> str:
    lines = [line.strip().removeprefix("error: ") for line in said.splitlines() if line.strip()]
    return " ".join(lines[:1]) or "uv gave no reason"


def _flat_indexes(pyproject: dict[str, t.Any]) -> set[str]:
    """Return the addresses that are pages of links, no indexes."""
    uv = table(pyproject, "tool", "uv")
    named = [each for each in entries(uv, "index") if isinstance(each, dict)]
    pages = [each.get("url") for each in named if each.get("format") == "flat"]
    return {str(url).rstrip("/") for url in [*pages, *entries(uv, "find-links")]}


def _as_links(option: str, flat: set[str]) -> str:
    url = option.partition(" ")[2]
    return f"--find-links {url}" if url in flat else option
