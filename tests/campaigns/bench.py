# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host on which runs are killed: its stories, its saved states, and the verdict on each kill."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..rig import APP, Host, Load, Rig, summary
from ..rig.driver import PLACE, Driver
from .kills import Effect, Kill

HERE = Path(__file__).resolve().parent
#: Seconds within which a host is as one release leaves it: lease, drain, and the ends of processes.
SETTLE = 40
#: Seconds in which a timer of the host has to do what it was armed for.
TIMER = 30
RATE = 20
#: What steers each run: short waits, so that what is measured is not waiting.
OPTIONS: dict[str, Any] = {"drain": 1, "lock_wait": 120, "watch": 0, "confirm_timeout": 3}

Call = dict[str, Any]


@dataclass(frozen=True)
class Story:
    """Something that is done to a host and killed on the way.

    `saved` is the state that it starts from, `before` runs unharmed, `calls` are killed; with `timer` it is what the
    host itself does then that is killed. `again` is the next run. `held`: requests wait at a socket that may be taken
    away, so the proxy has the backup server of the documented example.
    """

    name: str
    saved: str
    old: str
    new: str
    before: Sequence[Call]
    calls: Sequence[Call]
    again: Sequence[Call]
    timer: bool = False
    held: bool = False


@dataclass
class Verdict:
    """What became of one kill."""

    kill: Kill
    reached: bool
    asked: int = 0
    failed: int = 0
    way: str = ""
    release: str = ""
    seconds: float = 0.0
    serving: list[str] = field(default_factory=list)
    ending: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def fault(self) -> str:
        told = [*self.serving, *self.ending]
        return "; ".join([*([f"{self.failed} failed requests {self.reasons}"] if self.failed else []), *told])

    def count(self, *loads: Load) -> None:
        """Take what clients saw."""
        seen = [summary(load.samples) for load in loads]
        self.asked, self.failed = sum(each.count for each in seen), sum(each.failed for each in seen)
        self.reasons = dict(sum((Counter(each.reasons) for each in seen), Counter()))


