# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all measurements share: folders that are thrown away, the target's Python, and how a command is measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...tools import bootstrap
from . import ours
from .figures import Row, Sample
from .timing import Progress, in_turns, measure

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Rounds:
    """How often everything runs."""

    builds: Mapping[str, int]
    first_starts: int
    first_starts_of_tools: int
    later_starts: int
    unpacks: int
    verifies: int


@dataclass
class Found:
    """What goes into the report: rows with their bars, sizes, and seconds of the steps of our builds."""

    rows: list[Row] = field(default_factory=list)
    sizes: dict[str, str] = field(default_factory=dict)
    steps: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """One run. `work` is where builds happen (memory where it has room), `disk` is a folder of a disk."""

    work: Path
    disk: Path
    python: str
    tools: Path
    rounds: Rounds
    progress: Progress

    def run(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Sample:
        """Measure a command whose environment holds nothing of the user's."""
        clean = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.work), "LC_ALL": "C.UTF-8"}
        # What the settings of the sample project ask for.
        clean |= {"SECRET_KEY": "none", "STATE_DIRECTORY": str(self.work), "DJANGO_SETTINGS_MODULE": "shop.settings"}
        return measure(argv, log=self.work / "log", env={**clean, **(env or {})}, cwd=cwd or self.work)

    def run_ours(self, action: str, *words: str | Path) -> Sample:
        """Measure an action of ours.py; the collection is found where tools/run has linked it."""
        return self.run(
            [self.python, "-m", ours.__name__, action, *words],
            {
                "PYTHONPATH": str(bootstrap.CACHE / "collections"),
                "PYTHONPYCACHEPREFIX": str(self.work / "pycache"),
            },
        )

    def in_turns(
        self, what: str, runs: Mapping[str, Callable[[], Sample]], rounds: int, limits: Mapping[str, int] | None = None
    ) -> dict[str, list[Sample]]:
        """Run all of them in turns and say so."""
        return in_turns(runs, rounds, lambda said: self.progress.say(f"{what}, {said}"), limits)

    def out(self, project: str, builder: str) -> Path:
        """Return the folder for what a builder makes of a project."""
        return self.work / "out" / project / builder

    def manifest(self, project: str) -> dict[str, Any]:
        """Return the manifest of the artifact that was built of a project."""
        found: dict[str, Any] = json.loads((self.out(project, "artifact") / ours.MANIFEST).read_bytes())
        return found


def fresh(folder: Path) -> Path:
    """Return the folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def removed_after(folder: Path, run: Callable[[], Sample]) -> Sample:
    """Run with an empty folder that is removed afterwards, outside of what is measured."""
    fresh(folder)
    try:
        return run()
    finally:
        shutil.rmtree(folder)
