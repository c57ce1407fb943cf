# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and websockets behind nginx while releases, broken ones among them, and rollbacks come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..campaigns.report import Row as Count
from ..rig import Ask, Host, Load, Played, Rig, Sample, Sockets, capacity, percentile
from .back import live
from .figures import Bar
from .outcome import Outcome
from .timing import Failed, Progress

#: An app that waits for something: what bounds it is its threads, not the processors that it shares with this client.
WORK = Ask("/slow/?seconds=0.05")
WORK_SECONDS = 0.05
LONG = Ask("/slow/?seconds=1")
OTHERS = (Ask("/count/", "POST"), Ask("/page/"), Ask("/"))
OTHERS_EVERY = 8
SHARE = 0.6
SLOWER = 2.0
LONG_A_SECOND = 1.0
CONNECTIONS = 24
DRAIN = 3
SOCKETS = 10
#: What uvicorn closes with when it is told to stop (RFC 6455, registry of close codes).
GOING_AWAY = 1012
SETTINGS = {"app_release_drain": DRAIN, "app_release_watch": 1, "app_release_health_stay_up": 1, "app_release_keep": 5}


@dataclass(frozen=True)
class Deed:
    """Something that is done to the host; `fails` is what must stand in the output of one that is refused."""

    title: str
    do: Callable[[Rig], Played]
    fails: str = ""

    def run(self, rig: Rig) -> Played:
        """Do it; raises Failed when it did not end as it must."""
        before = live(rig.hosts[0])
        done = self.do(rig)
        text = " ".join(done.output.split())
        if not self.fails:
            done.check()
        elif done.rc == 0 or self.fails not in text or live(rig.hosts[0]) != before:
            raise Failed(f"{self.title}: rc {done.rc}, {before} -> {live(rig.hosts[0])}\n{done.output[-2000:]}")
        return done


def release(tag: str, colour: str = "", fault: str = "", **extra: Any) -> Callable[[Rig], Played]:
    env = {name: value for name, value in (("RIG_COLOUR", colour), ("RIG_FAULT", fault)) if value}
    return lambda rig: rig.release(tag, env=env, **extra)


def back(rig: Rig) -> Played:
    return rig.rollback(app_release_rollback_accept_newer_schema=True)


#: Twenty. Each rollback has a good release before it that it may go to.
DEEDS = (
    Deed("other colour", release("v1", "red")),
    Deed("import error", release("v1", "red", "import", app_release_health_timeout=5), "failed"),
    Deed("migration", release("v2")),
    Deed("rollback", back),
    Deed("other colour", release("v2", "green")),
    Deed("health 500", release("v2", "green", "health500", app_release_health_timeout=3), "failed"),
    Deed("failing migration", release("v3"), "failed"),
    Deed("other colour", release("v2", "blue")),
    Deed("rollback", back),
    Deed("hang at start", release("v2", "blue", "hang", app_release_health_timeout=3), "failed"),
    Deed("other colour", release("v2", "black")),
    Deed("rollback", back),
    Deed("other colour", release("v2", "white")),
    Deed("import error", release("v2", "white", "import", app_release_health_timeout=5), "failed"),
    Deed("other colour", release("v2", "grey")),
    Deed("rollback", back),
    Deed("redirect", release("v2", "grey", "redirect", app_release_health_timeout=3), "failed"),
    Deed("other colour", release("v2", "pink")),
    Deed("other colour", release("v2", "lilac")),
    Deed("rollback", back),
)