class Bench:
    """One host with the engine beside its tool, and the scripts that kill and look."""

    def __init__(self, rig: Rig, host: Host) -> None:
        self.host, self.driver, self.backup = host, Driver(rig, host), False
        for script in ("killer", "look", "switch"):
            host.put((HERE / f"host/{script}.py").read_bytes(), f"{PLACE}/{script}.py")

    def proxy(self, backup: bool) -> None:
        if backup != self.backup:
            self.host.proxy(backup=backup)
            self.backup = backup

    def look(self, verb: str, *words: str) -> dict[str, Any]:
        """Ask look.py on the host."""
        line = " ".join(["python3", f"{PLACE}/look.py", APP, verb, *words])
        return dict(json.loads(self.host.sh(line).stdout.splitlines()[-1]))

    def call(self, tag: str, state: str, **options: Any) -> Call:
        """Return a request."""
        return self.driver.request(tag, state, **{**OPTIONS, **options})

    def run(self, calls: Sequence[Call], run: str, kill: Kill | None = None) -> dict[str, Any]:
        """Make requests of one run, or kill it on the way; returns what killer.py told."""
        done = self.host.sh(
            f"cat > {PLACE}/job.json; exec python3 -I {PLACE}/killer.py {PLACE}/job.json",
            stdin=json.dumps(self.job(calls, run, kill)).encode(),
            check=False,
        )
        if not done.stdout:
            raise RuntimeError(f"killer.py told nothing: {done.stderr}")
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def job(self, calls: Sequence[Call], run: str, kill: Kill | None) -> dict[str, Any]:
        rooms = f"{PLACE}/rooms/{self.driver.digest}"
        job = {"app": APP, "rooms": rooms, "calls": [{**call, "run": run} for call in calls]}
        return job if kill is None else {**job, "kill": kill.effect, "during": kill.during}

    def succeed(self, calls: Sequence[Call], run: str) -> None:
        """Make requests that have to work."""
        if calls and (why := failed(self.run(calls, run))):
            raise RuntimeError(why)

    def save(self, name: str) -> None:
        """Keep the state of a host that is at rest."""
        if found := self.look("settled", str(SETTLE))["complaints"]:
            raise RuntimeError(f"{name} is not whole: {found}")
        self.look("save", name)

    def restore(self, name: str, *, bare: bool) -> None:
        told = self.look("restore", name, *(["bare"] if bare else []))
        if told["complaints"] or not told["answer"].startswith("200"):
            raise RuntimeError(f"{name} does not come back: {told}")

    def effects(self, story: Story) -> list[Effect]:
        """Run a story to its end and return what it does."""
        self.restore(story.saved, bare=True)
        told = self.perform(story, None)
        if why := failed(told):
            raise RuntimeError(f"{story.name} fails without a kill: {why}")
        return [Effect(**each) for each in told["effects"]]

    def perform(self, story: Story, kill: Kill | None) -> dict[str, Any]:
        """Do what is watched, by ourselves or by the host's own timer."""
        run = run_id()
        if not story.timer:
            self.succeed(story.before, run)
            return self.run(story.calls, run, kill)
        job = json.dumps({**self.job([], run, kill), "out": f"{PLACE}/told.json"})
        self.host.sh(f"rm -f {PLACE}/told.json; cat > {PLACE}/armed.json", stdin=job.encode())
        self.succeed(story.before, run)
        wait = f"for n in $(seq {TIMER * 10}); do test -s {PLACE}/told.json && break; sleep 0.1; done"
        told = self.host.sh(f"{wait}; cat {PLACE}/told.json", check=False).stdout
        return dict(json.loads(told.splitlines()[-1])) if told else {"missing": "the timer did not come"}

    def attempt(self, story: Story, kill: Kill) -> Verdict:
        """Kill once; look at what is live, let it be set right, and look again."""
        self.restore(story.saved, bare=kill.step == "unpack")
        self.proxy(story.held)
        begin = time.monotonic()
        with Load(self.host.address, rate=RATE) as load:
            told = self.perform(story, kill)
            verdict = Verdict(kill, "killed" in told)
            if verdict.reached:
                time.sleep(0.1 if kill.during else 0)
                now = self.look("serving")
                verdict.serving = [] if now["held"] else serving(story, now)
                verdict.way = way(kill, now)
                if verdict.way == "boot":
                    load.stop()
                verdict.ending, verdict.release = self.set_right(story, verdict.way, now)
        verdict.count(load)
        verdict.seconds = round(time.monotonic() - begin, 2)
        return verdict

    def set_right(self, story: Story, how: str, now: Mapping[str, Any]) -> tuple[list[str], str]:
        """Go one of the ways on; return what is wrong then, and the release that is live."""
        found: list[str] = []
        if how == "next" and (why := failed(self.run(story.again, run_id()))):
            found.append(f"the next run fails: {why}")
        if how == "alone" and not now["rests"]:
            # Its lease covers the longest start that is allowed; what its timer will do is brought forward.
            self.host.sh(f"systemctl start --no-block containerless-{APP}-deadman.service", check=False)
        if how == "boot":
            found += [f"boot: {each}" for each in self.look("reboot")["complaints"]]
        end = self.look("settled", str(SETTLE))
        wanted = [story.new] if how == "next" or now["good"] == story.new else [story.old, story.new]
        if end["release"] not in wanted:
            found.append(f"{end['release']} is live and not {' or '.join(wanted)}")
        return [*found, *end["complaints"]], end["release"]


def serving(story: Story, now: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with what serves right after a kill."""
    known = {f"200 {story.old}", f"200 {story.new}"}
    strange = [] if now["answer"] in known else [f"right after the kill: {now['answer']}"]
    return [*strange, *(f"right after the kill: {each}" for each in now["complaints"])]


def way(kill: Kill, now: Mapping[str, Any]) -> str:
    """Return the way on; where no switch is armed, a host that is left alone keeps what it has: the next run comes."""
    acts = "-drain-" if kill.story == "drain" else "-deadman."
    return "next" if kill.way == "alone" and not any(acts in unit for unit in now["timers"]) else kill.way


def failed(told: Mapping[str, Any]) -> str:
    if "results" not in told:
        return f"no result: {told}"
    return next((str(each["failed"]) for each in told["results"] if "failed" in each), "")


def run_id() -> str:
    return f"{time.monotonic_ns():012x}"[-12:]
