# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What breaks later: a release that crashes under watch, a database that is away, a process that does not stay up."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..campaigns.report import Row as Count
from ..rig import APP, Ask, Host, Load, Rig, Sample, gap
from .back import live, status
from .figures import Bar
from .outcome import Outcome
from .timing import Failed, Progress
from .traffic import SETTINGS, reasons

GAP = Bar(1.0)
CRASH_AFTER = 4
WATCH = 10
RATE = 50
READS = (Ask(), Ask("/page/"), Ask("/slow/?seconds=0.05"))
STATE = f"/var/lib/containerless/{APP}/data"
DATABASE = f"postgresql://cl-{APP}@/{APP}?host=/run/postgresql"
DEADLINE = 120.0
#: Seconds after which a fault that has passed must be forgotten.
CALM = 5
HEAL = Bar(CALM)


def crash_time(host: Host, since: float) -> float:
    """Return when the last process of web was gone: the machine has our kernel, and so our monotonic clock."""
    said = host.sh(
        "journalctl --sync; journalctl -o json --no-pager -q --output-fields=MESSAGE,UNIT _PID=1"
        f" | grep -F 'Failed with result' | grep -F 'containerless-{APP}-web@'"
    ).stdout
    times = [int(json.loads(line)["__MONOTONIC_TIMESTAMP"]) / 1e6 for line in said.splitlines()]
    after = [moment for moment in times if moment >= since]
    if not after:
        raise Failed("the release did not crash")
    return after[0]


def measure_crash(progress: Progress, outcome: Outcome, rounds: int) -> None:
    """Add a release that dies some seconds after the flip, without and with a backup server of nginx."""
    with Rig("bench-crash", settings={**SETTINGS, "app_release_watch": WATCH, "app_release_health_stay_up": 0}) as rig:
        host = rig.publish("v1").hosts[0]
        rig.release("v1", app_release_watch=0).check()
        for backup in (False, True):
            title = "backup server" if backup else "no backup server"
            host.proxy(backup=backup)
            flying, lost, asked, pauses, late = 0, 0, 0, [], []
            for number in range(rounds):
                progress.say(f"crash after the flip, {title}, {number + 1} of {rounds}")
                with Load(host.address, rate=RATE, asks=READS) as load:
                    time.sleep(1)
                    before = live(host)
                    env = {
                        "RIG_FAULT": f"exit_after={CRASH_AFTER}",
                        "RIG_COLOUR": f"{title} {number}".replace(" ", "-"),
                    }
                    done = rig.release("v1", env=env)
                    if done.rc == 0 or live(host) != before:
                        raise Failed(f"a release that crashed was kept\n{done.output[-2000:]}")
                    time.sleep(2)
                asked += len(load.samples)
                died = crash_time(host, done.started)
                in_flight = [s for s in load.failed() if s.due <= died]
                flying += len(in_flight)
                lost += len(load.failed()) - len(in_flight)
                late += [s.due - died for s in load.failed() if s.due > died]
                pauses.append(gap(load.samples))
            if backup:
                outcome.counts.append(Count(f"{title}: failed GETs", asked, flying + lost))
            else:
                outcome.counts.append(Count(f"{title}: failed, begun after the crash", asked, lost))
                outcome.facts[f"{title}: failed, in flight at the crash"] = str(flying)
                if late:
                    outcome.facts[f"{title}: failed so long after the crash, seconds"] = (
                        f"{min(late):.2f} to {max(late):.2f}"
                    )
            outcome.counts.append(Count(f"{title}: longest gap, seconds", rounds, round(max(pauses), 2), GAP))
            if load.failed():
                outcome.facts[f"{title}: what failed"] = reasons(load.failed())
    outcome.facts["load; crash"] = f"{RATE} GETs a second; {CRASH_AFTER} s after the start, watched for {WATCH} s"


def first_good(samples: Sequence[Sample], path: str, since: float) -> float:
    """Return how long after a moment a request to a path ended well that was begun after it."""
    ends = [sample.end for sample in samples if sample.good and sample.path == path and sample.due >= since]
    return min(ends) - since if ends else DEADLINE


@dataclass(frozen=True)
class Healed:
    """What became of requests while something was broken, and how long after that one ended well again."""

    seconds: float
    asked: int
    late: list[Sample]
    elsewhere: list[Sample]


