# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs commands in turns and says how long each took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .figures import Sample

_TAIL_LINES = 30


class Failed(Exception):
    """A command of the benchmark ended with an error; the end of what it said."""


def measure(argv: Sequence[str | Path], *, log: Path, env: Mapping[str, str], cwd: Path) -> Sample:
    """Run a command to its end. Its processor time includes all that it started and waited for (wait4(2))."""
    with log.open("wb") as out:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in argv],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        words = " ".join(str(part) for part in argv[:3])
        raise Failed(f"`{words} ...` ended with {process.returncode}:\n" + "\n".join(said))
    return Sample(wall, usage.ru_utime + usage.ru_stime)


class Progress:
    """One line that says what runs: rewritten on a terminal, one after the other elsewhere."""

    def __init__(self) -> None:
        self.begin = time.monotonic()
        self.live = sys.stderr.isatty()

    def say(self, what: str) -> None:
        line = f"{time.monotonic() - self.begin:5.0f} s  {what}"
        print(f"\r\x1b[K{line}" if self.live else line, end="" if self.live else "\n", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def in_turns(
    runs: Mapping[str, Callable[[], Sample]],
    rounds: int,
    say: Callable[[str], None],
    limits: Mapping[str, int] | None = None,
) -> dict[str, list[Sample]]:
    """Run A B C A B C ..., so that what the machine does meanwhile meets all of them; `limits` ends some earlier."""
    found: dict[str, list[Sample]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            if number < (limits or {}).get(name, rounds):
                say(f"round {number + 1} of {rounds}: {name}")
                found[name].append(run())
    return found
