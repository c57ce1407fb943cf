# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that go with the playbook that made them, however that ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from conftest import Project, kernel_traces

#: Long enough for a removal, which takes a second.
PATIENCE = 60


def gone(project: Project, name: str) -> bool:
    """Wait until nothing is left of a machine."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not project.folder(name).exists() and not [trace for trace in project.traces() if f"/{name}" in trace]:
            return True
        time.sleep(0.2)
    return False


def started(project: Project, name: str, stage: str) -> subprocess.Popen[str]:
    """Begin to make a guarded machine, and return when it has come this far."""
    creator = project.popen(name=name, backend="nspawn", guarded=True)
    while not (project.folder(name) / stage).exists():
        assert creator.poll() is None, creator.communicate()
        time.sleep(0.002)
    return creator


def test_it_goes_with_the_end_of_the_run(project: Project):
    assert project.module(name="guarded", backend="nspawn", guarded=True)["changed"]
    assert gone(project, "guarded")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["state.json", "console.log"])
def test_it_goes_when_the_run_ends_in_the_middle(project: Project, stage: str, number: signal.Signals):
    creator = started(project, "cut", stage)
    state = json.loads((project.folder("cut") / "state.json").read_text())
    # As a terminal does it: the whole group, but what has a session of its own.
    os.killpg(creator.pid, number)
    creator.communicate()
    assert gone(project, "cut")
    assert kernel_traces(state) == []


def test_without_it_a_machine_stays(project: Project):
    assert project.module(name="kept", backend="nspawn")["changed"]
    time.sleep(3)
    assert project.folder("kept").is_dir()
    assert project.module(name="kept", state="absent")["changed"]
