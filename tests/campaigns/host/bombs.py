# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration file of gunicorn whose workers turn on their host when a file in the state directory says so.

The file holds a word and the time of CLOCK_MONOTONIC, which all processes share, at which it is over. A worker that was
killed and comes back goes on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

ORDER = Path(os.environ["STATE_DIRECTORY"].split(":")[0], "bomb")
BLOCK = 8 * 1024 * 1024
SPINNERS = 8


def fork(end: float) -> None:
    """Every process makes processes, as fast as it can."""
    while time.monotonic() < end:
        try:
            child = os.fork()
        except OSError:
            continue
        if child == 0:
            while time.monotonic() < end:
                try:
                    os.fork()
                except OSError:
                    continue
            os._exit(0)


def memory(end: float) -> None:
    """Take memory, and write to it, until it is too much."""
    taken = []
    while time.monotonic() < end:
        taken.append(b"x" * BLOCK)


def cpu(end: float) -> None:
    """Compute on more processors than there are."""
    for _ in range(SPINNERS):
        if os.fork() == 0:
            while time.monotonic() < end:
                pass
            os._exit(0)
    time.sleep(max(0.0, end - time.monotonic()))


BOMBS: dict[str, Callable[[float], None]] = {"fork": fork, "memory": memory, "cpu": cpu}


def watch() -> None:
    while True:
        time.sleep(0.2)
        name, _, end = ORDER.read_text(encoding="utf-8").partition(" ") if ORDER.exists() else ("", "", "0")
        if name and time.monotonic() < float(end):
            BOMBS[name](float(end))
            reap()


def reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.1)
        except ChildProcessError:
            return


def post_worker_init(_worker: object) -> None:
    threading.Thread(target=watch, daemon=True).start()
