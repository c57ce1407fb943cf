# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make campaign-power`: the power is cut at every step and at every flush of the disk; then what else a host can meet.

A release and a rollback run on a virtual machine. Its disk is kept as QEMU had it after each flushed change of the
truth, and again as it was after each flush, by the log of its writes. Each of these disks is booted. What was tried
stands in .cache/campaigns/power.jsonl until the code changes, so a run that was ended goes on there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from ...plugins.module_utils._core import schemas
from ...tools import bootstrap
from . import cuts, disks, faults, judge, report
from .base import FOLDER, STORIES, Base, prepare
from .boots import Booted
from .cuts import Film, Point
from .judge import Verdict
from .report import Progress, Row
from .vm import VmError, overlay
from .writelog import Replay

PAGE = bootstrap.ROOT / "docs/benchmarks/power.md"
RECORD = bootstrap.CACHE / "campaigns/power.jsonl"
PARTS = ("steps", "flushes", "faults")
#: Real machines that boot from disks of flushes, beside those around the commit.
SAMPLES = 4
TITLE = "Power cuts"
HEADING = "The power is cut"
INTRODUCTION = """\
Made by `make campaign-power`, which ends with 1 when a bar is missed. After each cut a machine boots from what is left
of the disk: behind nginx the old or the new release has to serve, whole, and never another one in between; an
unconfirmed release is reverted; the ledger's chain is whole and nothing is left of the other release: no units,
sockets, half-written files or journal. Nothing is cleaned by hand."""
WORDS = """\
The steps: a virtual machine runs a release (and a rollback) and halts after each flushed change of journal, `active`
and ledger. QEMU is frozen there and its disk copied: byte by byte what a SIGKILL leaves, without what QEMU itself had
not flushed. A virtual machine boots from each copy.

The flushes: QEMU's `blklogwrites` logs each write and flush of the same run. The log is replayed onto the disk as it
was before, up to each flush: a disk that lost all that came later. Where everything in our folders is equal after two
flushes (names, modes, owners, contents) one boot stands for both. Each different one is mounted, which replays its
journal, and booted by systemd-nspawn, where the next release has to work too; virtual machines boot from those around
the commit and some others."""


@dataclass(frozen=True)
class Options:
    """The command line."""

    only: tuple[str, ...]
    minutes: float
    fresh: bool
    machines: int
    case: str


def read_options(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="make campaign-power", description=__doc__)
    parser.add_argument("--only", action="append", default=[], choices=PARTS, help="a part, again for more")
    parser.add_argument("--minutes", type=float, default=0, help="end after so long; the next call goes on (0: never)")
    parser.add_argument("--fresh", action="store_true", help="forget what was tried before")
    parser.add_argument("--machines", type=int, default=2, help="virtual machines beside each other (%(default)s)")
    parser.add_argument("--case", default="", help="only what contains this text, without the page")
    given = parser.parse_args(argv)
    return Options(tuple(given.only) or PARTS, given.minutes, given.fresh, given.machines, given.case)


@dataclass
class Campaign:
    """What was tried, and what is still to be tried."""

    options: Options
    base: Base
    begin: float = field(default_factory=time.monotonic)
    films: dict[str, Film] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    #: Flushes of a story by the digest of our folders.
    groups: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_over(self) -> bool:
        return 0 < self.options.minutes * 60 < time.monotonic() - self.begin

    def load(self) -> None:
        """Take what an earlier run tried on this very code."""
        if self.options.fresh or not RECORD.exists():
            return
        for line in RECORD.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            if told["key"] == self.base.key:
                verdict = Verdict(**told["verdict"])
                self.verdicts[verdict.case] = verdict

    def is_open(self, case: str) -> bool:
        """Say whether a case is still to be tried, and keep in mind what is left of it."""
        if self.options.case not in case or case in self.verdicts:
            return False
        self.left.add(case)
        return True

    def note(self, verdict: Verdict) -> None:
        with self.lock:
            self.left.discard(verdict.case)
            self.verdicts[verdict.case] = verdict
            RECORD.parent.mkdir(parents=True, exist_ok=True)
            with RECORD.open("a", encoding="utf-8") as record:
                record.write(json.dumps({"key": self.base.key, "verdict": asdict(verdict)}) + "\n")

    def of(self, part: str) -> list[Verdict]:
        return [verdict for verdict in self.verdicts.values() if verdict.part == part]


