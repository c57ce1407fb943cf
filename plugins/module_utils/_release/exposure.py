# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `systemd-analyze` thinks of a unit: the gate in front of a start. Pure but for the `run` that it is given.

systemd prints an exposure as tenths, 0.0 to 10.0, in its text only; JSON has one rounded figure per test, and those do
not add up to it. So the figure is read from the text and the reasons from JSON. The figure gates, it proves nothing:
what the sandbox really stops is shown by tests/integration/sandbox.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from .._core.errors import ContainerlessError

#: Runs a command and returns (rc, standard output, standard error), as AnsibleModule.run_command does.
Run = t.Callable[[list[str]], tuple[int, str, str]]
#: Begins a command and returns what waits for the same of it.
Begin = t.Callable[[list[str]], t.Callable[[], tuple[int, str, str]]]

LIMIT_OPTION = "app_sandbox_max_exposure"
WORST = 5

_FIGURE = re.compile(r"Overall exposure level for .+?: ([0-9]{1,2})[.]([0-9])\b")
_LIMIT = re.compile(r"([0-9]|10)(?:[.]([0-9]))?")


@dataclass(frozen=True)
class Cost:
    """One test of systemd's that found something open."""

    field: str
    name: str
    description: str
    tenths: int


@dataclass(frozen=True)
class Exposure:
    """How open a unit is, in tenths as systemd counts, and what made it so, worst first."""

    unit: str
    tenths: int
    costs: tuple[Cost, ...] = ()

    def __str__(self) -> str:
        return decimal(self.tenths)

    def worst(self, count: int = WORST) -> str:
        """Name the tests that cost most, as one line."""
        return "; ".join(f"{cost.name} {decimal(cost.tenths)} ({cost.description})" for cost in self.costs[:count])


def decimal(tenths: int) -> str:
    """Write tenths as systemd does: 5 is 0.5."""
    return f"{tenths // 10}.{tenths % 10}"


def parse_limit(value: str) -> int:
    """Return a limit such as "0.5" in tenths, or raise naming the option."""
    match = _LIMIT.fullmatch(value)
    if match is None or int(match[1]) * 10 + int(match[2] or 0) > 100:
        raise ContainerlessError(f'{LIMIT_OPTION} {value!r} must be a number from "0.0" to "10.0" with one decimal')
    return int(match[1]) * 10 + int(match[2] or 0)


def parse_figure(text: str) -> int:
    """Return the overall exposure that `systemd-analyze security UNIT` printed, in tenths."""
    match = _FIGURE.search(text)
    if match is None:
        raise ContainerlessError("systemd-analyze security printed no overall exposure level: is systemd 252 or newer?")
    return int(match[1]) * 10 + int(match[2])


def parse_costs(document: str) -> tuple[Cost, ...]:
    """Return what `systemd-analyze security --json=short UNIT` found open, worst first and then by name."""
    try:
        costs = [
            Cost(test["json_field"], test["name"], test["description"], int(test["exposure"].replace(".", "")))
            for test in json.loads(document)
            if test["exposure"] is not None
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContainerlessError("systemd-analyze security printed JSON that this version does not know") from error
    return tuple(sorted(costs, key=lambda cost: (-cost.tenths, cost.name)))


def measure(run: Run, unit: str, *, offline: bool = False) -> Exposure:
    """Ask systemd about a loaded unit, or with `offline` about a unit file and the drop-ins beside it."""
    command = ["systemd-analyze", "security", "--no-pager", "--offline=yes" if offline else "--offline=no"]
    return Exposure(
        unit, parse_figure(_answer(run, [*command, unit])), parse_costs(_answer(run, [*command, "--json=short", unit]))
    )


def gate_all(run: Run, units: t.Sequence[str], limit: str) -> list[int]:
    """Return the figure of each loaded unit, in tenths, by one question. Raises as `gate` for one above the limit."""
    said = _answer(run, ["systemd-analyze", "security", "--no-pager", "--offline=no", *units])
    # One block a unit, in the order asked for, each with its figure at the end.
    figures = [int(whole) * 10 + int(tenth) for whole, tenth in _FIGURE.findall(said)]
    if len(figures) != len(units):
        raise ContainerlessError(f"systemd-analyze security printed {len(figures)} figures for {len(units)} units")
    for unit, tenths in zip(units, figures):
        if tenths > parse_limit(limit):
            gate(measure(run, unit), limit)
    return figures


def gate(exposure: Exposure, limit: str) -> None:
    """Raise when a unit is more open than the limit, naming what costs most."""
    if exposure.tenths > parse_limit(limit):
        raise ContainerlessError(
            f"{exposure.unit} has an exposure of {exposure}, above {LIMIT_OPTION} {limit}; "
            f"most of it: {exposure.worst()}"
        )


def complaints(rc: int, out: str, err: str) -> tuple[str, ...]:
    """Return what `systemd-analyze verify` refuses in unit files and their drop-ins; empty when each line counts."""
    if rc == 0:
        return ()
    return tuple(line for line in (err + out).splitlines() if line.strip()) or (f"systemd-analyze verify: rc {rc}",)


def begin_verify(begin: Begin, units: t.Sequence[str]) -> t.Callable[[], None]:
    """Begin to have systemd read unit files; what is returned raises when it would ignore a line of them.

    By default it exits with 0 for a line that systemd then ignores, such as a value of a newer version: the protection
    would be off.
    """
    ended = begin(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units])

    def judge() -> None:
        found = complaints(*ended())
        if found:
            raise ContainerlessError("systemd does not accept the units: " + "; ".join(found))

    return judge


def _answer(run: Run, command: list[str]) -> str:
    rc, out, err = run(command)
    if rc != 0:
        raise ContainerlessError(f"{' '.join(command)} failed: {err.strip() or out.strip() or f'rc {rc}'}")
    return out
