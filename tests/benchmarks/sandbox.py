# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the sandbox: exposure of each profile, and what strict costs. Ends with 1 when a bar is missed."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from ...plugins.module_utils._core.errors import ContainerlessError
from ...plugins.module_utils._release import exposure
from ...tools import bootstrap
from ..campaigns import report
from ..campaigns.report import Row as Count
from ..rig import APP, Host, Rig
from . import index
from .back import site, status
from .figures import Bar, Row, Sample, compare
from .outcome import Outcome
from .release import Section, circumstances, show
from .timing import Failed, Progress

HERE = Path(__file__).resolve().parent
SCRIPT, PARTS = "/root/bench/on_sandbox.py", "/root/bench/parts.json"
REPORT = bootstrap.ROOT / "docs/benchmarks/sandbox.md"
TITLE = "Figures of the sandbox"
INTRODUCTION = """\
Made by `make bench-sandbox`, which ends with 1 when a bar is missed. Everything runs on one nspawn machine at a time;
what is compared runs in turns. A bar is compared with the ratio of medians; its interval (95 %, bootstrap over pairs)
says how much another run may differ. A load above 1 at the beginning says that other work was under way.
"""
IMAGES = ("debian12", "debian13")
#: Profile, further options, highest figure; `file` is judged as systemd reads it from its files, as 6.6 was measured.
PROFILES: tuple[tuple[str, str, dict[str, Any], float, bool], ...] = (
    ("strict", "strict", {}, 0.2, False),
    ("strict, peers", "strict", {"app_sandbox_egress": ["redis.internal:6379"]}, 0.6, False),
    ("standard", "standard", {}, 1.1, False),
    ("compat", "compat", {}, 1.7, False),
    ("talk2018, files", "talk2018", {}, 6.6, True),
)
PAIRS, REQUESTS = 24, 400
TURNS = 20
NAMES = ("confined", "bare")
#: A page without the database, and one with it.
PATHS = {"/page/": "a page", "/health/": "with SQLite"}
CPU, P99, START = Bar(1.03), Bar(1.25), Bar(1.10)
#: What a start is slowed down by: directives of one kind.
KINDS = {
    "mounts": "ProtectSystem|ProtectHome|PrivateMounts|TemporaryFileSystem|InaccessiblePaths|Bind.*|(No)?ExecPaths"
    "|PrivateTmp|PrivateDevices|PrivateIPC|ProtectProc|ProcSubset|ProtectKernel.*|ProtectControlGroups|ProtectClock|ProtectHostname",
    "filters of calls": "SystemCall.*|Restrict.*|LockPersonality|MemoryDenyWriteExecute",
    "user and network": "PrivateUsers|PrivateNetwork",
    "control group": "IPAddress.*|Device.*|Memory(Max|High|Swap.*)|TasksMax|CPU.*",
}


def figure(host: Host, unit: str, *, file: bool) -> float:
    """Return what systemd counts of a unit, or of the files of one."""
    what = f"--offline=yes /run/systemd/system/{unit}" if file else unit
    said = host.sh(f"systemd-analyze security --no-pager {what}").stdout
    return float(exposure.parse_figure(said)) / 10


def measure_exposure(_quick: bool, progress: Progress, outcome: Outcome) -> None:
    """Release the app in each profile and ask systemd about its web process."""
    for image in IMAGES:
        with Rig("bench-sandbox", image=image) as rig:
            host = rig.publish("v1").hosts[0]
            for name, profile, options, limit, file in PROFILES:
                progress.say(f"{image}: {name}")
                rig.release("v1", app_sandbox_profile=profile, **options).check()
                number = json.loads(host.sh(f"containerless status {APP} --json").stdout)[0]["activation"]
                found = figure(host, f"containerless-{APP}-web@{number}.service", file=file)
                outcome.counts.append(Count(f"{image}, {name}", 1, found, Bar(limit)))
            outcome.facts[image] = host.sh("systemctl --version").stdout.splitlines()[0]


def ask(host: Host, *words: str) -> dict[str, float]:
    """Run a measurement of on_sandbox.py."""
    return dict(json.loads(host.sh(f"python3 {SCRIPT} {' '.join(words)}", timeout=600).stdout))


def _both(host: Host, number: int, verb: str, *words: str) -> list[dict[str, float]]:
    """Return what confined and bare took; every other time in the other order."""
    order = NAMES if number % 2 else NAMES[::-1]
    found = {name: ask(host, verb, name, *words) for name in order}
    return [found[name] for name in NAMES]


