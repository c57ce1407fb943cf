# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make campaign-crash`: kill -9 at every effect of the module on the host, and of the control node at every task.

A first run without a kill names the effects and tasks; then each is hit in turn, while a client asks through nginx.
What was tried stands in .cache/campaigns/crash.jsonl until the code changes, so a run that was ended goes on there.
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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

from ...plugins.module_utils._core import schemas
from ...tools import bootstrap
from ..rig import Rig
from . import kills, report, stories
from .bench import Bench, Story, Verdict
from .kills import Kill
from .report import Progress, Row

PAGE = bootstrap.ROOT / "docs/benchmarks/crash.md"
RECORD = bootstrap.CACHE / "campaigns/crash.jsonl"
#: The lease up to the commit covers the longest start and migration that are allowed, and a minute.
SHORT = {"app_release_start_timeout": 10, "app_release_task_timeout": 10, "app_release_health_stay_up": 0}
TITLE = "Killed on the way"
HEADING = "The module on the host"
INTRODUCTION = """\
Made by `make campaign-crash`, which ends with 1 when a bar is missed. A client asks 20 times a second through nginx all
the time. After each kill: what serves is the old or the new release, whole; then the next run, the next boot or nobody
at all sets the host right, in turns, and it has to end in one whole release with nothing left of another: no units,
sockets, folders, half-written files or journal; the ledger's chain is whole. Nothing is cleaned by hand."""
WORDS = """\
An effect is what others can see: a file opened for writing, renamed, linked or removed below our folders, a program
that is run. A run without a kill names them all; then the process is killed before each of them and, for a program that
changes something, also while it runs. A line of code with more than six effects in one step is a loop: its first,
middle and last turn are hit."""


@dataclass(frozen=True)
class Options:
    """The command line."""

    only: tuple[str, ...]
    minutes: float
    fresh: bool
    brief: bool
    hosts: int
    kill: str
    carry: bool


def read_options(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="make campaign-crash", description=__doc__)
    parser.add_argument("--only", action="append", default=[], choices=stories.NAMES, help="a story, again for more")
    parser.add_argument("--minutes", type=float, default=0, help="end after so long; the next call goes on (0: never)")
    parser.add_argument("--fresh", action="store_true", help="forget what was tried before")
    parser.add_argument("--brief", action="store_true", help="one kill a step, and no page")
    parser.add_argument("--hosts", type=int, default=2, help="machines beside each other (%(default)s)")
    parser.add_argument("--kill", default="", help="only the kills whose line contains this text")
    parser.add_argument(
        "--carry", action="store_true", help="let count what was tried on earlier code; the page says so"
    )
    given = parser.parse_args(argv)
    only = tuple(given.only) or stories.NAMES
    return Options(only, given.minutes, given.fresh, given.brief, given.hosts, given.kill, given.carry)


@dataclass
class Campaign:
    """What is to be tried and what came of it."""

    options: Options
    digest: str = ""
    digests: set[str] = field(default_factory=set)
    begin: float = field(default_factory=time.monotonic)
    plans: dict[str, list[Kill]] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_over(self) -> bool:
        return 0 < self.options.minutes * 60 < time.monotonic() - self.begin

    @property
    def open(self) -> list[Kill]:
        """Return what was not tried yet."""
        wanted = [kill for plan in self.plans.values() for kill in plan if self.options.kill in str(kill)]
        return [kill for kill in wanted if str(kill) not in self.verdicts]

    def load(self) -> None:
        """Take what an earlier run tried on this very code."""
        if self.options.fresh or self.options.kill or not RECORD.exists():
            return
        for line in RECORD.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            if told["digest"] == self.digest or self.options.carry:
                self.digests.add(told["digest"])
                kill = Kill(**told["verdict"].pop("kill"))
                self.verdicts[str(kill)] = Verdict(kill, **told["verdict"])

    def note(self, verdict: Verdict) -> None:
        with self.lock:
            self.digests.add(self.digest)
            self.verdicts[str(verdict.kill)] = verdict
            RECORD.parent.mkdir(parents=True, exist_ok=True)
            with RECORD.open("a", encoding="utf-8") as record:
                record.write(json.dumps({"digest": self.digest, "verdict": asdict(verdict)}) + "\n")


