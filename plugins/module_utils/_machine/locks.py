# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks that vanish with what they lock: on folders, and on files that are there anyway."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked_folder(path: Path, mode: int = 0o755) -> Iterator[None]:
    """Hold a folder alone, made when missing; another holder may remove it meanwhile, so look again."""
    while True:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _same(handle, path):
                yield
                return
        finally:
            os.close(handle)


@contextmanager
def locked_file(path: Path) -> Iterator[int]:
    """Hold a file alone, open for appending."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _same(handle: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), there)
