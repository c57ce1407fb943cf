# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the checks of this repository, every one of them, and adds up what passed: `tools/run python tools/check.py`."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
LOGS = CACHE / "logs"
OURS = CACHE / "collections/ansible_collections/containerless/django"
# A stage that hangs must not take the others' answers with it.
LONGEST_STAGE_SECONDS = 1800
LINES_OF_A_FAILURE = 60
LONGEST_LINE = 200
# What a person waits for while Molecule runs: its steps, the plays, and what is installed on this host.
SHOWN = re.compile(r"\[\S+ > (?P<step>\w+)\] Executing$|^(?P<play>PLAY \[.+\])|(?P<apt>Install with apt: \w.*)\]")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"

    @property
    def good(self) -> bool:
        return self.passed > 0 and self.failed == 0


@dataclass(frozen=True)
class Stage:
    """One command: either itself a check, or a run of pytest whose tests are, or (Molecule) both."""

    name: str
    argv: Sequence[str]
    counts_itself: bool = True
    counts_tests: bool = False
    undo: Sequence[str] = ()
    #: Stages with machines wait most of the time, the others use a processor: two with machines run side by side, two
    #: others never do.
    machines: bool = False
    #: Begins before the others of its kind: one that is still running when all others have ended costs the most.
    long: bool = False

    @property
    def log(self) -> Path:
        return LOGS / f"{self.name.replace(' ', '-')}.log"

    @property
    def junit(self) -> Path:
        return self.log.with_suffix(".xml")


@dataclass(frozen=True)
class Result:
    stage: Stage
    counts: Counts
    seconds: float


def lint_stages() -> list[Stage]:
    folders = ("plugins", "tools", *(f"tests/{name}" for name in ("benchmarks", "campaigns", "fuzz", "rig", "unit")))
    typed = [str(OURS / folder) for folder in folders if (ROOT / folder).is_dir()]
    return [
        Stage("ruff format", ["ruff", "format", "--check", "."]),
        Stage("ruff check", ["ruff", "check", "."]),
        Stage("mypy", ["mypy", *typed]),
        Stage("yamllint", ["yamllint", "--strict", "."]),
        Stage("ansible-lint", ["ansible-lint", "--nocolor"]),
    ]


def units_stages() -> list[Stage]:
    return [Stage("units", ["pytest", "tests/unit"], counts_itself=False, counts_tests=True)]


def units_py39_stages() -> list[Stage]:
    pytest = CACHE / "py39/bin/pytest"
    if not pytest.exists():
        print("units-py39: left out, no Python 3.9 here (ruff still checks the syntax).", flush=True)
        return []
    argv = [str(pytest), "-m", "not exhaustive", "tests/unit/plugins/module_utils"]
    return [Stage("units-py39", argv, counts_itself=False, counts_tests=True)]


def artifact_stages() -> list[Stage]:
    return [Stage("artifact", ["pytest", "tests/integration/artifact"], counts_itself=False, counts_tests=True)]


def apps_stages() -> list[Stage]:
    # What the scenarios wagtail, postgresql and sandbox show as well is left to `make apps`.
    ours = "test_apps and not wagtail and not peer and not named_egress"
    argv = ["pytest", "tests/integration/apps", "--image", "debian13", "-k", ours]
    return [Stage("apps", argv, counts_itself=False, counts_tests=True, machines=True)]


def report_stages() -> list[Stage]:
    return [Stage("report", ["pytest", "tests/integration/report"], counts_itself=False, counts_tests=True)]


def guide_stages() -> list[Stage]:
    argv = ["pytest", "tests/integration/ci"]
    return [Stage("guide", argv, counts_itself=False, counts_tests=True, machines=True)]


def gate_stages() -> list[Stage]:
    argv = ["pytest", "tests/integration/gate"]
    return [Stage("gate", argv, counts_itself=False, counts_tests=True, machines=True)]


