# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a machine: found by a mark in their environment, which no kill -9 of the creator can lose."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .host import with_path

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK = "CONTAINERLESS_MACHINE"


def marked(folder: Path, proc: Path = Path("/proc")) -> list[int]:
    """The processes that were started for this folder, oldest first."""
    wanted = f"{MARK}={folder}".encode()
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return sorted(found)


def environment(folder: Path) -> dict[str, str]:
    """The environment for everything that is started for this folder."""
    return {**os.environ, MARK: str(folder), "LC_ALL": "C.UTF-8"}


def start(argv: Sequence[str], folder: Path, console: Path, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one; it is back when the mark can be seen, or the process ended."""
    with console.open("w") as output:
        process = subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=output,
            stderr=output,
            env=with_path(environment(folder)),
            start_new_session=True,
        )
    while process.poll() is None and process.pid not in marked(folder):
        time.sleep(0.005)
    return process


def end(folder: Path, deadline: float = 20.0) -> bool:
    """Kill them and wait until they are gone; says whether there were any."""
    limit = time.monotonic() + deadline
    found = marked(folder)
    present = bool(found)
    while found and time.monotonic() < limit:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
        found = marked(folder)
    return present