def mix(rate: float) -> tuple[Ask, ...]:
    """Return a round of requests at a rate, of which one a second is long."""
    short = [OTHERS[n // OTHERS_EVERY % len(OTHERS)] if n % OTHERS_EVERY == 0 else WORK for n in range(round(rate) - 1)]
    return (*short, LONG)


def rate_of(host: Host) -> tuple[float, float]:
    """Return the requests a second that a host can answer, and those of a load with a share of that work in it."""
    # A part of the requests is cheaper than WORK, so the load is a bit lighter than its share says.
    most = capacity(host.address, seconds=5, connections=CONNECTIONS, ask=WORK)
    return most, SHARE * most - LONG_A_SECOND * (1 - WORK_SECONDS) / WORK_SECONDS


@dataclass(frozen=True)
class Window:
    """From the start of a deed to the end of what it left to do."""

    begin: float
    end: float


def split(samples: Sequence[Sample], windows: Sequence[Window]) -> tuple[list[float], list[float]]:
    """Return the latencies of the good short requests outside of all windows and within them."""
    steady, during = [], []
    for sample in samples:
        if sample.good and sample.path == WORK.path:
            inside = any(window.begin <= sample.due <= window.end for window in windows)
            (during if inside else steady).append(sample.latency)
    return steady, during


def under_load(rig: Rig, deeds: Sequence[Deed], steady_seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Do everything while the load goes on, with a calm time before and after; return what was seen."""
    host = rig.hosts[0]
    most, rate = rate_of(host)
    windows = []
    with Load(host.address, rate=rate, asks=mix(rate)) as load:
        time.sleep(steady_seconds)
        for number, deed in enumerate(deeds, 1):
            say(f"{number} of {len(deeds)}: {deed.title}")
            done = deed.run(rig)
            windows.append(Window(done.started, done.ended + DRAIN + 1))
        time.sleep(DRAIN + 2)
        time.sleep(steady_seconds)
    steady, during = split(load.samples, windows)
    return {
        "asked": len(load.samples),
        "failed": load.failed(),
        "steady": percentile(steady, 99),
        "during": percentile(during, 99),
        "late": percentile([sample.start - sample.due for sample in load.samples], 99),
        "most": most,
        "rate": rate,
        "seconds": sum(window.end - window.begin for window in windows),
    }


def reasons(failed: Sequence[Sample]) -> str:
    """Return what went wrong how often."""
    found: dict[str, int] = {}
    for sample in failed:
        what = f"{sample.path} {sample.error or sample.status}"
        found[what] = found.get(what, 0) + 1
    return ", ".join(f"{what}: {count}" for what, count in found.items())


def add(outcome: Outcome, title: str, deeds: int, seen: Mapping[str, Any]) -> None:
    """Add the rows of one run under load."""
    ratio = seen["during"] / seen["steady"]
    outcome.counts += [
        Count(f"{title}: failed requests", seen["asked"], len(seen["failed"])),
        Count(f"{title}: p99 during / steady", deeds, round(ratio, 2), Bar(SLOWER)),
    ]
    outcome.facts[f"{title}: p99 steady, during, seconds"] = f"{seen['steady']:.3f}, {seen['during']:.3f}"
    outcome.facts[f"{title}: capacity, load, requests a second"] = f"{seen['most']:.0f}, {seen['rate']:.0f}"
    outcome.facts[f"{title}: how late the client was (p99), seconds"] = f"{seen['late']:.4f}"
    outcome.facts[f"{title}: deeds, seconds under load"] = f"{deeds}, {seen['seconds']:.0f}"
    if seen["failed"]:
        outcome.facts[f"{title}: what failed"] = reasons(seen["failed"])


def measure_requests(quick: bool, progress: Progress, outcome: Outcome, *, keepalive: bool) -> None:
    """Add releases and rollbacks under load, with connections from nginx to the app that are kept or not."""
    deeds = DEEDS[:6] if quick else DEEDS
    title = "connections kept" if keepalive else "connections not kept"
    with Rig(f"bench-load-{'on' if keepalive else 'off'}", settings=SETTINGS) as rig:
        rig.publish("v1", "v2", "v3")
        rig.release("v1").check()
        rig.hosts[0].proxy(keepalive=keepalive)
        seen = under_load(rig, deeds, 5 if quick else 15, partial(_say, progress, title))
        add(outcome, title, len(deeds), seen)


def _say(progress: Progress, title: str, what: str) -> None:
    progress.say(f"{title}, {what}")


def measure_sockets(quick: bool, progress: Progress, outcome: Outcome) -> None:
    """Add websockets and requests under uvicorn: a socket lives until the drain of its release ends."""
    colours = ("red", "blue") if quick else ("red", "blue", "green", "black", "white")
    settings = {**SETTINGS, "app_release_drain": 5}
    early, held, answered, ended = 0, 0, 0, 0
    lives = []
    with Rig("bench-ws", settings=settings) as rig:
        host = rig.publish("asgi").hosts[0]
        rig.release("asgi").check()
        most = capacity(host.address, seconds=5, connections=CONNECTIONS, ask=Ask("/"))
        rate = min(SHARE * most, 100.0)
        with Load(host.address, rate=rate) as load:
            for colour in colours:
                progress.say(f"websockets, {colour}")
                with Sockets(host.address, count=SOCKETS) as sockets:
                    time.sleep(2)
                    rig.release("asgi", env={"RIG_COLOUR": colour}).check()
                    name = live(host)
                    time.sleep(settings["app_release_drain"] + 5)
                flip = min(sample.end for sample in load.samples if sample.release == name)
                for socket in sockets.held:
                    held += 1
                    early += not socket.opened or socket.closed - flip < settings["app_release_drain"] - 0.5
                    answered += socket.echoes
                    ended += socket.code == GOING_AWAY
                    lives.append(socket.closed - flip)
    outcome.counts += [
        Count("uvicorn: failed requests", len(load.samples), len(load.failed())),
        Count("uvicorn: websockets closed before the drain", held, early),
    ]
    outcome.facts["drain; a websocket lived on after the flip, seconds"] = (
        f"{settings['app_release_drain']}; {min(lives):.1f} to {max(lives):.1f}"
    )
    outcome.facts["closed by the server, which says that it restarts"] = f"{ended} of {held}"
    outcome.facts["echoes; requests a second"] = f"{answered}; {rate:.0f} of {most:.0f}"
    if load.failed():
        outcome.facts["what failed"] = reasons(load.failed())
