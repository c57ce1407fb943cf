# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text and TOML of a commit; a file that is neither is refused by its name."""

from __future__ import annotations

import tomllib
import typing as t

from ..module_utils._core.errors import ContainerlessError

if t.TYPE_CHECKING:
    from ._source import Source


def decoded(data: bytes, name: str) -> str:
    """Return the text of a file. Raises when it is not UTF-8; a byte order mark is left out."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ContainerlessError(f"{name} is not UTF-8 (byte {exc.start + 1}); save it as UTF-8") from None


def toml(text: str, name: str) -> dict[str, t.Any]:
    """Return the document. Raises with line and column when it is not TOML."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise ContainerlessError(f"{name} is not TOML: {exc}") from None


def read_text(source: Source, name: str) -> str | None:
    """Return a committed file as text, or None when there is none."""
    data = source.read(name)
    return None if data is None else decoded(data, name)


def read_toml(source: Source, name: str) -> dict[str, t.Any]:
    """Return a committed TOML document, an empty one when there is none."""
    return toml(read_text(source, name) or "", name)


def table(document: dict[str, t.Any], *keys: str) -> dict[str, t.Any]:
    """Return the table at these keys; what is not there, or is no table, is an empty one."""
    for key in keys:
        found = document.get(key, {})
        document = found if isinstance(found, dict) else {}
    return document


def entries(document: dict[str, t.Any], key: str) -> list[t.Any]:
    """Return the list at a key; what is not there, or is no list, is an empty one."""
    found = document.get(key)
    return found if isinstance(found, list) else []
