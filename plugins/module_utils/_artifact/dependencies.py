# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment of an artifact: the locked distributions, and the project where it is one itself.

Made from wheels, or taken over from an earlier artifact of the same lock, platform and builder: there it was verified
and compiled, and its bytes stand in a blob whose digest the control node has checked.
"""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

from .._core import canonical
from .._core.errors import ContainerlessError
from . import installed, wheelhouse
from .job import Job
from .lock import normalised

PROJECT = "project"


def take_over(job: Job) -> None:
    """Unpack the environment of an earlier artifact, and take out what was made of that one's code."""
    extract = ["tar", "-x", f"--{job.inputs['layer']['encoding']}", "-f", job.at("in/layer"), "-C", job.tree]
    job.commands.run([*extract, "--no-same-owner", "--preserve-permissions", "venv"], "unpacking the environment")
    interpreter = Path(os.path.realpath(job.python))
    # What a host gets too; `installed.prune` takes it away again.
    config = f"home = {interpreter.parent}\ninclude-system-site-packages = false\nrelocatable = true\n"
    Path(job.venv, "pyvenv.cfg").write_text(config, encoding="utf-8")
    Path(job.venv, "bin").mkdir(exist_ok=True)
    Path(job.venv, "bin/python").symlink_to(interpreter)
    for name in job.inputs["layer"]["projects"]:
        installed.uninstall(job.venv, name)


def build_sdists(job: Job) -> None:
    """Build the named sdists to wheels, and lock those by their digest; the builds after them may need them."""
    made: dict[str, tuple[str, str]] = {}
    for item in job.inputs["sdists"]:
        for name in item["after"]:
            line, file = made[name]
            _append(job.at("in/build", item["name"], "requirements.txt"), line)
            shutil.copyfile(job.at("in/wheels", file), job.at("in/build/wheels", file))
        wheel = _build_wheel(job, item["name"], job.at("in/sdists", item["file"]), f"{item['name']} {item['version']}")
        line = f"{item['name']}=={item['version']} --hash=sha256:{wheel['sha256']}\n"
        _append(job.at("in/requirements.txt"), line)
        made[item["name"]] = (line, wheel["file"])
        origin = {"kind": "sdist", "file": item["file"], "sha256": item["sha256"]}
        _add(job, {"name": item["name"], "version": item["version"], **wheel, "built_from": origin})


def _append(path: str, line: str) -> None:
    with open(path, "a", encoding="utf-8") as lines:
        lines.write(line)


def _add(job: Job, distribution: dict[str, t.Any]) -> None:
    job.inputs["distributions"] = sorted(
        [*job.inputs["distributions"], distribution], key=lambda item: str(item["name"])
    )


def _build_wheel(job: Job, name: str, source: str, what: str) -> dict[str, str]:
    """Build one wheel into the folder of the others; return its file and digest."""
    before = job.listing()
    made = wheelhouse.build(
        job.commands,
        uv=job.uv,
        python=job.python,
        folder=job.commands.own(job.at("wheelhouse", name)),
        source=source,
        requirements=job.at("in/build", name, "requirements.txt"),
        wheels=job.commands.own(job.at("in/build/wheels")),
        what=what,
    )
    changed = job.changed(before)
    if changed:
        raise ContainerlessError(f"building {what} changed {changed}, which is no part of the build's own folder")
    wheels = Path(job.commands.own(job.at("in/wheels")))
    path = Path(made).rename(wheels / Path(made).name)
    return {"file": path.name, "sha256": canonical.sha256(path.read_bytes())}


def install(job: Job) -> None:
    """Install exactly the locked wheels. Links will do: uv's cache is this build's own."""
    installed.check_wheels(job.at("in/wheels"))
    make = ["venv", "--quiet", "--relocatable", "--no-project", "--python", job.python, job.venv]
    job.commands.run([*job.uv, *make], "making the environment")
    _uv_pip(job, "sync", "--require-hashes", "--allow-empty-requirements", job.at("in/requirements.txt"))


def _uv_pip(job: Job, command: str, *rest: str) -> None:
    options = ["--quiet", "--no-build", "--link-mode", "hardlink", "--no-index", "--find-links", "wheels"]
    argv = [*job.uv, "pip", command, *options, "--python", f"{job.venv}/bin/python", *rest]
    # uv splits what it is told at commas, and a folder may hold one.
    job.commands.run(argv, "installing the locked distributions", cwd=job.at("in"))


def verify(job: Job) -> None:
    """Compare what was installed with the wheels' own lists and with the lock."""
    installed.verify(job.venv)
    locked = {item["name"] for item in job.inputs["distributions"]}
    found = set(installed.names(job.venv))
    if found != locked:
        raise ContainerlessError(f"installed and locked distributions differ: {', '.join(sorted(found ^ locked))}")
    _check_complete(job)


def _check_complete(job: Job) -> None:
    status, output = job.commands.call([*job.uv, "pip", "check", "--python", f"{job.venv}/bin/python"])
    faults = [line for line in output.splitlines() if line.startswith("The package ")] if status else []
    missing = [line for line in faults if "not installed" in line]
    if missing:
        raise ContainerlessError(f"{job.inputs['lock_name']} is not complete: {' '.join(missing)}")
    job.warnings += faults


def compile_all(job: Job) -> None:
    """Compile the environment. Packages carry templates and tests for other Pythons, so a fault is no news."""
    job.compile(job.venv)


def add_project(job: Job) -> None:
    """Build the project itself to a wheel, and install it beside what it needs."""
    copy = job.at("project")
    job.commands.run(["cp", "-a", f"{job.tree}/app", copy], "copying the code")
    wheel = _build_wheel(job, PROJECT, copy, f"the project {job.inputs['project']}")
    stem, version = wheel["file"].split("-")[:2]
    name = normalised(stem)
    if name in {item["name"] for item in job.inputs["distributions"]}:
        raise ContainerlessError(f"the project is itself {name}, which {job.inputs['lock_name']} pins")
    installed.check_wheels(job.at("in/wheels"))
    _uv_pip(job, "install", "--no-deps", job.at("in/wheels", wheel["file"]))
    _add(job, {"name": name, "version": version, **wheel, "built_from": {"kind": "project"}})
    installed.verify(job.venv)
    _check_complete(job)
    # Apart from the rest, so that the rest has the same bytes whether it was taken over or not.
    modules = [str(path) for path in installed.own_files(job.venv, name) if path.suffix == ".py"]
    if modules:
        job.compile(*modules)