Task = tuple[str, Callable[[Path], Verdict]]


def on_machines(campaign: Campaign, tasks: Sequence[Task]) -> None:
    """Try some cases beside each other, each in the folder of its worker."""
    shown, todo = Progress(len(tasks)), queue.Queue[Task]()
    for task in tasks:
        todo.put(task)

    def work(number: int) -> None:
        while not campaign.is_over:
            try:
                case, attempt = todo.get_nowait()
            except queue.Empty:
                return
            verdict = attempt(FOLDER / f"machine{number}")
            campaign.note(verdict)
            with campaign.lock:
                shown.say(f"{case} [{verdict.seconds:.0f} s]", verdict.fault)

    with ThreadPoolExecutor(campaign.options.machines) as pool:
        for run in [pool.submit(work, number) for number in range(campaign.options.machines)]:
            run.result()


def steps(campaign: Campaign) -> Iterator[Task]:
    """Boot a virtual machine from the disk of each point."""
    for film in campaign.films.values():
        for point in film.points:
            case = f"steps {film.story}: {point.name}"
            if campaign.is_open(case):
                yield case, boot_point(campaign.base, film, point, case)


def met(campaign: Campaign) -> Iterator[Task]:
    """Let a release meet each fault."""
    for fault in faults.FAULTS:
        if campaign.is_open(f"faults: {fault.name}"):
            yield f"faults: {fault.name}", partial(faults.attempt, campaign.base, fault)


def boot_point(base: Base, film: Film, point: Point, case: str) -> Callable[[Path], Verdict]:
    def attempt(folder: Path) -> Verdict:
        folder.mkdir(parents=True, exist_ok=True)
        disk = overlay(point.disk, folder / "disk.qcow2", "qcow2")
        wanted = {film.wanted(base, point.number)}
        return boot_vm(base, disk, folder, Verdict(f"steps {film.story}", case), wanted)

    return attempt


def boot_vm(base: Base, disk: Path, folder: Path, verdict: Verdict, wanted: set[str]) -> Verdict:
    begin = time.monotonic()
    try:
        with base.boot(disk, folder) as vm:
            judge.booted(vm, verdict, wanted)
    except (VmError, OSError) as exc:
        verdict.found.append(f"{type(exc).__name__}: {exc}")
    verdict.seconds = round(time.monotonic() - begin, 1)
    return verdict


def flushes(campaign: Campaign, film: Film) -> None:
    """Go from flush to flush; boot whatever differs from all that was seen, and keep some for real machines."""
    numbers = cuts.flushes(film)
    sampled = cuts.samples(film, numbers, SAMPLES)
    groups = campaign.groups.setdefault(film.story, {})
    shown, place = Progress(len(numbers)), FOLDER / film.story
    disk, probe = disks.copy(film.start, place / "replayed.raw"), place / "probe.raw"
    replay = Replay(film.log, disk)
    tasks: list[Task] = []
    try:
        for nth, number in enumerate(numbers, 1):
            replay.until(number)
            disks.copy(disk, probe)
            with disks.mounted(probe, place / "mount/rootfs") as root:
                key = disks.digest(root)
                wanted = film.wanted_after(campaign.base, number)
                # Two flushes that are equal for us may differ in what they may serve; that is tried apart.
                groups.setdefault(key + "".join(sorted(wanted)), []).append(number)
                case = f"flushes {film.story}: {nth} of {len(numbers)}"
                is_new = len(groups[key + "".join(sorted(wanted))]) == 1
                if is_new and campaign.is_open(case) and not campaign.is_over:
                    verdict = boot_mount(place, root, Verdict(f"flushes {film.story}", case), wanted)
                    campaign.note(verdict)
                    shown.say(f"{case} [{verdict.seconds:.0f} s]", verdict.fault)
                else:
                    shown.done += 1
            case = f"machines {film.story}: flush {nth} of {len(numbers)}"
            if number in sampled and campaign.is_open(case):
                kept = disks.copy(disk, place / f"flush{nth}.raw")
                tasks.append((case, boot_flush(campaign.base, film, kept, case, wanted)))
    finally:
        replay.close()
        for path in (disk, probe):
            path.unlink(missing_ok=True)
    on_machines(campaign, tasks)


