# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a process leaves that dies: within a write the new file or folder, still without its name, and what it read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import time
import typing as t

from .._core.names import DIGEST, PREFIX, Layout
from . import files

_ASIDE = r".*\.new"
_BY_CHANCE = "[0-9a-f]{32}"
#: Seconds without a byte after which nobody takes up any more what was sent.
_ON_ITS_WAY = 60


def sweep(layout: Layout) -> None:
    """Remove it. Within static files, trees and data such a name may be an app's own."""
    for path in list(_found(layout)):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            files.remove(path)


def _found(layout: Layout) -> t.Iterator[str]:
    ours = re.escape(f"{PREFIX}-{layout.app}") + "[-.]"
    for folder, pattern in (
        (layout.var, _ASIDE),
        (layout.run, _ASIDE),
        (layout.srv, _ASIDE),
        (f"{layout.srv}/served", _ASIDE),
        (layout.units, ours + _ASIDE),
        (os.path.dirname(layout.boot_unit_file), ours + _ASIDE),
        (layout.trees, rf"\.{DIGEST}\..+"),
    ):
        yield from (f"{folder}/{name}" for name in files.names(folder, pattern))
    for folder, folders, names in os.walk(layout.etc):
        yield from (f"{folder}/{name}" for name in (*folders, *names) if re.fullmatch(_ASIDE, name))
    folder, begin = os.path.split(layout.sent)
    sent = (f"{folder}/{name}" for name in files.names(folder, re.escape(begin) + _BY_CHANCE))
    yield from (path for path in sent if _is_over(path))


@contextlib.contextmanager
def claimed(artifact: str) -> t.Iterator[None]:
    """Keep an artifact from the sweep of another run, which may hold the app's lock while we wait for it.

    The kernel ends the claim with the process. What was claimed is old from then on, so the next sweep takes it.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(FileNotFoundError):  # whoever reads it says so
            handle = held.enter_context(open(artifact, "rb"))
            fcntl.flock(handle, fcntl.LOCK_SH)
            os.utime(handle.fileno(), (0, 0))
        yield


def _is_over(artifact: str) -> bool:
    """Say whether nobody reads an artifact, and nobody is about to."""
    try:
        fd = os.open(artifact, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False  # whatever it is, we did not send it
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(fd)
        return stat.S_ISREG(found.st_mode) and not 0 <= time.time() - found.st_mtime < _ON_ITS_WAY
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
