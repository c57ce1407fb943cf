# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a control node takes all that it started, whatever session that went into; shared connections may stay."""

from __future__ import annotations

import sys
import time

from ansible_collections.containerless.django.tests.campaigns import control

#: A child of its own session, a grandchild, and one that looks like a connection that ssh keeps.
TREE = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
subprocess.Popen(["setsid", "sh", "-c", "sleep 60 & wait"])
subprocess.Popen([*sleep, "ssh: /cp/1234 [" + "mux]"])
print("up", flush=True)
time.sleep(60)
"""


def until(count: int, mark: str) -> list[int]:
    deadline = time.monotonic() + 10
    while len(found := control.marked(mark)) != count and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_a_kill_takes_sessions_of_their_own_and_leaves_shared_connections_where_told() -> None:
    run = control.Run([sys.executable, "-c", TREE])
    assert len(until(4, run.mark)) == 4
    run.kill(connections=False)
    (left,) = control.marked(run.mark)
    assert control.is_shared(left)
    assert run.process.returncode == -9
    run.kill(connections=True)
    assert until(0, run.mark) == []


def test_tasks_are_told_as_they_begin() -> None:
    lines = ["PLAY [Release] ***", "TASK [containerless.django.app_release : Stage the release] ***", "ok: [rig1]"]
    run = control.Run(["printf", r"%s\n", *lines, "TASK [Keep it] ***"])
    told = [(number, name) for number, name, _begin in run.tasks()]
    assert told == [(1, "Stage the release"), (2, "Keep it")]
    assert run.process.returncode == 0
