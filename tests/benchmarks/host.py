# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens on a host: unpacking on its disk, the look for drift, and starts in processor time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import ours
from .bench import Bench, Found, fresh, removed_after
from .builds import TOOLS
from .figures import Bar, Sample, absolute, compare
from .projects import Inputs

UNPACK, VERIFY, START = Bar(1.6), Bar(0.5), Bar(1.05)


@dataclass(frozen=True)
class Command:
    """One way to start: in an environment (below its bin/), and by the environment variables of the tools."""

    title: str
    script: str
    words: tuple[str, ...]
    shiv: dict[str, str]
    pex: dict[str, str]


COMMANDS = (
    Command("gunicorn --version", "gunicorn", ("--version",), {}, {"PEX_SCRIPT": "gunicorn"}),
    Command(
        "django-admin check",
        "django-admin",
        ("check",),
        {"SHIV_ENTRY_POINT": "django.core.management:execute_from_command_line"},
        {"PEX_SCRIPT": "django-admin"},
    ),
)


def measure_unpacking(bench: Bench, project: str, found: Found) -> None:
    """Unpack on the disk, where a flush costs something; what others left to be flushed is flushed before."""
    out, dest = bench.out(project, "artifact"), bench.disk / "unpacked"
    tar = 'tar -xzf "$0" -C "$1" && sync -f "$1"'

    def on_quiet_disk(run: Callable[[], Sample]) -> Sample:
        os.sync()
        return run()

    def by_us() -> Sample:
        return on_quiet_disk(lambda: bench.run_ours("unpack", out, dest, bench.python))

    def by_tar() -> Sample:
        return on_quiet_disk(lambda: bench.run(["sh", "-c", tar, out / ours.BLOB, dest]))

    runs = {"artifact": partial(removed_after, dest, by_us), "tar": partial(removed_after, dest, by_tar)}
    bench.in_turns("unpacking, warming", runs, 1)
    samples = bench.in_turns("unpacking", runs, bench.rounds.unpacks)
    what = "unpack, verify and flush, seconds"
    found.rows.append(compare(what, "artifact / tar, sync", samples["artifact"], samples["tar"], by="wall", bar=UNPACK))


@dataclass(frozen=True)
class Hosts:
    """What can be started: the unpacked artifact, a plain environment, and the files of the tools."""

    bench: Bench
    project: str
    plain: Path

    @property
    def first(self) -> Path:
        """Where a first start finds its files; empty before and after."""
        return self.bench.disk / "first"

    def unpack(self, trees: Path) -> Path:
        """Unpack the artifact into an empty folder; return the tree."""
        self.bench.run_ours("unpack", self.bench.out(self.project, "artifact"), fresh(trees), self.bench.python)
        return next(trees.iterdir())

    def start_in(self, folder: Path, command: Command) -> Sample:
        """Start in a folder that holds venv and app, as a unit does: by the interpreter, in the app's folder."""
        argv: list[str | Path] = [folder / "venv/bin/python", folder / "venv/bin" / command.script, *command.words]
        return self.bench.run(argv, {"PYTHONPATH": "."}, cwd=folder / "app")

    def start_tool(self, tool: str, command: Command, root: Path) -> Sample:
        """Start a file of shiv or pex, whose files stand below `root` or come there."""
        env = command.shiv if tool == "shiv" else command.pex
        file = self.bench.out(self.project, tool) / tool
        return self.bench.run([file, *command.words], {f"{tool.upper()}_ROOT": str(root), **env})

    def first_start_of_artifact(self, command: Command) -> Sample:
        """Start what has just been unpacked."""
        return removed_after(self.first, lambda: self.start_in(self.unpack(self.first), command))

    def first_start_of_plain(self, command: Command) -> Sample:
        """Start what has just been copied, times and all: its bytecode is valid."""

        def copy_and_start() -> Sample:
            subprocess.run(["cp", "-a", f"{self.plain}/.", self.first], check=True)
            return self.start_in(self.first, command)

        return removed_after(self.first, copy_and_start)

    def first_start_of_tool(self, tool: str, command: Command) -> Sample:
        """Start with an empty root."""
        return removed_after(self.first, lambda: self.start_tool(tool, command, self.first))


def make_plain(bench: Bench, inputs: Inputs) -> Hosts:
    """Make an environment as one does by hand: pip with the bytecode that it writes, and the code beside it."""
    plain = bench.disk / "plain"
    fresh(plain / "app")
    uv, environment = inputs.folder / "uv", plain / "venv"
    pip: list[str | Path] = [
        bench.tools / "bin/python",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        environment / "bin/python",
    ]
    wheels: list[str | Path] = ["--no-index", "--no-deps", "--find-links", inputs.folder / "wheels", "--require-hashes"]
    bench.run(["tar", "-xf", inputs.folder / "app.tar", "-C", plain / "app"])
    bench.run([uv, "venv", "--quiet", "--no-project", "--python", bench.python, environment], {"UV_NO_CONFIG": "1"})
    bench.run([*pip, "install", "--quiet", *wheels, "--requirement", inputs.folder / "requirements.txt"])
    bench.run([bench.python, "-m", "compileall", "-q", plain / "app"])
    return Hosts(bench, inputs.name, plain)


def measure_starts(bench: Bench, inputs: Inputs, found: Found) -> None:
    """Add first and later starts, and the look for drift in the tree that was unpacked for them."""
    bench.progress.say("starts: a plain environment and an unpacked artifact")
    hosts = make_plain(bench, inputs)
    tree = hosts.unpack(bench.disk / "trees")
    measure_verify(bench, inputs.name, tree.parent, found)
    limits = dict.fromkeys(TOOLS, bench.rounds.first_starts_of_tools)
    for command in COMMANDS:
        first = {
            "artifact": partial(hosts.first_start_of_artifact, command),
            "plain": partial(hosts.first_start_of_plain, command),
            **{tool: partial(hosts.first_start_of_tool, tool, command) for tool in TOOLS},
        }
        what = f"first {command.title}"
        add_starts(what, bench.in_turns(what, first, bench.rounds.first_starts, limits), found)
    for command in COMMANDS:
        later = {
            "artifact": partial(hosts.start_in, tree, command),
            "plain": partial(hosts.start_in, hosts.plain, command),
            **{tool: partial(hosts.start_tool, tool, command, bench.disk / f"{tool}-root") for tool in TOOLS},
        }
        what = f"later {command.title}"
        bench.in_turns(f"{what}, warming", later, 1)
        add_starts(what, bench.in_turns(what, later, bench.rounds.later_starts), found)


def add_starts(what: str, samples: dict[str, list[Sample]], found: Found) -> None:
    """Add a row for each against the plain environment; only ours has a bar."""
    bars = {"artifact": START}
    for name in ("artifact", *TOOLS):
        row = compare(
            f"{what}, CPU seconds", f"{name} / venv", samples[name], samples["plain"], by="cpu", bar=bars.get(name)
        )
        found.rows.append(row)


def measure_verify(bench: Bench, project: str, trees: Path, found: Found) -> None:
    """Look for drift as the host tool does, start of its process included."""
    runs = {"artifact": lambda: bench.run_ours("verify", bench.out(project, "artifact"), trees)}
    bench.in_turns("verify, warming", runs, 1)
    samples = bench.in_turns("verify", runs, bench.rounds.verifies)["artifact"]
    files = bench.manifest(project)["tree"]["files"]
    found.rows.append(absolute(f"verify of {files} files, seconds", "artifact", samples, VERIFY))
