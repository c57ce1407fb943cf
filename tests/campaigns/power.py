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
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from ...plugins.module_utils._core import schemas
from ...plugins.module_utils._machine import processes
from ...tools import bootstrap
from ..benchmarks.table import two_columns
from . import cuts, disks, faults, judge, report
from .allowance import Allowance
from .base import FOLDER, STORIES, Base, prepare
from .boots import Booted
from .cuts import Film, Point
from .judge import Verdict
from .report import Progress, Row
from .vm import VmError
from .writelog import Replay

PAGE = bootstrap.ROOT / "docs/benchmarks/power.md"
RECORD = bootstrap.CACHE / "campaigns/power.jsonl"
#: Parts, and what of each is planned on its own.
PLANNED = {"steps": ["steps"], "faults": ["faults"], "flushes": [f"flushes of the {story}" for story in STORIES]}
PARTS = tuple(PLANNED)
#: After every so many boots the next release has to work too.
AGAIN = 10
#: Room for all disks, most of whose blocks are shared.
ROOM = "40G"
TITLE = "Power cuts"
HEADING = "The power is cut"
SAYS = "What a release says of a fault"
INTRODUCTION = """\
Made by `make campaign-power`, which ends with 1 when a bar is missed. After each cut a machine boots from what is left
of the disk: behind nginx the old or the new release has to serve, whole, and never another one in between; an
unconfirmed release is reverted; the ledger's chain is whole and nothing is left of the other release: no units,
sockets, half-written files or journal. Nothing is cleaned by hand."""
WORDS = """\
The steps: a virtual machine runs a release (and a rollback) and halts after each flushed change of journal, `active`
and ledger. QEMU is frozen there and its disk copied: byte by byte what a SIGKILL leaves, without what QEMU itself had
not flushed. With KVM a virtual machine boots from each copy; without, from those around migration, commit, watch,
confirmation and end, and systemd-nspawn from the others.

The flushes: QEMU's `blklogwrites` logs each write and flush of the same run. The log is replayed onto the disk as it
was before, up to each flush: a disk that lost all that came later. Where everything in our folders is equal after two
flushes (names, modes, owners, contents) one boot stands for both. Each different one is mounted, which replays its
journal, and booted by systemd-nspawn; after every tenth boot the next release has to work too. Virtual machines boot
from the disks around the commit and some others."""

SAYING = """\
Each fault meets a release from v1 to v2 while a client asks ten times a second; no request may fail, what is live
serves until the new release does, and once the fault is over the next run works. An empty line: the release went
through."""


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
    allowance: Allowance = field(init=False)
    films: dict[str, Film] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    #: Parts whose cases are known by now.
    begun: set[str] = field(default_factory=set)
    #: Flushes of a story by the digest of our folders.
    groups: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.allowance = Allowance(self.options.minutes)

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


def on_machines(campaign: Campaign, tasks: Iterator[Task], count: int) -> None:
    """Try cases beside each other, each in the folder of its worker; a task is made when somebody is free for it."""
    shown = Progress(count)

    def work(number: int) -> None:
        while not campaign.allowance.is_over():
            with campaign.lock:
                task = next(tasks, None)
            if task is None:
                return
            verdict = task[1](FOLDER / f"machine{number}")
            campaign.note(verdict)
            with campaign.lock:
                shown.say(f"{verdict.case} [{verdict.seconds:.0f} s]", verdict.fault)

    with ThreadPoolExecutor(campaign.options.machines) as pool:
        for run in [pool.submit(work, number) for number in range(campaign.options.machines)]:
            run.result()


def steps(campaign: Campaign) -> list[Task]:
    """Boot from the disk of each step, and as it was right after `active` and the ledger were written."""
    return [
        (case, partial(boot_point, campaign, film, point, case))
        for film in campaign.films.values()
        for point in film.points
        if point.counts and campaign.is_open(case := f"steps {film.story}: {point.name}")
    ]


def met(campaign: Campaign) -> list[Task]:
    """Let a release meet each fault."""
    return [
        (f"faults: {fault.name}", partial(faults.attempt, campaign.base, fault))
        for fault in faults.FAULTS
        if campaign.is_open(f"faults: {fault.name}")
    ]


