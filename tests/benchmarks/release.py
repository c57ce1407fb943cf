# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures releases and rollbacks: beside peers, under load, when things break. Ends with 1 when a bar is missed."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from ...plugins.module_utils._core.errors import ContainerlessError
from ...tools import bootstrap
from ..campaigns import report
from . import index, table
from .back import measure_rollback
from .crashes import measure_crash, measure_recovery
from .outcome import Outcome
from .peers import measure_peers
from .timing import Failed, Progress
from .traffic import measure_requests, measure_sockets

REPORT = bootstrap.ROOT / "docs/benchmarks/release.md"
TITLE = "Figures of a release"
INTRODUCTION = """\
Made by `make bench-release`, which ends with 1 when a bar is missed. Everything runs on one nspawn machine at a time,
reached over SSH as a sudo user with pipelining; whatever is compared runs in turns. A bar is compared with the ratio of
medians; its interval (95 %, bootstrap over pairs) says how much another run may differ. Client, nginx, app and Ansible
share the processors of one computer. A load above 1 at the beginning says that other work was under way: what ran in
turns is still comparable then, while seconds, and bars with seconds in them, suffer.
"""


@dataclass(frozen=True)
class Section:
    """A part of the benchmark, with its heading and words in the page."""

    heading: str
    text: str
    measure: Callable[[bool, Progress, Outcome], None]


def _peers(quick: bool, progress: Progress, outcome: Outcome) -> None:
    measure_peers(2 if quick else 9, progress, outcome)


def _rollback(quick: bool, progress: Progress, outcome: Outcome) -> None:
    measure_rollback(3 if quick else 11, progress, outcome)


def _crash(quick: bool, progress: Progress, outcome: Outcome) -> None:
    measure_crash(progress, outcome, 1 if quick else 3)


SECTIONS = {
    "peers": Section(
        "Beside peers",
        "A release of the same 30 MB in 3,000 files (Django without its translations, which are half of its"
        " files), each time of another version, with one older version removed. Ours sends, unpacks, verifies and"
        " flushes them, looks for migrations, starts the app, checks its health, flips and confirms; watch, drain"
        " and stay-up are 0. The playbook of deploy_helper (tests/benchmarks/by_peers) sends the same archive,"
        " unpacks and links it. Capistrano takes the files from a bare clone on the host itself, whose objects its"
        " mirror has already. Both start and flush nothing. The bar against Capistrano was drawn where each of its"
        " commands took 0.2 s; where one takes 0.06 s all of them together take about as long as Ansible's own"
        " start, the start of the app and its health check, and the bar is out of reach. A task is a result that"
        " was ok or changed, without includes; an SSH session is a line of sshd.",
        _peers,
    ),
    "rollback": Section(
        "Rollback",
        "A bare start is `systemctl start` of the same units, text and drop-ins, until two good answers in a row"
        " on the private socket. A rollback does that too, and flips. Bars: 1.25 times the start on the host,"
        " twice the start and 2 s for the playbook. The app of the rig is as small as one can be; the site is what"
        " `wagtail start` makes, with two workers and SQLite.",
        _rollback,
    ),
    "requests": Section(
        "Requests, connections not kept",
        "Releases and rollbacks under an open loop of requests at 60 % of what the host answers at most; among"
        " them import error, health 500, redirect, hang at start and a failing migration. Most requests wait for"
        " 50 ms, one a second takes 1 s, and every eighth is a POST, a page or an empty answer: so the app's eight"
        " threads bound the capacity, while client, nginx and app leave the two processors room. Steady is before,"
        " between and after. p99 is that of the 50 ms requests, counted from when they were due.",
        partial(measure_requests, keepalive=False),
    ),
    "kept": Section(
        "Requests, connections kept",
        "The same with `keepalive 32` in the upstream of nginx.",
        partial(measure_requests, keepalive=True),
    ),
    "sockets": Section(
        "Websockets",
        "Releases under uvicorn with ten websockets open and requests besides: a socket may end when the drain of"
        " its release is over, and not before.",
        measure_sockets,
    ),
    "crash": Section(
        "A crash after the flip",
        "The main process of the new release is killed while the release is watched. Without a backup server"
        " those requests may fail that were in flight at the crash.",
        _crash,
    ),
    "recovery": Section(
        "Faults that pass",
        "PostgreSQL is stopped and started again; a web process crashes at each start. Nobody helps.",
        measure_recovery,
    ),
}


@dataclass(frozen=True)
class Options:
    """The command line."""

    quick: bool
    only: tuple[str, ...]
    report: Path | None


def read_options(argv: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="make bench-release", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, and no page unless --report names it")
    parser.add_argument(
        "--only", action="append", choices=list(SECTIONS), default=[], help="a part of it; may be given again"
    )
    parser.add_argument(
        "--report", type=Path, help=f"where the page goes (default: {REPORT.relative_to(bootstrap.ROOT)})"
    )
    given = parser.parse_args(argv)
    return Options(given.quick, tuple(given.only) or tuple(SECTIONS), given.report or (None if given.quick else REPORT))


def circumstances(load: float) -> dict[str, str]:
    """Return what all figures depend on."""
    commit = bootstrap.ask(["git", "-C", str(bootstrap.ROOT), "describe", "--always", "--dirty"])
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores; load at the beginning, at the end": f"{os.cpu_count()}; {load:.1f}, {os.getloadavg()[0]:.1f}",
        "machine, kernel": f"{platform.machine()}, {platform.release()}",
        "our commit": commit or "unknown",
    }


def show(section: Section, outcome: Outcome, console: Console) -> None:
    console.print(f"\n[bold]{section.heading}[/bold]")
    if outcome.rows:
        console.print(table.terminal(outcome.rows))
    if outcome.counts:
        console.print(report.terminal(outcome.counts), markup=False)
    for name, value in outcome.facts.items():
        console.print(f"  {name}: {value}", markup=False)


def run(name: str, options: Options, console: Console) -> bool:
    """Measure a section, print it, write it; return whether its bars were held."""
    section, outcome, progress, load = SECTIONS[name], Outcome(), Progress(), os.getloadavg()[0]
    try:
        section.measure(options.quick, progress, outcome)
    finally:
        progress.close()
    outcome.facts |= circumstances(load)
    show(section, outcome, console)
    if options.report:
        report.write(options.report, TITLE, INTRODUCTION, section.heading, outcome.body(section.text))
        if options.report == REPORT:
            index.write()
    return outcome.held


def main(argv: list[str]) -> int:
    options, console = read_options(argv), Console(width=80, highlight=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        held = [run(name, options, console) for name in options.only]
    except (ContainerlessError, Failed) as exc:
        sys.exit(f"bench-release: {exc}")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