def plan(campaign: Campaign, bench: Bench, told: Mapping[str, Story]) -> None:
    """Run each story without a kill and list what can be hit in it."""
    for name in campaign.options.only:
        effects = bench.effects(told[name])
        each = kills.plan(name, effects)
        campaign.plans[name] = kills.brief(each) if campaign.options.brief else each
        print(f"{name}: {len(effects)} effects, {len(campaign.plans[name])} kills", flush=True)


def work(campaign: Campaign, bench: Bench, told: Mapping[str, Story], todo: queue.Queue[Kill], shown: Progress) -> None:
    """Take kills until there are none, or the time is over."""
    while not campaign.is_over:
        try:
            kill = todo.get_nowait()
        except queue.Empty:
            return
        verdict = bench.attempt(told[kill.story], kill)
        campaign.note(verdict)
        with campaign.lock:
            shown.say(
                f"{str(kill)[:100]}, {verdict.seconds:.1f} s", verdict.fault if verdict.reached else "not reached"
            )


def on_hosts(campaign: Campaign) -> None:
    """Make the machines and try everything on them."""
    with Rig("crash", hosts=campaign.options.hosts, settings=SHORT) as rig:
        rig.publish("v1", "v2")
        benches = [Bench(rig, host) for host in rig.hosts]
        told = [stories.prepare(bench) for bench in benches]
        campaign.digest = benches[0].driver.digest
        campaign.load()
        plan(campaign, benches[0], told[0])
        todo: queue.Queue[Kill] = queue.Queue()
        for kill in campaign.open:
            todo.put(kill)
        shown = Progress(todo.qsize())
        with ThreadPoolExecutor(len(benches)) as pool:
            runs = [
                pool.submit(work, campaign, bench, each, todo, shown) for bench, each in zip(benches, told, strict=True)
            ]
        for run in runs:
            run.result()


def rows(campaign: Campaign) -> list[Row]:
    """Sum up what was tried."""
    tried = [each for each in campaign.verdicts.values() if each.kill.story in campaign.options.only]
    hit = [each for each in tried if each.reached]
    whole = [
        Row("effects planned, not tried or not reached", len(tried), len(campaign.open) + len(tried) - len(hit)),
        Row("requests failed", sum(each.asked for each in hit), sum(each.failed for each in hit)),
        Row("right after a kill: not one whole release", len(hit), sum(bool(each.serving) for each in hit)),
        Row("in the end: not one whole release", len(hit), sum(bool(each.ending) for each in hit)),
    ]
    if set(campaign.options.only) == set(stories.NAMES):
        left = kills.missing(schemas.STEPS, [each.kill for each in hit])
        whole.insert(1, Row(f"steps not hit {' '.join(left)}".strip(), len(schemas.STEPS), len(left)))
    for name in campaign.options.only:
        of = [each for each in hit if each.kill.story == name]
        whole.append(Row(f"{name}: kills with a fault", len(of), sum(bool(each.fault) for each in of)))
    for name in kills.WAYS:
        of = [each for each in hit if each.way == name]
        whole.append(
            Row(f"set right by {name}: longest", len(of), max((each.seconds for each in of), default=0), None, "s")
        )
    return whole


def facts(campaign: Campaign) -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "load at the end": f"{os.getloadavg()[0]:.1f}",
        "kernel, machines": f"{platform.release()}, {campaign.options.hosts} of systemd-nspawn, Debian 12",
        "code on the host": ", ".join(sorted(campaign.digests)),
        "seconds": f"{sum(each.seconds for each in campaign.verdicts.values()):.0f}",
    }


def main(argv: Sequence[str]) -> int:
    options = read_options(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if options.fresh:
        RECORD.unlink(missing_ok=True)
    campaign = Campaign(options)
    on_hosts(campaign)
    table = rows(campaign)
    faults = [f"{each.kill}: {each.fault}" for each in campaign.verdicts.values() if each.reached and each.fault]
    code = report.close(table, faults)
    if not options.brief and not options.kill and not campaign.open:
        report.write(PAGE, TITLE, INTRODUCTION, HEADING, report.section(table, facts(campaign), WORDS))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
