# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make campaign-interrupted`: Ctrl-C and kill -9 of a test at every task that it executes, and what is left then.

A first run that nobody interrupts names the tasks; then each is hit in turn. What was tried stands in
.cache/campaigns/interrupted.jsonl until the code changes, so a run that was ended goes on there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...plugins.module_utils._machine import names
from ...plugins.module_utils._machine.paths import Cache, default_cache
from ...tools import bootstrap
from ..benchmarks import index
from ..fixtures.history import git
from ..rig import APP, Rig, core
from ..rig.plays import command
from . import leftovers, points, report
from .allowance import Allowance
from .control import Run
from .points import CTRL_C, ENDS, Point, Task
from .report import Progress, Row

PAGE = bootstrap.ROOT / "docs/benchmarks/interrupted.md"
RECORD = bootstrap.CACHE / "campaigns/interrupted.jsonl"
CODE = (
    "plugins",
    "playbooks",
    "roles/app_build",
    "roles/app_machine",
    "roles/app_release",
    "roles/app_sandbox",
    "roles/app_test",
)
ROLE = bootstrap.ROOT / "roles/app_test"
#: Files of the role whose tasks are not among the points, and why: a project's files are written, one at a time and
#: whole; check mode makes nothing.
LEFT_OUT = ("scaffold",)
CHECK_MODE = ("Say what would be tested",)
IMAGE = "debian12"
#: What Python itself leaves of its workers when they are killed: an empty folder.
PYTHONS = "pymp-"
#: Seconds until all has to be gone, beside a lease.
PATIENCE = 120
#: Seconds after which a given host ends an interrupted test: longer than a whole test takes, or one half of level full.
LEASE, LEASE_FULL = 60, 150
#: Seconds after which a person presses Ctrl-C again.
AGAIN = 15
TITLE = "Interrupted tests"
HEADING = "Every task, by Ctrl-C and kill -9"
INTRODUCTION = """\
Made by `make campaign-interrupted`, which ends with 1 when a bar is missed. A test is interrupted at each task that
does something, and in the middle of those that take longer than 0.6 s: by Ctrl-C, which a terminal sends to all of a
job, and by kill -9, in turns of ansible-playbook alone and of its whole process group. Then it is left alone. What is
looked for: folders of machines, their processes, mounts, networks, addresses and control groups; processes of the
run; files in the store and among the reports that are not whole; and on a host that is given the app's folders,
units, user, processes, database, and the lease."""
WAYS = {
    "machines": "the guard of each machine removes it once the playbook has ended, whatever ended it",
    "host, lease": f"a given host ends the test by itself when its lease is over: {LEASE} s, or {LEASE_FULL} s",
    "temporary files": "for the record: Ctrl-C while an artifact is sent leaves the folder that it is sent from",
    "host, next": "the next test of the same artifact, begun at once, passes and leaves nothing",
}


@dataclass(frozen=True)
class Story:
    """A test that is interrupted. `only`: which of its tasks are points, where another story has the others."""

    name: str
    extra: Mapping[str, Any]
    only: Callable[[Sequence[Task]], Sequence[Task]] = lambda seen: seen
    host: bool = False
    playbook: str = "test"
    #: A record is there, and gets its signature.
    again: bool = False
    fails: bool = False


def _upgrade(seen: Sequence[Task]) -> list[Task]:
    """What only level full has: what is live, the overlay, services, and the role's own tasks on the way from there."""
    kept = next(task.number for task in seen if task.name == "variant | Keep what was released")
    own = [task for task in seen if task.role == "app_test"]
    before = ("live |", "overlay |", "services |")
    return [task for task in own if task.number > kept or task.name.startswith(before)]


def _under_load(seen: Sequence[Task]) -> list[Task]:
    """The role's own tasks from the second release onto an empty host to the end of what was released there."""
    own = [task for task in seen if task.role == "app_test"]
    begin = [task.number for task in own if task.name.startswith("fresh | Make room")][1]
    end = [task.number for task in own if task.name.startswith("gone | Take")][1]
    return [task for task in own if begin < task.number <= end]


def _from_failure(seen: Sequence[Task]) -> list[Task]:
    (failed,) = [task.number for task in seen if task.name == "stage | Keep why it failed"]
    return [task for task in seen if task.number >= failed]


