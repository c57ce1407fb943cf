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
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from ...plugins.module_utils._core import schemas
from ...plugins.module_utils._release import tool
from ...tools import bootstrap
from ..rig import Rig
from . import control, kills, report, stories
from .allowance import Allowance
from .bench import Bench, Story, Verdict
from .control import Control
from .kills import Kill
from .report import Progress, Row

PAGE = bootstrap.ROOT / "docs/benchmarks/crash.md"
RECORD = bootstrap.CACHE / "campaigns/crash.jsonl"
HOSTS = 2
NAMES = (*stories.NAMES, *control.NAMES)
#: The lease up to the commit covers the longest start and migration that are allowed, and a minute.
SHORT = {"app_release_start_timeout": 10, "app_release_task_timeout": 10, "app_release_health_stay_up": 0}
TITLE = "Killed on the way"
INTRODUCTION = """\
Made by `make campaign-crash`, which ends with 1 when a bar is missed. A client asks 20 times a second through nginx all
the time. After each kill: what serves is the old or the new release, whole. In the end one release is live, whole, and
nothing is left of another: no units, sockets, folders, half-written files or journal; the ledger's chain holds. Nothing
is cleaned by hand."""
ON_HOST = """\
The module is killed at each effect: at what others can see, which is a file that gets or loses its name below our
folders, and a program that is run. A run without a kill names them all, by audit events of Python, so the code has no
hooks for it. The kill comes before the effect (the new file stands beside, without its name) and, for systemctl where
it waits for what it began, also while it runs. A line of code with more than three effects in one step is a loop: its
first, middle and last turn are hit. Then the next run, a reboot or the host alone (dead man's switch, timers) sets it
right, in turns. `hold` stops the old release before it starts the new one; requests wait."""
FROM_CONTROL = """\
ansible-playbook is killed with all that it started, when each task begins and in the middle of those that take longer
than 0.6 s; every other time the SSH connections end too. Then the next run comes at once, or when the hosts are at
rest, in turns; all hosts have to end in the same release."""


@dataclass(frozen=True)
class Options:
    """The command line."""

    only: tuple[str, ...]
    minutes: float
    fresh: bool
    brief: bool
    carry: bool
    table: bool
    kill: str


def read_options(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="make campaign-crash", description=__doc__)
    parser.add_argument("--only", action="append", default=[], choices=NAMES, help="a story; again for more of them")
    parser.add_argument("--minutes", type=float, default=0, help="end after so long; the next call goes on (0: never)")
    parser.add_argument("--table", action="store_true", help="only sum up what was tried, without any machine")
    parser.add_argument("--fresh", action="store_true", help="forget what was tried before")
    parser.add_argument("--brief", action="store_true", help="one kill a step, and no page")
    parser.add_argument(
        "--carry", action="store_true", help="let count what was tried on earlier code; the page says so"
    )
    parser.add_argument(
        "--kill", default="", help="only kills whose line contains this text, tried or not; and no page"
    )
    given = parser.parse_args(argv)
    only = tuple(given.only) or NAMES
    return Options(only, given.minutes, given.fresh, given.brief, given.carry, given.table, given.kill)


