# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks as power cuts leave them: one run of a story, frozen at each flushed change of the truth, its disk logged."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..rig.driver import PLACE
from . import disks, writelog
from .base import FOLDER, Base
from .vm import VmError

#: From this point on a story's target is what a boot has to bring back.
DECISIVE = {"release": "confirmed/confirm ledger", "rollback": "rolled_back/commit active"}
#: Where a virtual machine boots even if that takes a minute; without KVM, systemd-nspawn boots from the other points.
CHOSEN = {"unpack", "migrate", "commit", "commit active", "watch", "confirm ledger", "finish"}


@dataclass(frozen=True)
class Point:
    """A moment of a story: its disk as QEMU had it then, and how many requests the disk had finished."""

    story: str
    number: int
    name: str
    requests: int

    @property
    def step(self) -> str:
        """The step that the journal named."""
        return re.split("[/ ]", self.name)[1]

    @property
    def counts(self) -> bool:
        """Say whether a machine boots from it; begin and end of a call differ from their neighbours in nothing."""
        return not re.search("begin$|end$|#|removed$", self.name)

    @property
    def is_chosen(self) -> bool:
        return self.name.partition("/")[2] in CHOSEN

    @property
    def disk(self) -> Path:
        return FOLDER / self.story / f"{self.number:02}.qcow2"


@dataclass(frozen=True)
class Film:
    """A story that was recorded."""

    story: str
    points: tuple[Point, ...]

    @property
    def log(self) -> Path:
        return FOLDER / self.story / "log"

    @property
    def start(self) -> Path:
        """The raw disk as it was before."""
        return FOLDER / self.story / "start.raw"

    @property
    def decisive(self) -> int:
        return next(point.number for point in self.points if point.name == DECISIVE[self.story])

    def wanted(self, base: Base, number: int) -> str:
        """Return the release that a boot from the disk of a point has to serve."""
        before, after = (base.old, base.new) if self.story == "release" else (base.new, base.old)
        return after if number >= self.decisive else before

    def wanted_after(self, base: Base, request: int) -> set[str]:
        """Return what a boot from the disk after a request may serve: both releases while one replaces the other."""
        passed = [point.number for point in self.points if point.requests <= request + 1]
        reached = [point.number for point in self.points if point.requests > request + 1][:1]
        return {self.wanted(base, number) for number in (*passed[-1:], *reached)} or {self.wanted(base, 0)}

    def may_serve_both(self, request: int) -> str:
        """Name what may be served after a request, whatever the releases are called."""
        named = Base(key="", old="old", new="new", kvm=False)
        return " ".join(sorted(self.wanted_after(named, request)))


def film(base: Base, story: str) -> Film:
    """Record a story, or take what was recorded of this very code."""
    folder = FOLDER / story
    told = folder / "points.json"
    if told.exists():
        return Film(story, tuple(Point(**each) for each in json.loads(told.read_text(encoding="utf-8"))))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = Film(story, tuple(_record(base, story, folder)))
    disks.flatten(base.disk(story), made.start)
    told.write_text(json.dumps([asdict(point) for point in made.points]), encoding="utf-8")
    return made


def _record(base: Base, story: str, folder: Path) -> Iterator[Point]:
    machine, log = folder / "vm", folder / "log"
    log.touch()
    with base.vm(story, machine, log) as vm:
        line = vm.open("python3", "-I", f"{PLACE}/halt.py", f"{PLACE}/{story}.json")
        number = 0
        while "point" in (told := json.loads(line or '{"results": [{"failed": "it ended"}]}')):
            vm.freeze()
            try:
                point = Point(story, number, told["point"], _count(log))
                disks.copy(machine / "disk.qcow2", point.disk)
            finally:
                vm.thaw()
            yield point
            number += 1
            line = vm.tell("go on")
        if failed := [result["failed"] for result in told["results"] if "failed" in result]:
            raise VmError(f"{story} fails without a cut: {failed[0]}")
        vm.sh("sync")
        vm.quit()


def _count(log: Path) -> int:
    """Return how many requests were logged up to the last flush."""
    with log.open("rb") as handle:
        head = handle.read(struct.calcsize("<QQQ"))
    return int(struct.unpack("<QQQ", head)[2]) if head else 0


def samples(film: Film, flushes: Sequence[int]) -> list[int]:
    """Return the flushes around the commit and around the decisive point, and the last one."""
    chosen = {flushes[-1]}
    for point in film.points:
        if point.number == film.decisive or point.name.endswith("commit active"):
            made = point.requests - 1  # the flush by which it came onto the disk
            chosen |= {max(each for each in flushes if each < made), min(each for each in flushes if each >= made)}
    return sorted(chosen)


def flushes(film: Film) -> list[int]:
    return writelog.flushes(film.log)