DATABASE = f"postgresql://cl-{APP}@/{APP}?host=/run/postgresql"
STORIES = (
    Story("build", {"app_build_ref": "v2"}, playbook="build"),
    Story("machine", {}),
    Story("refused", {"env": {"RIG_FAULT": "import"}, "app_release_health_timeout": 3}, _from_failure, fails=True),
    Story("again", {}, again=True),
    Story("host", {"app_test_hosts": ["rig1"], "app_test_lease": LEASE}, host=True),
    Story(
        "full",
        {
            "app_test_level": "full",
            "app_test_channel": "v2",
            "app_test_services": ["postgresql", "redis"],
            "app_sandbox_bind_read_only": ["/run/postgresql", "/run/redis"],
            "env": {"RIG_DATABASE": DATABASE},
            "app_test_previous_channel": "v1",
        },
        _upgrade,
    ),
    # The client that asks all the time is in no slice of the app: nothing but the end of its test ends it.
    Story(
        "host full",
        {
            "app_test_hosts": ["rig1"],
            "app_test_lease": LEASE_FULL,
            "app_test_level": "full",
            "app_test_channel": "v2",
            "app_test_command": "",
            "app_test_previous_channel": "v1",
        },
        _under_load,
        host=True,
    ),
)


@dataclass
class Verdict:
    """What one interruption left. `seconds`: until it was gone."""

    point: Point
    way: str
    reached: bool = True
    left: list[str] = field(default_factory=list)
    seconds: float = 0
    #: Names in the run's folder for temporary files, but Python's own.
    scratch: list[str] = field(default_factory=list)
    #: How often Ctrl-C was pressed.
    presses: int = 1


