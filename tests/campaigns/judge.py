# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a machine that booted from what a power cut left: asked through nginx, and looked at from inside."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..rig import APP, Load
from ..rig.driver import PLACE
from .vm import Said

#: Seconds in which a machine without KVM has to be whole after its boot.
SETTLE = 90


class Machine(Protocol):
    """What is asked: a virtual machine or one of systemd-nspawn."""

    @property
    def address(self) -> tuple[str, int]: ...

    def run(self, *argv: str, stdin: str = "", seconds: float = ..., check: bool = False) -> Said: ...

    def wait_booted(self) -> str: ...


@dataclass
class Verdict:
    """What became of one case; `found` is what must not be, `said` the reason that a release gave."""

    part: str
    case: str
    release: str = ""
    said: str = ""
    seconds: float = 0.0
    found: list[str] = field(default_factory=list)

    @property
    def fault(self) -> str:
        return "; ".join(self.found)


def look(machine: Machine, verb: str, *words: str) -> dict[str, Any]:
    """Ask look.py on the machine."""
    said = machine.run("python3", "-I", f"{PLACE}/look.py", APP, verb, *words, check=True)
    return dict(json.loads(said.out.splitlines()[-1]))


def booted(machine: Machine, verdict: Verdict, wanted: set[str]) -> None:
    """Wait until a machine has booted and is whole; only one release may ever have answered, and that for good."""
    with Load(machine.address, rate=3, timeout=5) as load:
        machine.wait_booted()
        deadline = time.monotonic() + SETTLE
        # The look costs the machine seconds: not before there is an answer.
        while not (load.samples and load.samples[-1].good) and time.monotonic() < deadline:
            time.sleep(0.1)
        end = look(machine, "settled", str(SETTLE))
        asked = len(load.samples)
        deadline = time.monotonic() + 10
        while len(load.samples) < asked + 3 and time.monotonic() < deadline:
            time.sleep(0.1)
    verdict.release = end["release"]
    verdict.found += end["complaints"]
    if verdict.release not in wanted:
        verdict.found.append(f"{verdict.release} is live and not {' or '.join(sorted(wanted))}")
    answers = [sample for sample in load.samples if sample.status]
    if strange := {sample.release for sample in answers if sample.good} - {verdict.release}:
        verdict.found.append(f"{', '.join(sorted(strange))} answered before")
    if not answers or not answers[-1].good:
        verdict.found.append(f"nginx answers {answers[-1].status if answers else 'nothing'} in the end")


def again(machine: Machine, verdict: Verdict) -> None:
    """The next release works, with nothing cleaned by hand."""
    said = machine.run("python3", "-I", f"{PLACE}/halt.py", f"{PLACE}/again.json", "none")
    results = json.loads(said.out.splitlines()[-1])["results"] if said.out else [{"failed": said.err}]
    verdict.found += [f"the next run fails: {result['failed']}" for result in results if "failed" in result]
    verdict.found += [f"after the next run: {each}" for each in look(machine, "settled", str(SETTLE))["complaints"]]
