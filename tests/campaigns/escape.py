# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make campaign-escape`: attempts to leave the sandbox, in a released app's own unit, each with its control outside.

One part leaves out the lines of the sandbox one at a time, and has each alone: which of them stops which attempt.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...plugins.module_utils._test.escape import EGRESS
from ...tools import bootstrap
from ..benchmarks.figures import Bar
from ..escape import Suite, ablation, escaped, void
from ..rig import Rig
from . import report
from .report import Row

PAGE = bootstrap.ROOT / "docs/benchmarks/escape.md"
IMAGES = ("debian12", "debian13")
ABLATION = "ablation"
TITLE = "Attempts to leave the sandbox"
INTRODUCTION = """\
Made by `make campaign-escape`, which ends with 1 when a bar is missed. An app is released in profile strict; then each
attempt is made in the sandbox and as the user of its web process, by its own Python. The same attempts are made outside
of any sandbox by the same user and by root, on files and sockets that are open to everybody: one that does not get
through there is void. What touches the kernel itself (modules, clock, kexec, raw devices) is not tried on these
machines, which share their host's kernel."""
TEXT = """\
A call gets through when the sandbox does not answer it: it is made with senseless arguments, and the sandbox answers
with an errno of its own for this count. A kernel that does not know a call, and the machine's own filter, keep some
from being counted. Families are those of which a socket of any kind can be made; 1 is AF_UNIX, 2 is AF_INET."""
ABLATED = """\
Debian 12. "Gets through without" names each directive that is the only one in the way: with all the others there, the
attempt succeeds. "Stopped by it alone" names those that refuse it when nothing else of the sandbox is there. An
attempt without an entry in the first column has more than one in the way. Places of the host are those that everybody
may read or write, so no file mode helps."""
CALLS = Bar(235)


@dataclass(frozen=True)
class Variant:
    """How the app is released, and what it is meant to have then."""

    name: str
    options: Mapping[str, Any]
    families: tuple[int, ...]
    meant: frozenset[str] = field(default_factory=frozenset)


VARIANTS = (
    Variant("no network", {}, (1,)),
    # In a network of its own with nothing but a socket for each peer.
    Variant(
        "a named peer",
        {"app_sandbox_egress": ["redis.internal:6379"]},
        (1, 2),
        EGRESS,
    ),
)


@dataclass
class Tried:
    """What came of a variant on an image."""

    inside: dict[str, str]
    void: list[str]
    calls: int
    families: list[int]


def attempt(rig: Rig, variant: Variant) -> Tried:
    """Release the app and make every attempt."""
    rig.release("v1", **variant.options).check()
    suite = Suite(rig.hosts[0])
    inside = suite.inside()
    seen = suite.census()
    nothing = void(inside, suite.outside(f"cl-{suite.host.app}"), suite.outside("root"))
    return Tried(inside, nothing, len(seen["calls"]), seen["families"])


def rows(image: str, variant: Variant, tried: Tried) -> list[Row]:
    """Sum up a variant."""
    count, named = len(tried.inside), f"{image}, {variant.name}"
    more = set(tried.families) - set(variant.families)
    return [
        Row(f"{named}: got out", count, len(set(escaped(tried.inside)) - variant.meant)),
        Row(f"{named}: void", count, len(tried.void)),
        Row(f"{named}: system calls", 1, tried.calls, CALLS),
        Row(f"{named}: families but {', '.join(map(str, variant.families))}", 1, len(more)),
    ]


def faults(image: str, variant: Variant, tried: Tried) -> list[str]:
    out = sorted(set(escaped(tried.inside)) - variant.meant)
    named = f"{image}, {variant.name}"
    return [*(f"{named}: {name} got out" for name in out), *(f"{named}: {name} is void" for name in tried.void)]


def ablate(rig: Rig) -> tuple[list[Row], str]:
    """Leave out one part of the sandbox after the other; return the figures and a table."""
    rig.release("v1").check()
    suite = Suite(rig.hosts[0])
    text = suite.texts()[1]
    under = functools.cache(suite.under)
    found = ablation.ablate(text, under, lambda part: print(f"{ABLATION}: {part}", flush=True))
    known = [part.name for part in ablation.parts(text)]
    unable = [part.name for part in ablation.parts(text) if not under(part.without(text))]
    helping = {name for stops in found.values() for name in stops.needed | stops.alone}
    unexplained = [name for name, stops in found.items() if not stops.needed | stops.alone]
    for name in unexplained:
        print(f"{ABLATION}: no line alone stops {name}", flush=True)
    lines = ["| attempt | gets through without | stopped by it alone |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in ablation.rows(found)]
    idle = sorted(set(known) - helping)
    lines += ["", f"Nothing can run without: {', '.join(f'`{name}`' for name in unable) or 'nothing'}."]
    lines += ["", f"In the way of none of these attempts: {', '.join(f'`{name}`' for name in idle)}."]
    table = [
        Row("attempts that no line is in the way of", len(found), len(unexplained)),
        Row(
            "attempts that one line alone stops", len(found), sum(bool(stops.needed) for stops in found.values()), None
        ),
        Row("lines, in the way of any attempt", len(known), len(helping), None),
    ]
    return table, "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make campaign-escape", description=__doc__)
    parser.add_argument("--only", action="append", default=[], choices=(*IMAGES, ABLATION), help="a part")
    only = tuple(parser.parse_args(argv).only) or (*IMAGES, ABLATION)
    images = tuple(part for part in only if part in IMAGES)
    table: list[Row] = []
    found: list[str] = []
    versions = {}
    for image in images:
        with Rig("escape", image=image) as rig:
            rig.publish("v1")
            host = rig.hosts[0]
            versions[image] = host.sh("systemctl --version").stdout.splitlines()[0]
            for variant in VARIANTS:
                tried = attempt(rig, variant)
                table += rows(image, variant, tried)
                found += faults(image, variant, tried)
                print(f"{image}, {variant.name}: {len(tried.inside)} attempts", flush=True)
    lines: list[Row] = []
    if ABLATION in only:
        with Rig("escape", image=IMAGES[0]) as rig:
            rig.publish("v1")
            lines, stopped = ablate(rig)
            facts = {"systemd": rig.hosts[0].sh("systemctl --version").stdout.splitlines()[0]}
        body = f"{report.section(lines, facts, ABLATED)}\n{stopped}"
        report.write(PAGE, TITLE, INTRODUCTION, "Which line stops which attempt", body)
    code = report.close([*table, *lines], found)
    if images == IMAGES:
        facts = {**versions, "kernel": platform.release(), "processor": os.uname().machine}
        report.write(PAGE, TITLE, INTRODUCTION, "Profile strict", report.section(table, facts, TEXT))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
