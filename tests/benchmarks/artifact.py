# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures an artifact's way from inputs to a running process, beside what one would do without us, in one run.

Everything runs in turns (A B A B), so that load of the machine meets all alike. Ends with 1 when a bar is missed.
Wheels and tools come from the package index when they are not cached; what is measured needs no network.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ...plugins.module_utils._artifact.build import FOLDERS, available
from ...plugins.module_utils._core.errors import ContainerlessError
from ...plugins.plugin_utils import _builder
from ...tools import bootstrap
from . import table
from .bench import Bench, Found, Rounds
from .builds import measure_builds
from .host import measure_starts, measure_unpacking
from .projects import prepare
from .timing import Failed, Progress

PREFIX = "containerless-bench-"
REPORT = bootstrap.ROOT / "docs/benchmarks/artifact.md"
#: Five builders beside each other leave this many bytes, the wide project's included.
ROOM = 4_000_000_000
FULL = Rounds({"shop": 7, "wide": 3}, 20, 3, 20, 7, 9)
QUICK = Rounds({"shop": 3}, 5, 2, 10, 3, 5)
ENVIRONMENT = "bench"
INTRODUCTION = """\
<!--
SPDX-FileCopyrightText: containerless.django contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->

# Figures of the artifact

Made by `make bench-artifact`, which measures both sides of a row in turns, in one run, and ends with 1 when a bar is
missed. A bar is compared with the ratio of medians; its interval (95 %, bootstrap over pairs) says how much another run
may differ. The column CPU is the ratio of processor seconds, children included. `tests/benchmarks/*.sh` are what is
measured against. shiv and pex pack no bytecode of distributions: what the compile step makes for them is lost, and the
rows "bare shiv" and "bare pex" go without that step.

"""


@dataclass(frozen=True)
class Options:
    """The command line."""

    quick: bool
    python: str
    report: Path | None


def read_options(argv: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="make bench-artifact", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few rounds of one project, and no page unless --report names it"
    )
    parser.add_argument("--python", default="/usr/bin/python3", help="the target's Python (default: %(default)s)")
    parser.add_argument(
        "--report", type=Path, help=f"where the page goes (default: {REPORT.relative_to(bootstrap.ROOT)})"
    )
    given = parser.parse_args(argv)
    return Options(given.quick, given.python, given.report or (None if given.quick else REPORT))


def version_of(python: str) -> str:
    """Return X.Y.Z of an interpreter."""
    return bootstrap.ask([python, "-I", "-c", "import platform; print(platform.python_version())"])


def make_tools(python: str) -> Path:
    """Make the environment of shiv and pex with the target's Python: shiv installs for the one that runs it."""
    folder = bootstrap.CACHE / ENVIRONMENT
    if not bootstrap.is_made(ENVIRONMENT) or version_of(str(folder / "bin/python")) != version_of(python):
        bootstrap.make_environment(ENVIRONMENT, bootstrap.CACHE / "tools/bin/uv", Path(python))
    return folder


def scratch_folder() -> str:
    """Return where builds happen: memory where it has room, as on a build host."""
    for folder in FOLDERS:
        if Path(folder).is_dir() and available(folder) >= ROOM:
            return folder
    raise ContainerlessError(f"the benchmark needs {ROOM // 1_000_000_000} GB in {' or '.join(FOLDERS)}")


def measure_all(options: Options, progress: Progress) -> Found:
    """Measure everything; nothing but the tools' environment stays behind."""
    rounds, tools, found = QUICK if options.quick else FULL, make_tools(options.python), Found()
    with ExitStack() as stack:
        work, disk = (
            Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder, ignore_cleanup_errors=True))
            )
            for folder in (scratch_folder(), bootstrap.CACHE)
        )
        work.chmod(0o755)  # as root our builder goes on as nobody
        bench = Bench(work, disk, options.python, tools, rounds, progress)
        python = version_of(options.python).rpartition(".")[0]
        projects = {}
        for name in rounds.builds:
            progress.say(f"{name}: repository, wheels, bundle")
            projects[name] = prepare(name, work / "projects", python)
            measure_builds(bench, projects[name], found)
        measure_unpacking(bench, "shop", found)
        measure_starts(bench, projects["shop"], found)
    return found


def circumstances(options: Options) -> dict[str, str]:
    """Return what the figures depend on: machine and versions."""
    pins = (bootstrap.ROOT / f"requirements/{ENVIRONMENT}.txt").read_text(encoding="utf-8")
    tools = dict(re.findall(r"^(pex|pip|shiv)==(\S+)", pins, re.MULTILINE))
    first_lines = {tool: bootstrap.ask([tool, "--version"]).partition("\n")[0] for tool in ("tar", "gzip")}
    commit = bootstrap.ask(["git", "-C", str(bootstrap.ROOT), "describe", "--always", "--dirty"])
    return {
        "cores": str(os.cpu_count()),
        "load at the end": f"{os.getloadavg()[0]:.1f}",
        "machine, kernel": f"{platform.machine()}, {platform.release()}",
        "file system of unpacking": bootstrap.ask(["stat", "-f", "-c", "%T", str(bootstrap.CACHE)]),
        "target's Python": version_of(options.python),
        "uv": _builder.uv_version(_builder.find_uv()),
        **tools,
        **first_lines,
        "our commit": commit or "unknown",
    }


def page(found: Found, facts: dict[str, str]) -> str:
    """Return the report in Markdown."""
    tables = (
        table.page(found.rows),
        table.two_columns(("size", ""), found.sizes),
        table.two_columns(("our build", "seconds of its steps"), steps_as_text(found)),
        table.two_columns(("measured with", ""), facts),
    )
    return INTRODUCTION + "\n".join(tables)


def show(found: Found, facts: dict[str, str], report: Path | None) -> None:
    """Print everything; write the page."""
    console = Console(width=80, highlight=False)
    console.print(table.terminal(found.rows))
    for title, lines in (("", found.sizes), ("seconds of our steps", steps_as_text(found)), ("", facts)):
        if title:
            console.print(f"{title}:")
        for name, value in lines.items():
            console.print(f"  {name:<26} {value}", markup=False)
    if report:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(page(found, facts), encoding="utf-8")
        console.print(f"written: {report}", markup=False)


def steps_as_text(found: Found) -> dict[str, str]:
    """Return a line for each of our builds."""
    return {
        title: ", ".join(f"{step} {spent:.2f}" for step, spent in each.items()) for title, each in found.steps.items()
    }


def main(argv: list[str]) -> int:
    options = read_options(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    os.umask(0o022)
    progress = Progress()
    try:
        found = measure_all(options, progress)
    except (ContainerlessError, Failed) as exc:
        progress.close()
        sys.exit(f"bench-artifact: {exc}")
    progress.close()
    show(found, circumstances(options), options.report)
    return 0 if all(row.held for row in found.rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