def boot_point(campaign: Campaign, film: Film, point: Point, case: str, folder: Path) -> Verdict:
    verdict, wanted = Verdict(f"steps {film.story}", case), {film.wanted(campaign.base, point.number)}
    if campaign.base.kvm or point.is_chosen:
        return boot_vm(campaign, point.disk, folder, verdict, wanted)
    folder.mkdir(parents=True, exist_ok=True)
    raw = disks.flatten(point.disk, folder / "point.raw")
    try:
        return boot_mount(False, raw, folder, verdict, wanted)
    finally:
        raw.unlink()


def boot_vm(campaign: Campaign, disk: Path, folder: Path, verdict: Verdict, wanted: set[str]) -> Verdict:
    begin = time.monotonic()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        layer = disks.overlay(disk, folder / "disk.qcow2", disk.suffix.removeprefix("."))
        # Two machines with two processors each would only wait for each other.
        with campaign.base.boot(layer, folder, cpus=1 if campaign.options.machines > 1 else 2) as vm:
            judge.booted(vm, verdict, wanted)
    except (VmError, OSError) as exc:
        verdict.found.append(f"{type(exc).__name__}: {exc}")
    verdict.seconds = round(time.monotonic() - begin, 1)
    return verdict


def compare(film: Film) -> dict[str, list[int]]:
    """Group the flushes whose disks are equal in our folders and may serve the same; the first stands for all."""
    told = film.log.with_name("groups.json")
    if told.exists():
        return dict(json.loads(told.read_text(encoding="utf-8")))
    numbers, place = cuts.flushes(film), film.log.parent
    shown, groups = Progress(len(numbers)), dict[str, list[int]]()
    with replayed(film) as (replay, disk):
        for number in numbers:
            replay.until(number)
            with disks.readable(disk, place / "mount/rootfs") as root:
                key = f"{disks.digest(root)} {film.may_serve_both(number)}"
            groups.setdefault(key, []).append(number)
            shown.done += 1
            if shown.done % 50 == 0 or shown.done == shown.whole:
                shown.done -= 1
                shown.say(f"{film.story}: flushes compared, {len(groups)} disks differ")
    told.write_text(json.dumps(groups), encoding="utf-8")
    return groups


@contextmanager
def replayed(film: Film) -> Iterator[tuple[Replay, Path]]:
    """A copy of the disk as it was before, and what brings it forward."""
    disk = disks.copy(film.start, film.log.with_name("replayed.raw"))
    replay = Replay(film.log, disk)
    try:
        yield replay, disk
    finally:
        replay.close()
        disk.unlink()


def flushes(campaign: Campaign, film: Film) -> None:
    """Boot one disk of each group, and virtual machines from some."""
    groups = campaign.groups[film.story] = compare(film)
    numbers = cuts.flushes(film)
    nth = {number: place for place, number in enumerate(numbers, 1)}
    booted = {group[0] for group in groups.values()}
    sampled = set(cuts.samples(film, numbers))
    wanted = [
        (number, part, case)
        for number in sorted(booted | sampled)
        for part, chosen in (("flushes", booted), ("machines", sampled))
        if number in chosen and campaign.is_open(case := f"{part} {film.story}: flush {nth[number]} of {len(numbers)}")
    ]

    def tasks() -> Iterator[Task]:
        with replayed(film) as (replay, disk):
            for place, (number, part, case) in enumerate(wanted):
                replay.until(number)
                kept = disks.copy(disk, film.log.with_name(f"{part}{number}.raw"))
                boot = partial(boot_vm, campaign) if part == "machines" else partial(boot_mount, place % AGAIN == 0)
                yield case, partial(boot_flush, boot, kept, case, film.wanted_after(campaign.base, number))

    on_machines(campaign, tasks(), len(wanted))


def boot_flush(boot: Callable[..., Verdict], kept: Path, case: str, wanted: set[str], folder: Path) -> Verdict:
    try:
        return boot(kept, folder, Verdict(case.partition(":")[0], case), wanted)
    finally:
        kept.unlink()