@dataclass
class Campaign:
    """What is to be tried and what came of it."""

    options: Options
    digest: str = ""
    digests: set[str] = field(default_factory=set)
    allowance: Allowance = field(init=False)
    known: dict[str, list[Kill]] = field(default_factory=dict)
    plans: dict[str, list[Kill]] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.allowance = Allowance(self.options.minutes)

    def add(self, name: str, make: Callable[[], list[Kill]]) -> None:
        """Take the plan of a story from the record, or make it by a run without a kill."""
        plan = self.known.get(name) or make()
        with self.lock:
            if name not in self.known:
                self.write({"plan": [asdict(kill) for kill in plan], "name": name})
            self.plans[name] = kills.brief(plan) if self.options.brief and name in stories.NAMES else plan
        print(f"{name}: {len(self.plans[name])} kills", flush=True)

    def open(self, names: Sequence[str]) -> list[Kill]:
        """Return what was not tried yet."""
        wanted = [kill for name in names for kill in self.plans.get(name, []) if self.options.kill in str(kill)]
        return [kill for kill in wanted if str(kill) not in self.verdicts]

    def load(self, digest: str) -> None:
        """Take what an earlier run tried on this very code; a kill that came too late is tried again."""
        self.digest = digest
        if self.options.kill or not RECORD.exists():
            return
        for line in RECORD.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            if "plan" in told and (told["digest"] == digest or self.options.table):
                self.known[told["name"]] = [Kill(**kill) for kill in told["plan"]]
            elif "verdict" in told and told["verdict"]["reached"] and (told["digest"] == digest or self.options.carry):
                self.digests.add(told["digest"])
                kill = Kill(**told["verdict"].pop("kill"))
                self.verdicts[str(kill)] = Verdict(kill, **told["verdict"])

    def note(self, verdict: Verdict, shown: Progress) -> None:
        with self.lock:
            self.digests.add(self.digest)
            self.verdicts[str(verdict.kill)] = verdict
            self.write({"verdict": asdict(verdict)})
            fault = verdict.fault if verdict.reached else "not reached"
            shown.say(f"{str(verdict.kill)[:100]}, {verdict.seconds:.1f} s", fault)

    def write(self, told: Mapping[str, Any]) -> None:
        RECORD.parent.mkdir(parents=True, exist_ok=True)
        with RECORD.open("a", encoding="utf-8") as record:
            record.write(json.dumps({"digest": self.digest, **told}) + "\n")

    def of(self, names: Sequence[str]) -> list[Verdict]:
        """Return what was tried of the plans of now."""
        known = {str(kill) for name in names for kill in self.plans.get(name, [])}
        return [verdict for line, verdict in self.verdicts.items() if line in known]


def host_plan(bench: Bench, story: Story) -> list[Kill]:
    return kills.plan(story.name, bench.effects(story))


def work(campaign: Campaign, bench: Bench, told: Mapping[str, Story], todo: queue.Queue[Kill], shown: Progress) -> None:
    """Take kills until there are none, or the time is over."""
    while not campaign.allowance.is_over():
        try:
            kill = todo.get_nowait()
        except queue.Empty:
            return
        campaign.note(tried(kill, partial(bench.attempt, told[kill.story])), shown)


def tried(kill: Kill, attempt: Callable[[Kill], Verdict]) -> Verdict:
    """Return the verdict on a kill; a host that can't be asked any more has one too."""
    try:
        return attempt(kill)
    except (RuntimeError, OSError, subprocess.SubprocessError) as exc:
        return Verdict(kill, reached=True, ending=[f"{type(exc).__name__}: {' '.join(str(exc).split())[-400:]}"])


def on_hosts(campaign: Campaign, benches: Sequence[Bench], told: Sequence[Mapping[str, Story]]) -> None:
    """Kill the module, on all machines at once."""
    names = [name for name in campaign.options.only if name in stories.NAMES]
    free: queue.Queue[int] = queue.Queue()
    for number in range(len(benches)):
        free.put(number)

    def plan(name: str) -> None:
        number = free.get()
        try:
            campaign.add(name, partial(host_plan, benches[number], told[number][name]))
        finally:
            free.put(number)

    with ThreadPoolExecutor(len(benches)) as pool:
        list(pool.map(plan, names))
    todo: queue.Queue[Kill] = queue.Queue()
    for kill in kills.spread(campaign.open(names)):
        todo.put(kill)
    shown = Progress(todo.qsize())
    with ThreadPoolExecutor(len(benches)) as pool:
        runs = [
            pool.submit(work, campaign, bench, each, todo, shown) for bench, each in zip(benches, told, strict=True)
        ]
    for run in runs:
        run.result()


