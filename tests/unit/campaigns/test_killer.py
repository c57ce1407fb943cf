# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of effects are the same in every run, and the kill comes before what was named."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.containerless.django.tests.campaigns.host import killer

KILLER = Path(killer.__file__)
ID = "a" * 64
TOOL = "/usr/local/lib/containerless/0123456789abcdef"
REQUEST = """\
import os, subprocess
def act(params, check):
    place = params["place"]
    open(f"{place}/a.new", "w").close()
    os.rename(f"{place}/a.new", f"{place}/a")
    open(f"{place}/a").close()
    subprocess.run(["sh", "-c", f"sleep 0.3; touch {place}/ran"])
    open(f"{place}/after", "w").close()
    return {"changed": True}
"""


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("rename /var/lib/containerless/rig/journal", "rename journal"),
        (f"mkdir /srv/containerless/rig/trees/.{ID}.778", "mkdir /srv/containerless/rig/trees/.<id>"),
        ("mkdir /etc/containerless/rig/2.0.0.g1f4e932a-54ab52038fc0.new", "mkdir /etc/containerless/rig/2.0.0.new"),
        ("write /run/containerless/rig/8/applied.json", "write /run/containerless/rig/new/applied.json"),
        ("remove /run/containerless/rig/7", "remove /run/containerless/rig/old"),
        (
            "run systemctl stop containerless-rig-web@7.socket containerless-rig-web@8.service",
            "run systemctl stop containerless-rig-web@old.socket containerless-rig-web@new.service",
        ),
        (
            f"run systemd-run --unit=containerless-rig-drain-7 --on-active=1.000 -- {TOOL}/command drain rig 7",
            "run systemd-run --unit=containerless-rig-drain-old --on-active=<seconds> -- <tool>/command drain rig old",
        ),
        (
            f"run systemd-run --on-active=9.000 -- {TOOL}/command expire rig 2ec35d708685",
            "run systemd-run --on-active=<seconds> -- <tool>/command expire rig <run>",
        ),
        (
            'run python3 -IS {"/tmp": [43, 1], "/srv": [40, 16099]}',
            'run python3 -IS {"/tmp": [<file>], "/srv": [<file>]}',
        ),
        (
            f"run systemd-run --unit=containerless-sandbox-{ID[:32]}",
            "run systemd-run --unit=containerless-sandbox-<id>",
        ),
    ],
)
def test_a_name_holds_nothing_that_differs_from_run_to_run(what: str, name: str) -> None:
    assert killer.plain(what, "rig", 7) == name


class Job:
    """Code under test that writes, renames, runs and writes again, below a folder that counts as ours."""

    def __init__(self, tmp: Path) -> None:
        rooms = tmp / "rooms/containerless"
        for name, text in (("_core/errors", "class ContainerlessError(Exception): ..."), ("_release/request", REQUEST)):
            (rooms / name).parent.mkdir(parents=True)
            (rooms / f"{name}.py").write_text(text, encoding="utf-8")
        (rooms / "_release/cli.py").touch()
        self.tmp, self.place = tmp, tmp / "place"
        self.place.mkdir()
        ours = KILLER.read_text(encoding="utf-8").replace("OURS = (*PLACES,", f"OURS = ({str(self.place)!r}, *PLACES,")
        (tmp / "killer.py").write_text(ours, encoding="utf-8")

    def run(self, kill: str = "", during: bool = False) -> tuple[int, dict[str, Any]]:
        """Run it in an empty place; return how the process ended and what it told."""
        for file in self.place.iterdir():
            file.unlink()
        calls = [{"state": "staged", "place": str(self.place)}]
        told = {"app": "no_such_app", "rooms": str(self.tmp / "rooms"), "kill": kill, "during": during, "calls": calls}
        (self.tmp / "job.json").write_text(json.dumps(told), encoding="utf-8")
        argv = [sys.executable, "-I", str(self.tmp / "killer.py"), str(self.tmp / "job.json")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    def there(self) -> list[str]:
        return sorted(file.name for file in self.place.iterdir())


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_a_dry_run_names_effects_and_what_came_of_the_calls(job: Job) -> None:
    rc, told = job.run()
    assert rc == 0
    assert told["results"] == [{"changed": True}]
    assert [each["kind"] for each in told["effects"]] == ["write", "rename", "run", "write"]


@pytest.mark.parametrize(("number", "there"), [(0, []), (1, ["a.new"]), (2, ["a"]), (3, ["a", "ran"])])
def test_the_kill_comes_before_the_effect(job: Job, number: int, there: list[str]) -> None:
    name = job.run()[1]["effects"][number]["name"]
    assert job.run(name) == (-signal.SIGKILL, {"killed": name})
    assert job.there() == there


def test_a_kill_during_a_program_leaves_the_program_alone(job: Job) -> None:
    name = next(each["name"] for each in job.run()[1]["effects"] if each["kind"] == "run")
    assert job.run(name, during=True) == (-signal.SIGALRM, {"killed": name})
    # The pipe of `run` ends with the program's end: it went on, and what came after it did not.
    assert job.there() == ["a", "ran"]
