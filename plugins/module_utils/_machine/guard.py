# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that outlives its maker and removes a machine once nobody is left who would.

A playbook that is interrupted or killed runs no `always:`; what it made on a machine of its own has to go all the same.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from . import lifecycle

if TYPE_CHECKING:
    from pathlib import Path

    from .paths import Cache

_FIRST_DESCRIPTOR = 3


def begin(cache: Cache, project: str, name: str, owner: int) -> None:
    """Remove a machine that this process is going to make, when process `owner` has ended and left it.

    A machine of the same name that another run makes later is not touched.
    """
    maker = os.getpid()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork():
        os._exit(0)
    try:
        _detach()
        _await(maker)
        known = _identity(cache, project, name)
        _await(owner)
        if _identity(cache, project, name) == known:
            lifecycle.absent(cache, project, name)
    finally:
        os._exit(0)


def _detach() -> None:
    """Leave session, terminal and pipes of the maker: who waits for its end of them must not wait for this process."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(_FIRST_DESCRIPTOR):
        os.dup2(null, fd)
    os.closerange(_FIRST_DESCRIPTOR, os.sysconf("SC_OPEN_MAX"))


def _await(pid: int) -> None:
    """Wait for the end of any process; one that is gone has ended."""
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        select.select([fd], [], [])
        os.close(fd)


def _identity(cache: Cache, project: str, name: str) -> bytes | None:
    """Return what no two machines share: the host key, which is made with it. None before there is one."""
    path: Path = cache.machine(project, name).known_hosts
    try:
        return path.read_bytes()
    except OSError:
        return None