def boot_mount(again: bool, disk: Path, folder: Path, verdict: Verdict, wanted: set[str]) -> Verdict:
    begin = time.monotonic()
    try:
        with disks.mounted(disk, folder / "mount/rootfs") as root, Booted(folder / "booted", root.parent) as machine:
            judge.booted(machine, verdict, wanted)
            if again and not verdict.found:
                judge.again(machine, verdict)
    except (VmError, OSError) as exc:
        verdict.found.append(f"{type(exc).__name__}: {exc}")
    verdict.seconds = round(time.monotonic() - begin, 1)
    return verdict


def rows(campaign: Campaign) -> list[Row]:
    """Sum up what was tried."""
    found = [Row("cases that were planned and not tried", len(campaign.verdicts), len(campaign.left))]
    wanted = [name for part in campaign.options.only for name in PLANNED[part]]
    found += [Row(f"{name}: not begun", 1, 1) for name in wanted if name not in campaign.begun]
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
            found.append(Row(verdict.case.removeprefix("faults: "), 1, len(verdict.found)))
    for story, groups in campaign.groups.items():
        found.append(Row(f"{story}: flushes replayed", sum(map(len, groups.values())), len(groups), None, "differ"))
    return found


def judged(tried: Sequence[Verdict], what: str) -> list[Row]:
    longest = max((verdict.seconds for verdict in tried), default=0.0)
    return [
        Row(f"{what}: faults", len(tried), sum(bool(verdict.found) for verdict in tried)),
        Row(f"{what}: longest", len(tried), longest, None, "s"),
    ]


def said(campaign: Campaign) -> str:
    """Return what each fault made a release say, without the folders of this run."""
    reasons = {verdict.case.removeprefix("faults: "): verdict.said for verdict in campaign.of("faults")}
    short = {name: re.sub(r"\b[0-9a-f]{64}\b", "...", reason).replace("|", "\\|") for name, reason in reasons.items()}
    return f"{SAYING}\n\n{two_columns(('fault', 'what the release says'), short)}"


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
    if os.geteuid():
        sys.exit("make campaign-power mounts disks and makes machines of systemd-nspawn: run it as root.")
    sweep(options.machines)
    disks.keep_mounts()
    with disks.room(FOLDER.with_suffix(".xfs"), FOLDER, ROOM):
        campaign = Campaign(options, prepare())
        signal.signal(signal.SIGTERM, campaign.allowance.stop)
        campaign.load()
        attempt(campaign)
    return close(campaign)


def sweep(machines: int) -> None:
    """End the machines of a run that was killed."""
    workers = [FOLDER / f"machine{number}" for number in range(machines)]
    makers = [FOLDER / "make", *(FOLDER / story / "vm" for story in STORIES)]
    for folder in (*makers, *workers, *(worker / "booted" for worker in workers)):
        processes.end(folder)


def attempt(campaign: Campaign) -> None:
    """Try what was asked for and was not tried yet."""
    options = campaign.options
    if {"steps", "flushes"} & set(options.only):
        campaign.films = {story: cuts.film(campaign.base, story) for story in STORIES}
    if "steps" in options.only:
        campaign.begun.add("steps")
        tasks = steps(campaign)
        on_machines(campaign, iter(tasks), len(tasks))
    if "faults" in options.only:
        campaign.begun.add("faults")
        tasks = met(campaign)
        on_machines(campaign, iter(tasks), len(tasks))
    if "flushes" in options.only:
        for film in campaign.films.values():
            if not campaign.allowance.is_over():
                flushes(campaign, film)
                campaign.begun.add(f"flushes of the {film.story}")


def close(campaign: Campaign) -> int:
    """Print the table and write the page, which says what is still to be tried; return the exit code."""
    table, options = rows(campaign), campaign.options
    told = [f"{verdict.case}: {verdict.fault}" for verdict in campaign.verdicts.values() if verdict.found]
    code = report.close(table, told)
    if not options.case and options.only == PARTS:
        report.write(PAGE, TITLE, INTRODUCTION, HEADING, report.section(table, facts(campaign), WORDS))
        report.write(PAGE, TITLE, INTRODUCTION, SAYS, said(campaign))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
