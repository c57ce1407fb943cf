# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Canonical JSON and digests: the only way in which this project turns data into an identity.

The form is the integer-only subset of RFC 8785: UTF-8, keys sorted, no white space, no floats, one final newline,
so that ``sha256sum manifest.json`` on a shell prints the same identity as this code.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from .errors import InvalidDocument, plain


def _refuse_floats(value: t.Any, path: str) -> None:
    if isinstance(value, float):
        raise InvalidDocument(f"{path or 'document'}: a float has no canonical form; write an integer or a string")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidDocument(f"{path or 'document'}: key {key!r} is not a string")
            _refuse_floats(item, f"{path}.{key}" if path else key)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            _refuse_floats(item, f"{path}[{number}]")


def dumps(document: t.Any) -> bytes:
    """Return the canonical bytes of a JSON document. Raises InvalidDocument for floats and keys that are no strings."""
    _refuse_floats(document, "")
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8") + b"\n"


def loads(data: bytes, what: str) -> t.Any:
    """Parse bytes that must be canonical already; `what` names the file in the error. Raises InvalidDocument."""
    try:
        document = json.loads(data.decode("utf-8"))
        canonical = dumps(document)
    except RecursionError:
        raise InvalidDocument(f"{what} is nested too deeply") from None
    except InvalidDocument as exc:
        raise InvalidDocument(f"{what}: {plain(str(exc))}") from None
    except ValueError as exc:
        raise InvalidDocument(f"{what} is not UTF-8 JSON: {exc}") from None
    if canonical != data:
        raise InvalidDocument(f"{what} is not in canonical form; it was edited after it was made")
    return document


def sha256(data: bytes) -> str:
    """Return the lower-case hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def digest(document: t.Any) -> str:
    """Return the SHA-256 of the canonical form of a document."""
    return sha256(dumps(document))