class Lane:
    """A source, a store and a host of its own: several tests are interrupted at once and don't meet."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.host, self.folder = rig, rig.hosts[0], rig.folder
        self.source, self.store, self.reports = (self.folder / name for name in ("source", "store", "reports"))
        self.recorded, self.empty, self.scratch = (self.folder / name for name in ("recorded", "empty", "tmp"))
        self.key = self.folder / "key"
        git("clone", "-q", str(core.SOURCE), str(self.source), repo=self.folder)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.machines = Cache(default_cache(os.environ)).project(names.project_of(str(self.source.resolve())))

    def told(self, story: Story) -> dict[str, Any]:
        """Return the variables of a story's test."""
        given = {name: value for name, value in story.extra.items() if name != "env"}
        return {
            "app_src": str(self.source),
            "app_build_store": self.store.as_uri(),
            "app_test_store": self.store.as_uri(),
            "app_test_channel": "v1",
            "app_test_backend": "nspawn",
            "app_test_reports": str(self.reports),
            "app_test_settle": 1,
            "app_release_env": {**core.ENV, **story.extra.get("env", {})},
            **({"app_test_signing_key": str(self.key)} if story.again else {}),
            **given,
        }

    def begin(self, story: Story) -> Run:
        """Begin a build of what is not built yet, or a test of what has no record yet, or of what has one."""
        source = core.store(IMAGE)
        if story.playbook == "build":
            source = self.empty
            source.mkdir(exist_ok=True)
        if story.again:
            source = self.recorded
            if not source.is_dir():
                self.finish(Story("", {}))
                self.store.replace(source)
        self._fill(source, () if story.again else ("records",))
        return self._run(story)

    def _fill(self, source: Path, without: Sequence[str]) -> None:
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.rmtree(self.reports, ignore_errors=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        shutil.copytree(source, self.store, ignore=shutil.ignore_patterns(*without), copy_function=os.link)

    def _run(self, story: Story) -> Run:
        # A shell that runs us in the background has us ignore what Ctrl-C sends.
        argv = command(f"containerless.django.{story.playbook}", self.rig.inventory, self.told(story))
        return Run(["env", "--default-signal=INT", *argv], {"ANSIBLE_NOCOLOR": "1", "TMPDIR": str(self.scratch)})

    def finish(self, story: Story) -> str:
        """Run a test to its end; return what is wrong about it."""
        run = self.begin(story) if not story.name else self._run(story)
        list(run.tasks())
        good = (run.process.returncode != 0) is story.fails
        return "" if good else f"rc {run.process.returncode}: {' '.join(''.join(run.output[-40:]).split())[-800:]}"

    def plan(self, story: Story) -> list[Point]:
        """Run a story without an interruption; return where to interrupt."""
        run = self.begin(story)
        begins = [begin for _number, _name, begin in run.tasks()]
        if (run.process.returncode != 0) is not story.fails:
            raise RuntimeError("".join(run.output[-60:]))
        return points.plan(story.name, story.only(points.tasks(run.output, [*begins, time.monotonic()])))

    def attempt(self, story: Story, point: Point) -> Verdict:
        """Interrupt once; return what is left."""
        way = ("lease", "next")[(point.number + ENDS.index(point.end)) % 2] if story.host else "machines"
        verdict = Verdict(point, way if not story.host else f"host, {way}")
        run = self.begin(story)
        verdict.reached, verdict.presses = self._cut(run, point)
        begin = time.monotonic()
        if way == "next" and (wrong := self.finish(story)):
            verdict.left = [f"the next test fails: {wrong}"]
            return verdict
        deadline = begin + PATIENCE + (story.extra["app_test_lease"] if way == "lease" else 0)
        while (left := self._left(story, run)) and time.monotonic() < deadline:
            time.sleep(0.2)
        verdict.left, verdict.seconds = left, round(time.monotonic() - begin, 1)
        verdict.scratch = sorted(path.name for path in self.scratch.iterdir() if not path.name.startswith(PYTHONS))
        return verdict

    def _left(self, story: Story, run: Run) -> list[str]:
        return [
            *leftovers.on_control(self.machines, run.mark, shared=not story.host),
            *leftovers.half_written(self.store, self.reports, APP),
            *(leftovers.on_host(self.host) if story.host else []),
        ]

    def _cut(self, run: Run, point: Point) -> tuple[bool, int]:
        """Interrupt a run; say whether it was where it was meant to be, and how often it took.

        Ansible itself may take no notice of a Ctrl-C: a person presses again.
        """
        reached = False
        for number, name, _begin in run.tasks():
            if number == point.number:
                reached = point.task.endswith(points.stable(name))
                time.sleep(point.after)
                _end(run.process, point)
                break
        # What it still says is nobody's any more; a pipe that nobody reads would hold up who writes to it.
        threading.Thread(target=list, args=(run.tasks(),), daemon=True).start()
        for presses in range(1, PATIENCE // AGAIN):
            try:
                run.process.wait(AGAIN)
            except subprocess.TimeoutExpired:
                _end(run.process, point)
                continue
            return reached, presses
        raise RuntimeError(f"{point}: still there")


def _end(process: subprocess.Popen[str], point: Point) -> None:
    try:
        if point.end == CTRL_C:
            os.killpg(process.pid, signal.SIGINT)
        elif point.number % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:  # it had just ended
        return


@dataclass
class Campaign:
    """What is to be tried and what came of it."""

    options: argparse.Namespace
    digest: str
    allowance: Allowance
    plans: dict[str, list[Point]] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    digests: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self) -> None:
        """Take what an earlier run tried on this very code."""
        lines = RECORD.read_text(encoding="utf-8").splitlines() if RECORD.exists() else []
        for told in map(json.loads, lines):
            if told["digest"] != self.digest and not self.options.carry:
                continue
            if "plan" in told:
                self.plans[told["name"]] = [Point(**point) for point in told["plan"]]
            else:
                verdict = Verdict(Point(**told["verdict"].pop("point")), **told["verdict"])
                self.verdicts[str(verdict.point)] = verdict
            self.digests.add(told["digest"])

    def write(self, told: Mapping[str, Any]) -> None:
        RECORD.parent.mkdir(parents=True, exist_ok=True)
        self.digests.add(self.digest)
        with RECORD.open("a", encoding="utf-8") as record:
            record.write(json.dumps({"digest": self.digest, **told}) + "\n")

    def open(self) -> list[Point]:
        """Return what was not tried yet."""
        wanted = [point for story in self.stories for point in self.plans.get(story.name, [])]
        return [point for point in wanted if str(point) not in self.verdicts and self.options.point in str(point)]

    @property
    def stories(self) -> list[Story]:
        return [story for story in STORIES if story.name in self.options.only]

    def note(self, verdict: Verdict, shown: Progress) -> None:
        with self.lock:
            self.verdicts[str(verdict.point)] = verdict
            self.write({"verdict": asdict(verdict)})
            fault = "; ".join(verdict.left) if verdict.reached else "not reached"
            shown.say(f"{str(verdict.point)[:100]}, {verdict.seconds:.1f} s", fault)

    def tried(self) -> list[Verdict]:
        """Return what was tried of the plans of now."""
        known = {str(point) for story in self.stories for point in self.plans.get(story.name, [])}
        return [verdict for line, verdict in self.verdicts.items() if line in known]


@contextmanager
def lanes(count: int) -> Iterator[list[Lane]]:
    core.publish(IMAGE, ("v1", "v2"))
    with ExitStack() as stack:
        yield [Lane(stack.enter_context(Rig(f"cut{number}"))) for number in range(count)]


def run(campaign: Campaign) -> None:
    """Try what is open, on all lanes at once, until the time is over."""
    known = {story.name: story for story in STORIES}
    with lanes(campaign.options.lanes) as made:
        for story in campaign.stories:
            if story.name not in campaign.plans:
                campaign.plans[story.name] = made[0].plan(story)
                campaign.write({"plan": [asdict(point) for point in campaign.plans[story.name]], "name": story.name})
            print(f"{story.name}: {len(campaign.plans[story.name])} points", flush=True)
        todo: queue.Queue[Point] = queue.Queue()
        for point in campaign.open():
            todo.put(point)
        shown = Progress(todo.qsize())

        def work(lane: Lane) -> None:
            while not campaign.allowance.is_over():
                try:
                    point = todo.get_nowait()
                except queue.Empty:
                    return
                campaign.note(lane.attempt(known[point.story], point), shown)

        with ThreadPoolExecutor(len(made)) as pool:
            for each in [pool.submit(work, lane) for lane in made]:
                each.result()


def rows(campaign: Campaign) -> list[Row]:
    """Return the bars."""
    tried = [each for each in campaign.tried() if each.reached]
    planned = sum(len(campaign.plans.get(story.name, [])) for story in campaign.stories)
    found = [Row("points planned and not reached", planned, planned - len(tried))]
    if len(campaign.stories) == len(STORIES):
        expected = points.named(ROLE, LEFT_OUT) - set(CHECK_MODE)
        forgotten = points.missing(expected, [each.point for each in tried], "app_test")
        found.append(
            Row(
                f"tasks of the role not hit {'; '.join(forgotten).replace('|', '/')}".strip(),
                len(expected),
                len(forgotten),
            )
        )
    for story in campaign.stories:
        for end in ENDS:
            of = [each for each in tried if (each.point.story, each.point.end) == (story.name, end)]
            found.append(Row(f"{story.name}, {end}: left something", len(of), sum(bool(each.left) for each in of)))
    for end in ENDS:
        of = [each for each in tried if each.point.end == end]
        kept = sum(bool(each.scratch) for each in of)
        found.append(Row(f"{end}: temporary files left in TMPDIR", len(of), kept, None))
    pressed = [each for each in tried if each.point.end == CTRL_C]
    found.append(
        Row("Ctrl-C pressed again, Ansible took no notice", len(pressed), sum(e.presses > 1 for e in pressed), None)
    )
    for way in WAYS:
        of = [each for each in tried if each.way == way]
        if of:
            found.append(
                Row(f"until all is gone, {way}: longest", len(of), max(each.seconds for each in of), None, "s")
            )
    return found


def by_task(campaign: Campaign) -> str:
    """Return a line for each task of each story."""
    lines = [("story", "task", "interrupted", "left over", "longest, s"), ("---", "---", "---:", "---:", "---:")]
    order: dict[tuple[str, str], list[Verdict]] = {}
    for each in sorted(campaign.tried(), key=lambda verdict: (_place(verdict.point.story), verdict.point.number)):
        if each.reached:
            order.setdefault((each.point.story, each.point.task), []).append(each)
    for (story, task), of in order.items():
        left, longest = sum(bool(each.left) for each in of), max(each.seconds for each in of)
        lines.append((story, task.replace("|", "/"), str(len(of)), str(left), f"{longest:.1f}"))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _place(name: str) -> int:
    return [story.name for story in STORIES].index(name)


def write(campaign: Campaign, made: Sequence[Row]) -> None:
    facts = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": str(os.cpu_count()),
        "tests at once": str(campaign.options.lanes),
        "kernel, machines": f"{platform.release()}, systemd-nspawn, Debian 12",
        "code": ", ".join(sorted(campaign.digests)),
    }
    ways = "".join(f"- {name}: {words};\n" for name, words in WAYS.items()).removesuffix(";\n") + ".\n"
    body = "\n".join((f"How it goes:\n\n{ways}", report.section(made, facts), by_task(campaign)))
    report.write(PAGE, TITLE, INTRODUCTION, HEADING, body)
    index.write()