def boot_mount(place: Path, root: Path, verdict: Verdict, wanted: set[str]) -> Verdict:
    begin = time.monotonic()
    try:
        with Booted(place / "booted", root.parent) as machine:
            judge.booted(machine, verdict, wanted)
            if not verdict.found:
                judge.again(machine, verdict)
    except (VmError, OSError) as exc:
        verdict.found.append(f"{type(exc).__name__}: {exc}")
    verdict.seconds = round(time.monotonic() - begin, 1)
    return verdict


def boot_flush(base: Base, film: Film, kept: Path, case: str, wanted: set[str]) -> Callable[[Path], Verdict]:
    def attempt(folder: Path) -> Verdict:
        folder.mkdir(parents=True, exist_ok=True)
        disk = overlay(kept, folder / "disk.qcow2", "raw")
        verdict = boot_vm(base, disk, folder, Verdict(f"machines {film.story}", case), wanted)
        kept.unlink()
        return verdict

    return attempt


def rows(campaign: Campaign) -> list[Row]:
    """Sum up what was tried."""
    found = [Row("cases that were planned and not tried", len(campaign.verdicts), len(campaign.left))]
    if "steps" in campaign.options.only:
        cut = {point.step for film in campaign.films.values() for point in film.points}
        missing = [step for step in schemas.STEPS if step not in cut and step != "preflight"]
        found.append(Row(f"steps not cut {' '.join(missing)}".strip(), len(schemas.STEPS) - 1, len(missing)))
    for part, what in (("steps", "cut at a step"), ("flushes", "nspawn from a flush"), ("machines", "VM from a flush")):
        if ("flushes" if part == "machines" else part) not in campaign.options.only:
            continue
        for story in STORIES:
            found += judged(campaign.of(f"{part} {story}"), f"{story}: {what}")
    if "faults" in campaign.options.only:
        for verdict in campaign.of("faults"):
            found.append(Row(verdict.case, 1, len(verdict.found)))
    for story, groups in campaign.groups.items():
        found.append(Row(f"{story}: flushes replayed", sum(map(len, groups.values())), len(groups), None, "differ"))
    return found


def judged(tried: Sequence[Verdict], what: str) -> list[Row]:
    longest = max((verdict.seconds for verdict in tried), default=0.0)
    return [
        Row(f"{what}: faults", len(tried), sum(bool(verdict.found) for verdict in tried)),
        Row(f"{what}: longest", len(tried), longest, None, "s"),
    ]


def facts(campaign: Campaign) -> dict[str, str]:
    served = Counter(verdict.release for verdict in campaign.verdicts.values())
    names = {campaign.base.old: "old", campaign.base.new: "new"}
    return {
        "cores": str(os.cpu_count()),
        "load at the end": f"{os.getloadavg()[0]:.1f}",
        "kernel of this host": platform.release(),
        "virtual machines": f"{campaign.options.machines}, {'KVM' if campaign.base.kvm else 'emulated'}, Debian 12",
        "served in the end": ", ".join(f"{names[name]} {count}" for name, count in served.items() if name in names),
        "seconds of all boots": f"{sum(verdict.seconds for verdict in campaign.verdicts.values()):.0f}",
    }


def main(argv: Sequence[str]) -> int:
    options = read_options(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if options.fresh:
        RECORD.unlink(missing_ok=True)
    campaign = Campaign(options, prepare())
    campaign.load()
    if {"steps", "flushes"} & set(options.only):
        campaign.films = {story: cuts.film(campaign.base, story) for story in STORIES}
    if "steps" in options.only:
        on_machines(campaign, list(steps(campaign)))
    if "flushes" in options.only:
        for film in campaign.films.values():
            flushes(campaign, film)
    if "faults" in options.only:
        on_machines(campaign, list(met(campaign)))
    table = rows(campaign)
    told = [f"{verdict.case}: {verdict.fault}" for verdict in campaign.verdicts.values() if verdict.found]
    code = report.close(table, told)
    if not options.case and not campaign.left:
        report.write(PAGE, TITLE, INTRODUCTION, HEADING, report.section(table, facts(campaign), WORDS))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
