# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a playbook and tells what became of it."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_RECAP = re.compile(r"^(\S+) +: ((?:\w+=\d+ *)+)$", re.MULTILINE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TAIL = 4000


class PlayFailed(Exception):
    """A playbook that had to succeed did not; the end of what it said."""


@dataclass(frozen=True)
class Played:
    """A playbook that ran; times are those of time.monotonic()."""

    rc: int
    output: str
    recap: dict[str, dict[str, int]]
    started: float
    seconds: float

    @property
    def ended(self) -> float:
        return self.started + self.seconds

    def check(self) -> Played:
        """Return itself, or raise when it failed."""
        if self.rc:
            raise PlayFailed(f"rc {self.rc}\n{self.output[-_TAIL:]}")
        return self


def recap(output: str) -> dict[str, dict[str, int]]:
    """Return what PLAY RECAP counted, by host."""
    _, _, text = output.rpartition("PLAY RECAP")
    counts = {host: re.findall(r"(\w+)=(\d+)", line) for host, line in _RECAP.findall(text)}
    return {host: {name: int(number) for name, number in pairs} for host, pairs in counts.items()}


def command(playbook: str | Sequence[str], inventory: Path, extra: Mapping[str, Any], *options: str) -> list[str]:
    """Return the argv of a playbook with extra vars, or of several: a start takes a second of a processor."""
    playbooks = [playbook] if isinstance(playbook, str) else playbook
    return ["ansible-playbook", "-i", str(inventory), *playbooks, "-e", json.dumps(dict(extra)), *options]


def play(playbook: str | Sequence[str], inventory: Path, extra: Mapping[str, Any], *options: str) -> Played:
    """Run playbooks with extra vars; its output also goes into ansible.log beside the inventory."""
    argv = command(playbook, inventory, extra, *options)
    started = time.monotonic()
    done = subprocess.run(
        argv,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = time.monotonic() - started
    output = _COLOURS.sub("", done.stdout)  # whoever calls us may force colours
    with (inventory.parent / "ansible.log").open("a", encoding="utf-8") as log:
        log.write(f"\n$ {' '.join(argv)}\n{output}")
    return Played(done.returncode, output, recap(output), started, seconds)