def digest() -> str:
    """Name the code that is interrupted."""
    total = hashlib.sha256()
    for folder in CODE:
        for path in sorted((bootstrap.ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix not in (".pyc", ".md"):
                total.update(path.read_bytes())
    return total.hexdigest()[:12]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make campaign-interrupted", description=__doc__)
    known = [story.name for story in STORIES]
    parser.add_argument("--only", action="append", choices=known, help="a story; again for more of them; and no page")
    parser.add_argument("--point", default="", help="only points whose line contains this text")
    parser.add_argument("--minutes", type=float, default=0, help="end after so long; the next call goes on (0: never)")
    parser.add_argument("--lanes", type=int, default=2, help="how many tests are interrupted at once")
    parser.add_argument("--fresh", action="store_true", help="forget what was tried before")
    parser.add_argument(
        "--carry", action="store_true", help="let count what was tried on earlier code; the page says so"
    )
    parser.add_argument(
        "--table", action="store_true", help="only sum up what was tried, without any machine, and write the page"
    )
    options = parser.parse_args(argv)
    options.only = options.only or known
    campaign = Campaign(options, digest(), Allowance(options.minutes))
    signal.signal(signal.SIGTERM, campaign.allowance.stop)
    if options.fresh:
        RECORD.unlink(missing_ok=True)
    campaign.load()
    if not options.table:
        run(campaign)
    made = rows(campaign)
    if len(campaign.stories) == len(STORIES) and (options.table or not campaign.open()):
        write(campaign, made)
    faults = [f"{each.point}: {'; '.join(each.left)}" for each in campaign.tried() if each.left]
    return report.close(made, faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