def molecule_stages(wanted: Sequence[str] = ()) -> list[Stage]:
    scenarios = wanted or [path.parent.name for path in sorted(ROOT.glob("molecule/*/molecule.yml"))]
    stages = [
        Stage(
            f"molecule {scenario}",
            ["molecule", "test", "--scenario-name", scenario],
            counts_tests=True,
            undo=["molecule", "destroy", "--scenario-name", scenario],
            machines=True,
            long=on_virtual_machine(scenario),
        )
        for scenario in scenarios
    ]
    return stages or [Stage("molecule", ["sh", "-c", "echo no scenario in molecule/; exit 1"])]


def on_virtual_machine(scenario: str) -> bool:
    machines = ROOT / "molecule" / scenario / "machines.yml"
    return machines.is_file() and "backend: qemu" in machines.read_text(encoding="utf-8")


def demo_stages() -> list[Stage]:
    return [Stage("demo", ["python", "tests/demo/demo.py", "--remove"], machines=True)]


KINDS = {
    "lint": lint_stages,
    "units": units_stages,
    "units-py39": units_py39_stages,
    "artifact": artifact_stages,
    "apps": apps_stages,
    "report": report_stages,
    "guide": guide_stages,
    "gate": gate_stages,
    "molecule": molecule_stages,
    "demo": demo_stages,
}


def tests_in(junit: Path) -> Counts:
    """Add up the test suites of a JUnit report; no report means that no test ran."""
    if not junit.is_file():
        return Counts()
    suites = [
        {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
        for suite in ET.parse(junit).getroot().iter("testsuite")  # noqa: S314 - pytest wrote it for us
    ]
    failed = sum(suite["failures"] + suite["errors"] for suite in suites)
    skipped = sum(suite["skipped"] for suite in suites)
    return Counts(sum(suite["tests"] for suite in suites) - failed - skipped, failed, skipped)


def failures_in(junit: Path) -> list[str]:
    """Return each failed test of a JUnit report with the first line of why."""
    if not junit.is_file():
        return []
    cases = ET.parse(junit).getroot().iter("testcase")  # noqa: S314 - pytest wrote it for us
    found = [(case.get("name", ""), why) for case in cases for why in case if why.tag in ("failure", "error")]
    return [f"{name}: {(why.get('message') or '?').splitlines()[0]}" for name, why in found]


def judge(stage: Stage, exit_code: int, tests: Counts) -> Counts:
    """Turn an exit code and a report into counts; a failure that no test owns is the stage's own."""
    counts = tests if stage.counts_tests else Counts()
    nothing_ran = stage.counts_tests and tests.passed + tests.failed == 0
    if exit_code != 0 or nothing_ran:
        return counts + Counts(failed=1) if stage.counts_itself or not counts.failed else counts
    return counts + Counts(passed=1) if stage.counts_itself else counts


def worth_showing(line: str) -> str:
    """Return what a waiting person should see of a line of output; most lines are for the log alone."""
    found = SHOWN.search(ANSI.sub("", line).rstrip())
    return next((text for text in found.groups() if text), "") if found else ""


def closing_table(results: Iterable[Result]) -> str:
    rows = [f"{'stage':<40}{'passed':>8}{'failed':>8}{'seconds':>10}"]
    rows += [f"{r.stage.name:<40}{r.counts.passed:>8}{r.counts.failed:>8}{r.seconds:>10.0f}" for r in results]
    return "\n".join(rows)


def closing_failures(results: Iterable[Result]) -> str:
    """Return what failed, a line each: whoever sees only the end of a run sees this."""
    bad = [result for result in results if not result.counts.good]
    lines = [f"{r.stage.name}: {why}" for r in bad for why in failures_in(r.stage.junit) or ["see its log"]]
    return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 3]}..." for line in lines)


