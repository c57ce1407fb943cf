# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds: ours beside the floor, shiv and pex, all from the same bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import ours
from .bench import HERE, Bench, Found, fresh
from .figures import Bar, Sample, compare
from .projects import Inputs

TOOLS = ("shiv", "pex")
FLOOR, AHEAD = Bar(1.3), Bar(1, below=True)
BARS = {"floor": FLOOR, "shiv": AHEAD, "bare shiv": None, "pex --venv": AHEAD, "bare pex": None}


def build_ours(bench: Bench, inputs: Inputs, bundle: Path, name: str) -> Sample:
    """Build as on a build host, in the folder where the others build too."""
    out = fresh(bench.out(inputs.name, name))
    return bench.run_ours("build", bundle, out, bench.work, bench.python)


def build_by_script(bench: Bench, inputs: Inputs, name: str, script: str, *words: str | Path) -> Sample:
    """Build with one of the scripts beside this file. What it leaves is removed outside of what is measured."""
    out, work = fresh(bench.out(inputs.name, name)), bench.work / "build"
    try:
        return bench.run([HERE / script, inputs.folder, work, out / name, bench.python, *words])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def builders(bench: Bench, inputs: Inputs) -> dict[str, Callable[[], Sample]]:
    """Return who builds a project, and how."""
    script = partial(build_by_script, bench, inputs)
    return {
        "artifact": partial(build_ours, bench, inputs, inputs.bundle, "artifact"),
        "floor": partial(script, "floor", "floor.sh"),
        "shiv": partial(script, "shiv", "shiv.sh", bench.tools, "yes"),
        "bare shiv": partial(script, "shiv-bare", "shiv.sh", bench.tools, "no"),
        "pex --venv": partial(script, "pex", "pex.sh", bench.tools, "yes"),
        "bare pex": partial(script, "pex-bare", "pex.sh", bench.tools, "no"),
    }


def measure_builds(bench: Bench, inputs: Inputs, found: Found) -> None:
    """Add the rows of one project.

    The first round is not counted: it warms, and leaves the artifact whose environment the warm builds take over.
    """
    name, runs = inputs.name, builders(bench, inputs)
    bench.in_turns(f"builds of {name}, warming", runs, 1)
    warm = inputs.write_warm_bundle(bench.out(name, "artifact") / ours.BLOB, bench.manifest(name))
    runs["artifact, warm"] = partial(build_ours, bench, inputs, warm, "warm")
    samples = bench.in_turns(f"builds of {name}", runs, bench.rounds.builds[name])
    found.rows += [
        compare(
            f"cold build of {name}, seconds",
            f"artifact / {other}",
            samples["artifact"],
            samples[other],
            by="wall",
            bar=bar,
        )
        for other, bar in BARS.items()
    ]
    what = f"warm deps layer of {name}, seconds"
    found.rows.append(compare(what, "artifact / floor", samples["artifact, warm"], samples["floor"], by="wall"))
    found.steps |= {f"{name}, cold": steps(bench, name, "artifact"), f"{name}, warm": steps(bench, name, "warm")}
    found.sizes |= sizes(bench, name)


def steps(bench: Bench, project: str, builder: str) -> dict[str, float]:
    """Return the seconds of the steps of the last build of ours."""
    answer: dict[str, float] = json.loads((bench.out(project, builder) / ours.SECONDS).read_bytes())
    return answer


def sizes(bench: Bench, project: str) -> dict[str, str]:
    """Return the sizes of everything that was built of a project."""
    manifest, artifact = bench.manifest(project), bench.out(project, "artifact")
    files = {"artifact": artifact / ours.BLOB}
    files |= {name: bench.out(project, name) / name for name in ("floor", *TOOLS)}
    found = {"files": str(manifest["tree"]["files"]), "tar": megabytes(manifest["tar"]["size"])}
    found |= {name: megabytes(path.stat().st_size) for name, path in files.items()}
    return {f"{project}: {name}": size for name, size in found.items()}


def megabytes(size: int) -> str:
    """Return bytes as text in MB (10^6)."""
    return f"{size / 1e6:.1f} MB"