def from_control(campaign: Campaign, rig: Rig, benches: Sequence[Bench], told: Sequence[Mapping[str, Story]]) -> None:
    """Kill the control node."""
    node = Control(rig, benches, [each["release"] for each in told])
    for name in control.NAMES:
        if name not in campaign.options.only or campaign.allowance.is_over():
            continue
        campaign.add(name, partial(node.plan, name))
        todo = campaign.open([name])
        shown = Progress(len(todo))
        for kill in todo:
            if campaign.allowance.is_over():
                return
            campaign.note(tried(kill, node.attempt), shown)


def rows(campaign: Campaign, names: Sequence[str]) -> list[Row]:
    """Sum up what was tried of some stories."""
    hit = [each for each in campaign.of(names) if each.reached]
    planned = sum(len(campaign.plans.get(name, [])) for name in names)
    found = [
        Row("kills planned and not made", planned, planned - len(hit)),
        Row("requests failed", sum(each.asked for each in hit), sum(each.failed for each in hit)),
        Row("right after a kill: not one whole release", len(hit), sum(bool(each.serving) for each in hit)),
        Row("in the end: not one whole release", len(hit), sum(bool(each.ending) for each in hit)),
    ]
    if set(stories.NAMES) <= set(names):
        left = kills.missing(schemas.STEPS, [each.kill for each in hit])
        found.insert(1, Row(f"steps not hit {' '.join(left)}".strip(), len(schemas.STEPS), len(left)))
    for name in names:
        of = [each for each in hit if each.kill.story == name]
        found.append(Row(f"{name}: kills with a fault", len(of), sum(bool(each.fault) for each in of)))
    for name in sorted({each.way for each in hit}):
        longest = max(each.seconds for each in hit if each.way == name)
        found.append(Row(f"until all is right again, {name}: longest", len(hit), longest, None, "s"))
    return found


def facts(campaign: Campaign, names: Sequence[str]) -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "load at the end": f"{os.getloadavg()[0]:.1f}",
        "kernel, machines": f"{platform.release()}, {HOSTS} of systemd-nspawn, Debian 12",
        "code on the host": ", ".join(sorted(campaign.digests)),
        "minutes of kills": f"{sum(each.seconds for each in campaign.of(names)) / 60:.0f}",
    }


def close(campaign: Campaign) -> int:
    """Print the tables, write the sections whose stories are all there, return the exit code."""
    codes = []
    for heading, words, known in (
        ("The module on the host", ON_HOST, stories.NAMES),
        ("The control node", FROM_CONTROL, tuple(control.NAMES)),
    ):
        names = [name for name in known if name in campaign.options.only]
        if not names:
            continue
        table = rows(campaign, names)
        faults = [f"{each.kill}: {each.fault}" for each in campaign.of(names) if each.reached and each.fault]
        codes.append(report.close(table, faults))
        whole = not campaign.options.brief and not campaign.options.kill and set(names) == set(known)
        if whole and all(name in campaign.plans for name in names):
            report.write(PAGE, TITLE, INTRODUCTION, heading, report.section(table, facts(campaign, names), words))
    return max(codes, default=1)


def main(argv: Sequence[str]) -> int:
    campaign = Campaign(read_options(argv))
    signal.signal(signal.SIGTERM, campaign.allowance.stop)
    if campaign.options.fresh:
        RECORD.unlink(missing_ok=True)
    if campaign.options.table:
        campaign.load(tool.pack(str(bootstrap.ROOT / "plugins/module_utils"))[0])
        campaign.plans = {name: plan for name, plan in campaign.known.items() if name in campaign.options.only}
        return close(campaign)
    with Rig("crash", hosts=HOSTS, settings=SHORT) as rig:
        rig.publish("v1", "v2")
        benches = [Bench(rig, host) for host in rig.hosts]
        campaign.load(benches[0].driver.digest)
        with ThreadPoolExecutor(len(benches)) as pool:
            told = list(pool.map(stories.prepare, benches))
        on_hosts(campaign, benches, told)
        from_control(campaign, rig, benches, told)
    return close(campaign)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
