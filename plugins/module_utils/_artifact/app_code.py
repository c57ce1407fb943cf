# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The project's own code in an artifact: what the commit holds and build commands make of it, less what it excludes."""

from __future__ import annotations

import shlex
from pathlib import Path

from .._core.errors import ContainerlessError
from . import runner
from .job import Job


def unpack(job: Job) -> None:
    """Lay out the committed files."""
    extract = ["tar", "-x", "--no-same-owner", "-f", job.at("in/app.tar"), "-C", f"{job.tree}/app"]
    job.commands.run(extract, "unpacking the code")


def run_commands(job: Job) -> None:
    """Run the build commands in the code's folder: an argv each, the environment's programs first, no network."""
    for argv in job.inputs["commands"]:
        what, before = f"the build command {shlex.join(argv)!r} of [tool.containerless]", job.listing(free="app")
        job.commands.run(
            argv,
            what,
            cwd=f"{job.tree}/app",
            env={"PATH": f"{job.venv}/bin:{runner.PATH}", "CONTAINERLESS_BUILD": "1", **job.inputs["env"]},
        )
        changed = job.changed(before, free="app")
        if changed:
            raise ContainerlessError(
                f"{what} changed {changed}: it may write into the code alone, and builds of one lock share their"
                " environment"
            )


def exclude(job: Job) -> None:
    """Take out what [tool.containerless] excludes; a pattern that matches nothing is worth a word."""
    app = Path(job.tree, "app")
    for pattern in job.inputs["exclude"]:
        # What stands behind a link is none of the code, and may be anybody's.
        found = [path for path in sorted(app.glob(pattern)) if not _is_behind_link(path, app)]
        for path in found:
            # What stood in a folder of the same pattern is gone already.
            if path.is_symlink() or path.exists():
                job.remove(str(path))
        if not found:
            job.warnings.append(f"exclude of [tool.containerless] has {pattern!r}, which matches nothing")


def _is_behind_link(path: Path, app: Path) -> bool:
    return any(folder.is_symlink() for folder in path.parents if folder != app and app in folder.parents)


def compile_app(job: Job) -> None:
    """Compile the code; a fault in it is worth a word."""
    status, output = job.compile(f"{job.tree}/app")
    if status:
        job.warnings.append(f"not all of the code compiles on Python {job.facts['full']}: {runner.tail(output)}")