def measure_cost(quick: bool, progress: Progress, outcome: Outcome) -> None:
    """Ask and start the same web process in its sandbox and without, in turns; start that of a whole site too."""
    pairs = 4 if quick else PAIRS
    with Rig("bench-sandbox") as rig:
        host = rig.publish("v1").hosts[0]
        rig.release("v1").check()
        prepare(host, APP, "/")
        failed = 0.0
        for path, what in PATHS.items():
            progress.say(f"requests: {what}")
            rounds = [_both(host, number, "ask", str(REQUESTS), path) for number in range(pairs)]
            failed += sum(side["failed"] for each in rounds for side in each)
            for key, bar in (("cpu", CPU), ("p99", P99)):
                mine, theirs = (
                    [Sample(1000 * side[key], side["cpu"]) for side in sides] for sides in zip(*rounds, strict=True)
                )
                label = f"{what}: {'CPU' if key == 'cpu' else 'p99'}, ms"
                outcome.rows.append(compare("a request, strict / bare", label, mine, theirs, by="wall", bar=bar))
        outcome.counts.append(Count("requests failed", 2 * 2 * pairs * REQUESTS, failed))
        progress.say("starts of the rig's app")
        outcome.rows.append(starts(host, "the rig's app, s", "/", pairs))
        progress.say("what a start sets up")
        outcome.facts |= breakdown(host, 4 if quick else TURNS)
    progress.say("a Wagtail site")
    with site() as subject:
        prepare(subject.host, subject.app, subject.path)
        progress.say("starts of a Wagtail site")
        outcome.rows.append(starts(subject.host, "a Wagtail site, s", subject.path, pairs))


def prepare(host: Host, app: str, path: str) -> None:
    """Have both units of an app's live release on its host."""
    host.put(HERE / "on_sandbox.py", SCRIPT)
    host.sh(f"python3 {SCRIPT} prepare {app} {status(host, app)['activation']} {path}")


def starts(host: Host, what: str, path: str, pairs: int) -> Row:
    """Start both, in turns."""
    found = [[side["start"] for side in _both(host, number, "start", path)] for number in range(pairs)]
    mine, theirs = ([Sample(seconds, seconds) for seconds in side] for side in zip(*found, strict=True))
    return compare("a start until it answers, strict / bare", what, mine, theirs, by="wall", bar=START)


def breakdown(host: Host, turns: int) -> dict[str, str]:
    """Return what is set up before a program of the unit runs: all of it, and without each kind of directives."""
    whole = host.sh("cat /run/systemd/system/bench-confined.service.d/50-sandbox.conf").stdout
    parts = {"whole": whole, "bare": "", **{kind: without(whole, pattern) for kind, pattern in KINDS.items()}}
    named = {name.replace(" ", "-"): text for name, text in parts.items()}
    host.put(json.dumps(named).encode(), PARTS)
    said = json.loads(host.sh(f"python3 {SCRIPT} setup {turns}", timeout=600).stdout)
    took = {name: 1000 * statistics.median(said[name.replace(" ", "-")]["whole"]) for name in parts}
    saved = ", ".join(f"{kind} {took['whole'] - took[kind]:.1f}" for kind in KINDS)
    return {
        "a program that does nothing, ms": f"strict {took['whole']:.1f}, bare {took['bare']:.1f}",
        "of that, less without": f"{saved} ms",
    }


def without(text: str, pattern: str) -> str:
    """Return a drop-in without some directives."""
    return "".join(line for line in text.splitlines(keepends=True) if not re.match(f"({pattern})=", line))


SECTIONS = {
    "exposure": Section(
        "Exposure",
        "What `systemd-analyze security` counts of the web process of a release, loaded and running; of talk2018 what"
        " it counts of the files, as the figure of 2018's unit was measured. The figure gates; it proves nothing.",
        measure_exposure,
    ),
    "cost": Section(
        "What strict costs",
        f"The web process (gunicorn, four threads) in its sandbox and without the drop-in, on one Debian 12 machine,"
        f" each with a socket of its own: {REQUESTS} requests one after the other on new connections, by each in turns"
        " and every other time in the other order. CPU is what all threads of the process ran, by the scheduler's own"
        " count. A start is from systemctl to the first answer; the app of the rig is as small as one can be, the site"
        " is what `wagtail start` makes. What a sandbox adds is the same for any app: it is measured by starting"
        " `/bin/true`, with all of the sandbox and without the directives of one kind. Nearly all of it are mounts, for"
        " each of which systemd 252 reads the list of all mounts again (225 times in such a start, counted by strace)."
        " Of single directives only ProtectKernelTunables= stands out, with about a fifth, and the exposure needs it:"
        " nothing was found that could go without weakening the sandbox. So the bar is out of reach for an app that"
        " starts in less than half a second.",
        measure_cost,
    ),
}


def run(name: str, quick: bool, console: Console) -> bool:
    """Measure a section, print it, write it; return whether its bars were held."""
    section, outcome, progress, load = SECTIONS[name], Outcome(), Progress(), os.getloadavg()[0]
    try:
        section.measure(quick, progress, outcome)
    finally:
        progress.close()
    outcome.facts |= circumstances(load)
    show(section, outcome, console)
    if not quick:
        report.write(REPORT, TITLE, INTRODUCTION, section.heading, outcome.body(section.text))
        index.write()
    return outcome.held


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench-sandbox", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, and no page")
    parser.add_argument(
        "--only", action="append", choices=list(SECTIONS), default=[], help="a part; may be given again"
    )
    given, console = parser.parse_args(argv), Console(width=80, highlight=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        held = [run(name, given.quick, console) for name in given.only or SECTIONS]
    except (ContainerlessError, Failed) as exc:
        sys.exit(f"bench-sandbox: {exc}")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
