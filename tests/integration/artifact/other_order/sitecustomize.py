# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that names its files in another order: Python imports this before anything else when it stands in a path."""

from __future__ import annotations

import os
import typing as t

_listdir, _scandir = os.listdir, os.scandir


class _Entries:
    """What scandir returns: an iterator that is also a context."""

    def __init__(self, found: list[t.Any]) -> None:
        self._left = iter(found)

    def __iter__(self) -> t.Iterator[t.Any]:
        return self._left

    def __next__(self) -> t.Any:
        return next(self._left)

    def __enter__(self) -> t.Any:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: the real one is read to its end."""


def listdir(*args: t.Any, **options: t.Any) -> list[t.Any]:
    """Return the names, the last one first."""
    return sorted(_listdir(*args, **options), reverse=True)


def scandir(*args: t.Any, **options: t.Any) -> _Entries:
    """Return the entries, the last one first."""
    return _Entries(sorted(_scandir(*args, **options), key=lambda entry: entry.name, reverse=True))


os.listdir, os.scandir = listdir, t.cast("t.Any", scandir)