def make_database(host: Host) -> None:
    """Start PostgreSQL with a role that peer authentication knows the app by."""
    role = f"cl-{APP}"
    host.sh(
        "systemctl start postgresql; cd /; runuser -u postgres -- createuser "
        f"{role}; runuser -u postgres -- createdb --owner {role} {APP}"
    )


def database_down(host: Host, seconds: float) -> Healed:
    """Stop the database for a while; half of the requests go on without it."""
    with Load(host.address, rate=10, asks=(Ask("/health/"), Ask("/")), timeout=10) as load:
        time.sleep(2)
        host.sh("systemctl stop 'postgresql@*' postgresql")
        down = time.monotonic()
        time.sleep(seconds)
        began = time.monotonic()
        host.sh("systemctl start postgresql")
        up = time.monotonic()
        time.sleep(CALM + 3)
    late = [sample for sample in load.failed() if sample.due > up + CALM]
    without = [sample for sample in load.failed() if sample.path == "/" and sample.due > down]
    return Healed(first_good(load.samples, "/health/", began), len(load.samples), late, without)


def crash_loop(rig: Rig, times: int) -> tuple[int, float, Healed]:
    """Have a live web process crash at each of so many starts; return how often it did, in which time, and the rest.

    The release counts its crashes in a file: it is made live when it has enough of them, and then forgets them.
    """
    host, env = rig.hosts[0], {"RIG_FAULT": f"crash_times={times}"}
    rig.release("v1", env=env)
    file = host.sh(f"ls -t {STATE}/crashes-*").stdout.split()[0]
    host.sh(f"seq {times} > {file}")
    rig.release("v1", env=env).check()
    unit = f"containerless-{APP}-web@{status(host)['activation']}.service"
    with Load(host.address, rate=5, timeout=DEADLINE) as load:
        time.sleep(1)
        begin = time.monotonic()
        host.sh(f": > {file}; systemctl kill --kill-whom=main --signal=KILL {unit}")
        while crashed(host, file) < times and time.monotonic() < begin + 10 * times:
            time.sleep(0.5)
        last = time.monotonic()
        time.sleep(CALM + 3)
    late = [sample for sample in load.failed() if sample.due > last + CALM]
    healed = Healed(first_good(load.samples, "/", last), len(load.samples), late, load.failed())
    return crashed(host, file), last - begin, healed


def crashed(host: Host, file: str) -> int:
    return int(host.sh(f"wc -l < {file}").stdout)


def measure_recovery(quick: bool, progress: Progress, outcome: Outcome) -> None:
    """Add a database that is down for a minute and a web process that crashes at each of fifty starts."""
    settings = {**SETTINGS, "app_sandbox_bind_read_only": ["/run/postgresql"], "app_release_drain": 1}
    with Rig("bench-heal", settings=settings) as rig:
        host = rig.publish("v1").hosts[0]
        make_database(host)
        rig.release("v1", env={"RIG_DATABASE": DATABASE}).check()
        seconds, times = (10, 5) if quick else (60, 50)
        progress.say(f"the database is down for {seconds} s")
        down = database_down(host, seconds)
        outcome.counts += [
            Count(f"database down for {seconds} s: s until it answers", 1, round(down.seconds, 2), HEAL),
            Count(f"failed requests, {CALM} s after that", down.asked, len(down.late)),
            Count("failed meanwhile, without the database", down.asked // 2, len(down.elsewhere)),
            Count("processes that do not run after that", 1, 0 if status(host)["running"] else 1),
        ]
        progress.say(f"a process that crashes {times} times")
        number, spent, back = crash_loop(rig, times)
        outcome.counts += [
            Count(f"{times} crashes at start: s until it answers", number, round(back.seconds, 2), HEAL),
            Count(f"failed requests, {CALM} s after the last", back.asked, len(back.late)),
            Count("processes that do not run after them", 1, 0 if status(host)["running"] else 1),
        ]
    outcome.facts["crashes, in seconds"] = f"{number} in {spent:.0f}"
    outcome.facts["failed while it crashed"] = (
        f"{len(back.elsewhere)} of {back.asked} {reasons(back.elsewhere)}".strip()
    )
