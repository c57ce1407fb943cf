# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power is cut at chosen points of a release and of a rollback; the boot alone brings one whole release back.

The kernel resets the machine at once (sysrq b), so what it had not written is lost.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.containerless.django.tests.campaigns import bench as campaign, stories
from ansible_collections.containerless.django.tests.campaigns.bench import Bench
from ansible_collections.containerless.django.tests.rig import APP, Host, Load, Rig
from ansible_collections.containerless.django.tests.rig.driver import PLACE

sys.path.insert(0, str(Path(__file__).parents[2] / "shared/testinfra"))

from rigged import *  # noqa: F403
from rigged import Scenario, states, status

#: Seconds: without KVM a machine takes its time.
BOOT = 240
JOB, SAID = f"{PLACE}/job.json", f"{PLACE}/halt.said"


@dataclass(frozen=True)
class Cut:
    """A point of halt.py, whether what was live before has to serve after it, and how the newest activation ends."""

    point: str
    goes_back: bool
    state: str


# In this order: v1 is live at first, and v2 when the last one goes back.
CUTS = (
    Cut("activated/watch", True, "rolled_back"),
    Cut("confirmed/confirm ledger", False, "good"),
    Cut("rolled_back/commit active", False, "good"),
)


@pytest.fixture(name="rig", scope="module")
def fixture_rig() -> Iterator[Rig]:
    with Scenario("power-cut", settings={"app_release_health_timeout": 90}) as rig:
        yield rig


@pytest.fixture(name="machine", scope="module")
def fixture_machine(rig: Rig) -> Host:
    return rig.hosts[0]


@pytest.fixture(scope="module")
def bench(rig: Rig, machine: Host) -> Bench:
    made = Bench(rig, machine)
    machine.put(Path(campaign.__file__).with_name("host") / "halt.py", f"{PLACE}/halt.py")
    return made


def begin(bench: Bench, calls: Sequence[dict[str, Any]], point: str) -> None:
    """Make requests of the module until it halts at a point, and stays there."""
    job = bench.job(calls, campaign.run_id(), None)
    bench.host.put(json.dumps(job).encode(), JOB, "0600")
    unit = "systemd-run --quiet --collect --unit=halt"
    bench.host.sh(f"rm -f {SAID}; {unit} -p StandardOutput=file:{SAID} python3 -I {PLACE}/halt.py {JOB} '{point}'")
    deadline = time.monotonic() + BOOT
    while not (told := bench.host.sh(f"cat {SAID} 2>/dev/null || :").stdout.strip()):
        assert time.monotonic() < deadline, f"{point} does not come"
        time.sleep(0.5)
    assert json.loads(told.splitlines()[-1]) == {"point": point}


def cut(host: Host) -> None:
    """Reset the machine and wait until it has booted."""
    boot_id = "cat /proc/sys/kernel/random/boot_id"
    before = host.sh(boot_id).stdout
    # In the background: the connection must not hang on a machine that is gone.
    host.sh("(sleep 0.3; echo b > /proc/sysrq-trigger) >/dev/null 2>&1 &")
    deadline = time.monotonic() + BOOT
    while True:
        time.sleep(2)
        after = host.sh(boot_id, check=False, timeout=60)
        if after.returncode == 0 and after.stdout != before:
            return
        assert time.monotonic() < deadline, "the machine does not come back"


@pytest.mark.parametrize("case", CUTS, ids=lambda case: case.point)
def test_a_boot_after_a_cut_serves_one_whole_release(bench: Bench, machine: Host, case: Cut) -> None:
    old = status(machine)["release"]
    if case.point.startswith("rolled_back"):
        calls = [bench.call("", "rolled_back", accept_newer_schema=True)]
    else:
        calls = stories.release(bench, "v2")
    begin(bench, calls, case.point)
    cut(machine)
    ended = bench.look("settled", str(BOOT))
    with Load(machine.address, rate=2, timeout=30) as load:
        time.sleep(3)
    assert ended["complaints"] == []
    assert (ended["release"] == old) == case.goes_back
    assert load.samples
    assert {sample.release for sample in load.samples} == {ended["release"]}
    assert load.failed() == []
    assert states(machine)[max(states(machine))] == case.state
    machine.sh(f"containerless verify {APP}")
