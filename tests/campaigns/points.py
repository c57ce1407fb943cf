# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a test is interrupted: at each task that does something, and in the middle of those that take longer. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml

#: What a terminal sends to all of a job, and what the kernel does to a process without a word.
CTRL_C, KILL = "Ctrl-C", "kill -9"
ENDS = (CTRL_C, KILL)
#: A task that takes less is over before its middle is hit.
MIDDLE = 0.6
_TASK = re.compile(r"^TASK \[(?:\S+\.(?P<role>\w+) : )?(?P<name>.+?)\] \*")
_WORKED = re.compile(r"^(ok|changed|fatal|failed): ")
_INCLUDES = re.compile(r"(include|import)_(tasks|role)$")


@dataclass(frozen=True)
class Task:
    """A task of a run that nobody interrupted. `name` has no part that differs from run to run."""

    number: int
    role: str
    name: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.role}: {self.name}" if self.role else self.name


@dataclass(frozen=True)
class Point:
    """One interruption. `after`: seconds since the task began."""

    story: str
    number: int
    task: str
    after: float
    end: str

    def __str__(self) -> str:
        when = f"{self.after:.1f} s into" if self.after else "at"
        return f"{self.story}: {self.end} {when} task {self.number}, {self.task}"


def stable(name: str) -> str:
    """Return a task's name up to where it tells of paths."""
    return name.partition(";")[0]


def read(line: str) -> tuple[str, str] | None:
    """Return role and name of the task that a line of output begins; None for any other line."""
    found = _TASK.match(line)
    return (found["role"] or "", stable(found["name"])) if found else None


def tasks(output: Sequence[str], times: Sequence[float]) -> list[Task]:
    """Return the tasks that did something, by a run's output and when each of all its tasks began, and the run's end.

    What was left out, or only names other tasks, begins and ends with the next one.
    """
    heads = [at for at, line in enumerate(output) if read(line)]
    found: list[Task] = []
    for number, ((first, last), (begin, end)) in enumerate(
        zip(pairwise([*heads, len(output)]), pairwise(times), strict=True), 1
    ):
        if any(_WORKED.match(line) for line in output[first:last]):
            role, name = read(output[first]) or ("", "")
            found.append(Task(number, role, name, end - begin))
    return found


def plan(story: str, seen: Iterable[Task]) -> list[Point]:
    """Return where to interrupt, in the order of the run."""
    return [
        Point(story, task.number, str(task), after, end)
        for task in seen
        for after in ((0.0, round(task.seconds / 2, 2)) if task.seconds > MIDDLE else (0.0,))
        for end in ENDS
    ]


def named(role: Path, leave_out: Iterable[str] = ()) -> set[str]:
    """Return the names of a role's tasks that do something themselves, but those of some files."""
    names: set[str] = set()
    for path in sorted(role.glob("tasks/**/*.yml")):
        if path.stem not in leave_out:
            names |= set(_names(yaml.safe_load(path.read_text(encoding="utf-8"))))
    return names


def missing(expected: Iterable[str], hit: Iterable[Point], role: str) -> list[str]:
    """Return the tasks of a role that no run was interrupted at; names with variables count up to the first one."""
    at = [point.task.removeprefix(f"{role}: ") for point in hit if point.task.startswith(f"{role}: ")]
    starts = {name: stable(name).partition("{{")[0] for name in expected}
    return sorted(name for name, start in starts.items() if not any(task.startswith(start) for task in at))


def _names(tasks: Iterable[dict[str, object]]) -> Iterable[str]:
    for task in tasks:
        inner = [task[key] for key in ("block", "rescue", "always") if key in task]
        for each in inner:
            yield from _names(each)  # type: ignore[arg-type]
        if not inner and not any(_INCLUDES.search(key) for key in task):
            yield str(task["name"])
