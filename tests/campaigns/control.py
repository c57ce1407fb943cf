# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills the control node: ansible-playbook with all that it started, when a task begins and in the middle of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..rig import Load, Rig
from ..rig.plays import ROOT, command
from .bench import RATE, SETTLE, Bench, Story, Verdict, serving
from .kills import Kill

NAMES = {"control": 1, "fleet": 2}
#: Waits of these runs: the lease has to outlast what the other host takes.
WAITS = {
    "app_release_watch": 1,
    "app_release_confirm_timeout": 15,
    "app_release_drain": 1,
    "app_release_lock_wait": 120,
}
#: A task that takes less is over before its middle is hit.
MIDDLE = 0.6
#: Seconds in which a host has to be at rest when its control node is gone.
REST = 60
#: Seconds in which what was sent to a host before the kill begins there.
STRAY = 0.5
MARK = "CONTAINERLESS_CAMPAIGN"
TASK = re.compile(r"^TASK \[(?:\S+ : )?(?P<name>.+?)\] \*")


@dataclass(frozen=True)
class Task:
    """A task of the playbook, as a run without a kill showed it."""

    number: int
    name: str
    seconds: float

    def __str__(self) -> str:
        return f"task {self.number} {self.name}"


class Run:
    """A playbook that runs; everything that it starts carries a mark, so that all of it can be killed."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**os.environ, **(env or {}), MARK: self.mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.output: list[str] = []

    def tasks(self) -> Iterator[tuple[int, str, float]]:
        """Yield number, name and time of each task as it begins."""
        assert self.process.stdout
        number = 0
        for line in self.process.stdout:
            self.output.append(line)
            if found := TASK.match(line):
                number += 1
                yield number, found["name"], time.monotonic()
        self.process.stdout.close()
        self.process.wait()

    def kill(self, *, connections: bool) -> None:
        """End all of it as a power cut of the control node does; shared connections to hosts, or those stay."""
        while ours := [pid for pid in marked(self.mark) if connections or not is_shared(pid)]:
            for pid in ours:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.02)
        assert self.process.stdout
        self.process.stdout.close()
        self.process.wait()


def marked(mark: str) -> list[int]:
    """Return the living processes that carry a mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if wanted in _read(pid, "environ")]


def is_shared(pid: int) -> bool:
    """Say whether a process is a connection that ssh keeps for others (ControlPersist)."""
    return b"[mux]" in _read(pid, "cmdline")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


class Control:
    """The control node and its hosts."""

    def __init__(self, rig: Rig, benches: Sequence[Bench], told: Sequence[Story]) -> None:
        self.rig, self.benches, self.told = rig, benches, told

    def plan(self, name: str) -> list[Kill]:
        """Release once without a kill; return where to kill."""
        self._each(name, lambda bench: bench.restore("v1", bare=True))
        run = self._release(name)
        seen = list(run.tasks())
        if run.process.returncode:
            raise RuntimeError("".join(run.output[-60:]))
        ends = [*(begin for _number, _name, begin in seen[1:]), time.monotonic()]
        tasks = [Task(number, task, end - begin) for (number, task, begin), end in zip(seen, ends, strict=True)]
        found: list[Kill] = []
        for task in tasks:
            for during in (False, True) if task.seconds > MIDDLE else (False,):
                found.append(Kill(name, str(task), f"{task.seconds:.1f} s", during, ("next", "alone")[len(found) % 2]))
        return found

    def attempt(self, kill: Kill) -> Verdict:
        """Kill once; what serves is whole; then the hosts rest or not, and the next run brings all of them together.

        Where the hosts were not reached yet, all is as it was and there is nothing to bring together.
        """
        self._each(kill.story, lambda bench: bench.restore("v1", bare="Stage" in kill.effect))
        begin = time.monotonic()
        verdict = Verdict(kill, reached=False, way=kill.way)
        with ExitStack() as stack:
            hosts = self.benches[: NAMES[kill.story]]
            loads = [stack.enter_context(Load(bench.host.address, rate=RATE)) for bench in hosts]
            verdict.reached = self._cut(kill)
            if verdict.reached:
                verdict.serving = self._serving(kill.story)
                if kill.way == "alone":
                    verdict.serving += self._rest(kill.story)
                if self._untouched(kill.story):
                    verdict.way = "untouched"
                else:
                    verdict.ending, verdict.release = self._next(kill.story)
        verdict.count(*loads)
        verdict.seconds = round(time.monotonic() - begin, 2)
        return verdict

    def _release(self, name: str) -> Run:
        limit = ",".join(["localhost", *(host.name for host in self.rig.hosts[: NAMES[name]])])
        told = {"app_release_channel": "v2", **WAITS}
        return Run(command("containerless.django.release", self.rig.inventory, told, "--limit", limit))

    def _cut(self, kill: Kill) -> bool:
        wanted, half = int(kill.effect.split()[1]), float(kill.step.split()[0]) / 2
        run = self._release(kill.story)
        try:
            for number, _name, _begin in run.tasks():
                if number == wanted:
                    time.sleep(half if kill.during else 0)
                    run.kill(connections=number % 2 == 0)
                    return True
        finally:
            if run.process.poll() is None:
                run.kill(connections=True)
        return False

    def _serving(self, name: str) -> list[str]:
        return self._gather(name, lambda bench, story: serving(story, bench.look("serving")))

    def _rest(self, name: str) -> list[str]:
        """Wait until hosts do nothing more by themselves; each has the old or the new release then, nothing between."""

        def rest(bench: Bench, story: Story) -> list[str]:
            now = bench.look("rest", str(REST))
            mixed = (
                [] if now["led"] == now["active"] else [f"web.sock leads to {now['led']}, active is {now['active']}"]
            )
            busy = [f"still at work after {REST} s: {now['timers']}"] if now["timers"] else []
            return [*serving(story, now), *mixed, *busy]

        return self._gather(name, rest)

    def _untouched(self, name: str) -> bool:
        """Say whether every host is whole on the old release, with nothing begun."""
        time.sleep(STRAY)
        ends = self._each(name, lambda bench: bench.look("settled", "0"))
        whole = [
            not end["complaints"] and end["release"] == story.old for end, story in zip(ends, self.told, strict=False)
        ]
        return all(whole)

    def _next(self, name: str) -> tuple[list[str], str]:
        """Run the release again: every host has to end in it, with nothing left."""
        run = self._release(name)
        list(run.tasks())
        found = (
            [f"the next run fails: {' '.join(''.join(run.output[-40:]).split())[-1500:]}"]
            if run.process.returncode
            else []
        )
        ends = self._each(name, lambda bench: bench.look("settled", str(SETTLE)))
        for end, story in zip(ends, self.told, strict=False):
            found += end["complaints"]
            found += [] if end["release"] == story.new else [f"{end['release']} is live and not {story.new}"]
        return found, ", ".join(sorted({end["release"] for end in ends}))

    def _gather(self, name: str, look: Callable[[Bench, Story], list[str]]) -> list[str]:
        found = self._each(name, lambda bench: look(bench, self.told[self.benches.index(bench)]))
        return [each for one in found for each in one]

    def _each(self, name: str, call: Callable[[Bench], Any]) -> list[Any]:
        """Do something on all hosts at once."""
        hosts = self.benches[: NAMES[name]]
        with ThreadPoolExecutor(len(hosts)) as pool:
            return list(pool.map(call, hosts))