class Queue:
    """Stages that wait; two runners share it."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.waiting = list(stages)
        self.lock = threading.Lock()

    def take(self, machines: bool) -> Stage | None:
        """Return the next stage with machines, or first of all those without; None when all of them were taken."""
        with self.lock:
            wanted = [stage for stage in self.waiting if stage.machines or not machines]
            stage = min(wanted, key=lambda each: (each.machines, not each.long), default=None)
            if stage:
                self.waiting.remove(stage)
            return stage


class Runner:
    """Runs stages one after the other, with machines only or the others first.

    `stop` ends the running one, undoes it and skips the rest.
    """

    def __init__(self, queue: Queue, machines: bool) -> None:
        self.queue = queue
        self.machines = machines
        self.results: list[Result] = []
        self.stopped_by = 0
        self.process: subprocess.Popen[str] | None = None

    def stop(self, number: int) -> None:
        self.stopped_by = number
        self.end_process()

    def run_all(self) -> None:
        while not self.stopped_by and (stage := self.queue.take(self.machines)):
            print(f"[begins] {stage.name}", flush=True)
            self.results.append(self.run(stage))
            report(self.results[-1], self)

    def end_process(self) -> None:
        """End the stage with everything it started: it leads a process group of its own."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)

    def run(self, stage: Stage) -> Result:
        started = time.monotonic()
        stage.junit.unlink(missing_ok=True)
        env = {**os.environ, "PYTEST_ADDOPTS": f"--junitxml={shlex.quote(str(stage.junit))}", "NO_COLOR": "1"}
        with stage.log.open("w", encoding="utf-8") as log:
            exit_code = self.follow(stage, env, log, started)
            counts = judge(stage, exit_code, tests_in(stage.junit))
            if stage.undo and (self.stopped_by or not counts.good):
                print(f"         {stage.name}: undoing: {' '.join(stage.undo)}", flush=True)
                subprocess.run(stage.undo, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=False)
        return Result(stage, counts, time.monotonic() - started)

    def follow(self, stage: Stage, env: dict[str, str], log: IO[str], started: float) -> int:
        """Keep all output in the log and show the steps of a long stage as they begin."""
        with subprocess.Popen(
            stage.argv,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as self.process:
            deadline = threading.Timer(LONGEST_STAGE_SECONDS, self.end_process)
            deadline.start()
            for line in self.process.stdout or ():
                log.write(line)
                log.flush()
                if step := worth_showing(line):
                    print(f"         {stage.name}: {time.monotonic() - started:.0f} s  {step}", flush=True)
            deadline.cancel()
        return self.process.returncode


def report(result: Result, runner: Runner) -> None:
    verdict = "[  ok  ]" if result.counts.good else "[FAILED]"
    print(f"{verdict} {result.stage.name}: {result.counts}, {result.seconds:.0f} s", flush=True)
    if not result.counts.good and not runner.stopped_by:
        lines = result.stage.log.read_text(encoding="utf-8").splitlines()
        print("\n".join(f"        | {line}" for line in lines[-LINES_OF_A_FAILURE:]), flush=True)
        print(f"        whole log: {result.stage.log.relative_to(ROOT)}", flush=True)


def run_lanes(runners: Sequence[Runner]) -> int:
    """Run every lane in a thread of its own; return the signal that stopped them, or 0."""
    stopped_by: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        stopped_by.append(number)
        for runner in runners:
            runner.stop(number)

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    threads = [threading.Thread(target=runner.run_all) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return stopped_by[0] if stopped_by else 0


def plan(words: Sequence[str]) -> list[Stage]:
    """Read `lint units` as kinds of stages; what follows `molecule` names scenarios."""
    if words[:1] == ["molecule"]:
        return molecule_stages(words[1:])
    return [stage for word in words or KINDS for stage in KINDS[word]()]


def main(words: Sequence[str]) -> int:
    unknown = [word for word in words if word not in KINDS]
    if unknown and words[0] != "molecule":
        sys.exit(f"tools/check.py: {unknown[0]} is none of {', '.join(KINDS)}.")
    LOGS.mkdir(parents=True, exist_ok=True)
    stages = plan(words)
    queue = Queue(stages)
    runners = [Runner(queue, machines) for machines in (False, True)]
    print(f"{len(stages)} stages", flush=True)
    stopped_by = run_lanes(runners)
    results = sorted((result for runner in runners for result in runner.results), key=lambda r: stages.index(r.stage))
    total = sum((result.counts for result in results), Counts())
    print(f"\n{closing_table(results)}\n", flush=True)
    if failed := closing_failures(results):
        print(f"{failed}\n", flush=True)
    print(total, flush=True)
    if stopped_by:
        return 128 + stopped_by
    return 0 if total.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
