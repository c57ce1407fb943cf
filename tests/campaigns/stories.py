# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a host and killed on the way."""

from __future__ import annotations

from typing import Any

from ..rig.driver import PLACE
from .bench import Bench, Call, Story, run_id

NAMES = ("release", "rollback", "hold", "expire", "drain")
PHASES = ("staged", "activated", "confirmed")


def prepare(bench: Bench) -> dict[str, Story]:
    """Bring a new machine to the states that the stories start from."""
    first, second = (release(bench, tag) for tag in ("v1", "v2"))
    for name, calls in (("v1", first), ("v2", second)):
        bench.succeed(calls, run_id())
        bench.save(name)
    bench.host.sh(f"python3 -I {PLACE}/switch.py install")
    old, new = (calls[0]["desired"]["release_id"] for calls in (first, second))
    back = [bench.call("", "rolled_back", to=old, accept_newer_schema=True)]
    held = release(bench, "v2", overlap="hold")
    again = release(bench, "v2", drain=0)
    return {
        "release": Story("release", "v1", old, new, [], second, again),
        "rollback": Story("rollback", "v2", new, old, [], back, back),
        "hold": Story("hold", "v1", old, new, held[:1], held[1:2], again, held=True),
        "expire": Story("expire", "v1", old, new, second[:2], [], again, timer=True),
        "drain": Story("drain", "v1", old, new, second, [], again, timer=True),
    }


def release(bench: Bench, tag: str, **options: Any) -> list[Call]:
    """Return the calls of a release."""
    first = bench.call(tag, PHASES[0], **options)
    return [first, *(bench.driver.next(first, phase, lock_wait=first["lock_wait"]) for phase in PHASES[1:])]
