# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollbacks beside the bare start of the same app on the same host, in turns."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from ..campaigns.report import Row as Count
from ..rig import APP, DOMAIN, Host, Rig
from .figures import Bar, Row, ratio
from .outcome import Outcome
from .timing import Progress

HERE = Path(__file__).resolve().parent
SCRIPT = "/root/bench/on_host.py"
CONSECUTIVE = 2
SWITCH, FACTOR, EXTRA = Bar(1.25), 2.0, 2.0
COLOURS = ("red", "blue")
SITE = "site"
SETTINGS = {
    "app_release_drain": 0,
    "app_release_watch": 0,
    "app_release_health_stay_up": 0,
    "app_release_health_consecutive": CONSECUTIVE,
}


def ask(host: Host, *words: str) -> dict[str, float]:
    """Run a measurement of on_host.py."""
    found: dict[str, float] = json.loads(host.sh(f"python3 {SCRIPT} {' '.join(words)}").stdout.splitlines()[-1])
    return found


def status(host: Host, app: str = APP) -> dict[str, Any]:
    """Return what the host itself says of an app."""
    found: dict[str, Any] = json.loads(host.sh(f"containerless status {app} --json || true").stdout)[0]
    return found


def live(host: Host, app: str = APP) -> str:
    """Return the live release of an app."""
    return str(status(host, app)["release"])


@dataclass(frozen=True)
class Subject:
    """An app whose two releases are gone back to by turns."""

    app: str
    #: What is asked for until it is good.
    path: str
    host: Host
    rig: Rig
    releases: list[str]


@contextmanager
def smallest() -> Iterator[Subject]:
    """Have the app of the rig, which is as small as one can be."""
    with Rig("bench-back", settings=SETTINGS) as rig:
        host = rig.publish("v1").hosts[0]
        releases = []
        for colour in COLOURS:
            rig.release("v1", env={"RIG_COLOUR": colour}).check()
            releases.append(live(host))
        yield Subject(APP, "/health/", host, rig, releases)


@contextmanager
def site() -> Iterator[Subject]:
    """Have a site as `wagtail start` makes it."""
    with tempfile.TemporaryDirectory(prefix="bench-back-") as scratch:
        source = Path(scratch, "site")
        subprocess.run([sys.executable, HERE.parent / "fixtures/wagtail_site/make.py", source, "3.11"], check=True)
        Path(scratch, "store").mkdir()
        settings = {
            **SETTINGS,
            "app_name": SITE,
            "app_src": str(source),
            "app_store": f"file://{scratch}/store",
            "app_build_store": f"file://{scratch}/built",
            "app_release_env": {"DJANGO_SETTINGS_MODULE": "mysite.settings.production", "SITE_HOST": DOMAIN},
            "app_release_health_path": "/",
        }
        with Rig("bench-back", settings=settings) as rig:
            for playbook in ("build", "upload"):
                rig.play(playbook).check()
            host, releases = rig.hosts[0], []
            for colour in COLOURS:
                env = {**rig.settings["app_release_env"], "COLOUR": colour}
                rig.play("release", app_release_env=env).check()
                releases.append(live(host, SITE))
            yield Subject(SITE, "/", host, rig, releases)


SUBJECTS = {"the rig's app": smallest, "a Wagtail site": site}


def measure_rollback(rounds: int, progress: Progress, outcome: Outcome) -> None:
    """Add rows of rollbacks on the host and by playbook, and what they consist of, for each app."""
    for title, subject in SUBJECTS.items():
        progress.say(f"rollbacks of {title}: releases")
        with subject() as app:
            _measure(title, app, rounds, progress, outcome)


def _measure(title: str, subject: Subject, rounds: int, progress: Progress, outcome: Outcome) -> None:
    host, app, targets = subject.host, subject.app, cycle(subject.releases)
    host.put(HERE / "on_host.py", SCRIPT)
    starts, switches, plays = [], [], []
    for number in range(-1, rounds):
        progress.say(f"rollbacks of {title}: round {number + 1} of {rounds}")
        start = ask(host, "start", app, str(CONSECUTIVE), subject.path)
        switch = ask(host, "rollback", app, next(targets))
        play = subject.rig.rollback(next(targets)).check()
        if number >= 0:  # the first round warms
            starts.append(start)
            switches.append(switch)
            plays.append(play.seconds)
        time.sleep(1)  # what was told to stop does so beside nobody's figure
    parts = [ask(host, "parts", app) for _ in range(5)]
    add(title, outcome, starts, switches, plays)
    for part, found in (("bare start", starts), ("rollback on the host", switches), ("parts", parts)):
        outcome.facts[f"{title}: {part}"] = breakdown(found)


def add(
    title: str,
    outcome: Outcome,
    starts: Sequence[Mapping[str, float]],
    switches: Sequence[Mapping[str, float]],
    plays: Sequence[float],
) -> None:
    """Add the rows; processor time is spent by systemd and its children, where nobody counts it."""
    mine, theirs = ([each["seconds"] for each in found] for found in (switches, starts))
    bare, whole = statistics.median(theirs), statistics.median(plays)
    row = Row(
        f"rollback of {title}, seconds",
        "on the host / bare start",
        len(mine),
        statistics.median(mine),
        bare,
        ratio(mine, theirs),
        bar=SWITCH,
    )
    outcome.rows.append(row)
    more = statistics.median(mine) - bare
    # This part does not grow with an app.
    outcome.facts[f"{title}: beyond the bare start"] = (
        f"{more:.2f} s: in the bar for apps that start in {more / 0.25:.1f} s"
    )
    limit = Bar(round(FACTOR * bare + EXTRA, 2))
    outcome.counts.append(Count(f"rollback playbook, {title}, median seconds", len(plays), round(whole, 2), limit))


def breakdown(found: list[dict[str, float]]) -> str:
    """Return medians of all parts, in seconds."""
    names = [name for name in found[-1] if name != "seconds"]
    shown = [f"{name} {statistics.median(each.get(name, 0.0) for each in found):.2f}" for name in names]
    if "seconds" in found[-1]:
        shown.append(f"in all {statistics.median(each['seconds'] for each in found):.2f}")
    return ", ".join(shown)
