# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A test that is interrupted or killed leaves no machine, and nothing on a host that was given to it.

At every task: `make campaign-interrupted`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine import names, processes
from ansible_collections.containerless.django.plugins.module_utils._machine.paths import Cache, default_cache
from ansible_collections.containerless.django.plugins.module_utils._test import guest
from ansible_collections.containerless.django.tests.rig import APP, Host, Rig, core, hosts
from ansible_collections.containerless.django.tests.rig.plays import ROOT, command
from conftest import traces

IMAGE = "debian12"
#: Longer than until the release is staged: a lease that is over before finds nothing to end.
LEASE = 45
PATIENCE = 120
MACHINES = Cache(default_cache(os.environ)).project(names.project_of(str(core.SOURCE.resolve())))


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    core.publish(IMAGE, ("v1",))
    folder = tmp_path_factory.mktemp("interrupted")
    # What was tested once is not tested again; what was built last is whatever another scenario wanted.
    shutil.copytree(core.store(IMAGE), folder / "store", ignore=shutil.ignore_patterns("records"))
    place = {"app_test_store": (folder / "store").as_uri(), "app_test_channel": "v1"}
    return hosts.inventory(folder, {**core.defaults(IMAGE), **place, "app_test_backend": "nspawn"})


def left() -> list[str]:
    """Return what is left of machines that belong to the rig's source."""
    found = [str(path) for path in MACHINES.glob("*")]
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            marked = f"{processes.MARK}={MACHINES}/" in entry.read_text(errors="replace")
        except OSError:
            continue
        found += [str(entry)] if marked else []
    return found


def interrupt(argv: Sequence[str], log: Path, task: str, number: signal.Signals, until: Callable[[], Any]) -> None:
    """Run a test up to a task, and until something is there, and do to all of the job what a terminal does."""
    with log.open("wb") as out, subprocess.Popen(argv, cwd=ROOT, stdout=out, stderr=out, start_new_session=True) as run:
        while task not in log.read_text(errors="replace") or not until():
            assert run.poll() is None, log.read_text(errors="replace")[-3000:]
            time.sleep(0.05)
        # Modules on the machine are not among the job.
        os.killpg(run.pid, number)
        assert run.wait(PATIENCE) != 0


def gone(look: Callable[[], Any]) -> Any:
    """Return what is left in the end."""
    deadline = time.monotonic() + PATIENCE
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module", autouse=True)
def abandoned(rig: Rig, told: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kill a test on a host: its lease runs out while others are interrupted."""
    extra = told("RIG_KILLED", app_test_lease=LEASE, app_test_settle=60)
    argv = command("containerless.django.test", rig.inventory, extra)
    interrupt(argv, tmp_path_factory.mktemp("killed") / "log", "Check what runs there", signal.SIGKILL, lambda: True)
    (entry,) = json.loads(rig.hosts[0].sh(f"containerless history {APP} --json").stdout)
    assert entry["why"].startswith(guest.WHY)


@pytest.mark.parametrize(
    ("task", "number"),
    [
        ("present | Create", signal.SIGKILL),
        ("Stage the release", signal.SIGINT),
        ("Check what runs there", signal.SIGKILL),
    ],
)
def test_no_machine_is_left(inventory: Path, tmp_path: Path, task: str, number: signal.Signals) -> None:
    log = tmp_path / "log"
    extra = {"app_test_reports": str(tmp_path / "reports")}
    # A shell that runs us in the background has us ignore what Ctrl-C sends.
    argv = ["env", "--default-signal=INT", *command("containerless.django.test", inventory, extra)]
    interrupt(argv, log, task, number, left)
    assert gone(left) == []


def test_a_host_ends_a_killed_test_by_itself(host: Host) -> None:
    assert gone(lambda: traces(host)) == ""
