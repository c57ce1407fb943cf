# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks of the sample project, as tools write them, of an index that is nowhere."""

from __future__ import annotations

import hashlib
import typing as t

PINS = {"django": "5.2.19", "gunicorn": "27.0.1"}
INDEX = "https://index.example/simple"


def digest(file: str) -> str:
    return hashlib.sha256(file.encode()).hexdigest()


def files(name: str, version: str, what: t.Callable[[str], str]) -> str:
    """Return a sdist and a wheel as both formats write them; `what` gives the hash of a file."""
    sdist, wheel = f"{name.replace('-', '_')}-{version}.tar.gz", f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return (
        f'sdist = {{ url = "https://files.example/{sdist}", {what(sdist)} }}\n'
        f'wheels = [{{ url = "https://files.example/{wheel}", {what(wheel)} }}]\n'
    )


def uv_package(name: str, version: str, *, index: str = INDEX, more: str = "") -> str:
    """Return the entry of a distribution in a uv.lock."""
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ registry = "{index}" }}\n{more}' + files(
        name, version, lambda file: f'hash = "sha256:{digest(file)}"'
    )


def uv_lock(
    *,
    source: str = "virtual",
    name: str = "shop",
    requires: str = "",
    dependencies: str | None = None,
    more: str = "",
    packages: t.Iterable[str] = (),
) -> str:
    """Return a uv.lock. `requires` are the entries of requires-dist, `more` stands below the project's own entry."""
    if dependencies is None:
        dependencies = ", ".join(f'{{ name = "{each}" }}' for each in PINS)
    return "\n".join(
        [
            'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n',
            *(uv_package(each, version) for each, version in PINS.items()),
            *packages,
            (
                f'[[package]]\nname = "{name}"\nversion = "1.2"\nsource = {{ {source} = "." }}\n'
                f"dependencies = [{dependencies}]\n{more}\n[package.metadata]\nrequires-dist = [{requires}]\n"
            ),
        ]
    )


def py_package(name: str, version: str, *, more: str = "") -> str:
    """Return the entry of a distribution in a pylock.toml."""
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{more}' + files(
        name, version, lambda file: f'hashes = {{ sha256 = "{digest(file)}" }}'
    )


def pylock(*packages: str, more: str = "") -> str:
    """Return a pylock.toml with these packages beside the two of every lock."""
    entries = [*(py_package(each, version) for each, version in PINS.items()), *packages]
    return "\n".join([f'lock-version = "1.0"\ncreated-by = "by hand"\n{more}', *entries])
