# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollbacks beside the bare start of the same app on the same host, in turns."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from ..campaigns.report import Row as Count
from ..rig import APP, Host, Rig
from .figures import Bar, Row, ratio
from .outcome import Outcome
from .timing import Progress

HERE = Path(__file__).resolve().parent
SCRIPT = "/root/bench/on_host.py"
CONSECUTIVE = 2
SWITCH, FACTOR, EXTRA = Bar(1.25), 2.0, 2.0
COLOURS = ("red", "blue")
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


def status(host: Host) -> dict[str, Any]:
    """Return what the host itself says of the rig."""
    found: dict[str, Any] = json.loads(host.sh(f"containerless status {APP} --json || true").stdout)[0]
    return found


def live(host: Host) -> str:
    """Return the live release of the rig."""
    return str(status(host)["release"])


def measure_rollback(rounds: int, progress: Progress, outcome: Outcome) -> None:
    """Add rows of a rollback on the host and by playbook, and what a rollback consists of."""
    with Rig("bench-back", settings=SETTINGS) as rig:
        host = rig.publish("v1").hosts[0]
        host.put(HERE / "on_host.py", SCRIPT)
        releases = []
        for colour in COLOURS:
            rig.release("v1", env={"RIG_COLOUR": colour}).check()
            releases.append(live(host))
        targets = cycle(releases)
        starts, switches, plays = [], [], []
        for number in range(-1, rounds):
            progress.say(f"rollbacks: round {number + 1} of {rounds}")
            start = ask(host, "start", APP, str(CONSECUTIVE))
            switch = ask(host, "rollback", APP, next(targets))
            play = rig.rollback(next(targets)).check()
            if number >= 0:  # the first round warms
                starts.append(start)
                switches.append(switch)
                plays.append(play.seconds)
            time.sleep(1)  # what was told to stop does so beside nobody's figure
        parts = [ask(host, "parts", APP) for _ in range(5)]
    add(outcome, starts, switches, plays)
    for title, found in (("bare start", starts), ("rollback on the host", switches), ("parts", parts)):
        outcome.facts[title] = breakdown(found)


def add(
    outcome: Outcome,
    starts: Sequence[Mapping[str, float]],
    switches: Sequence[Mapping[str, float]],
    plays: Sequence[float],
) -> None:
    """Add the rows; processor time is spent by systemd and its children, where nobody counts it."""
    mine, theirs = ([each["seconds"] for each in found] for found in (switches, starts))
    bare, whole = statistics.median(theirs), statistics.median(plays)
    row = Row(
        "rollback, seconds",
        "on the host / bare start",
        len(mine),
        statistics.median(mine),
        bare,
        ratio(mine, theirs),
        bar=SWITCH,
    )
    outcome.rows.append(row)
    more = statistics.median(mine) - bare
    # The app of the rig is as small as one can be; this part does not grow with an app.
    outcome.facts["beyond the bare start"] = f"{more:.2f} s: in the bar for apps that start in {more / 0.25:.1f} s"
    limit = Bar(round(FACTOR * bare + EXTRA, 2))
    outcome.counts.append(Count("rollback playbook, median seconds", len(plays), round(whole, 2), limit))


def breakdown(found: list[dict[str, float]]) -> str:
    """Return medians of all parts, in seconds."""
    names = [name for name in found[-1] if name != "seconds"]
    shown = [f"{name} {statistics.median(each.get(name, 0.0) for each in found):.2f}" for name in names]
    if "seconds" in found[-1]:
        shown.append(f"in all {statistics.median(each['seconds'] for each in found):.2f}")
    return ", ".join(shown)
