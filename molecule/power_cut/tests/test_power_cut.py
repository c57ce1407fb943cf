# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power is cut before a release is confirmed; the boot alone brings back the one that was live.

The kernel resets the machine at once (sysrq b), so what it had not written is lost.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
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
BOOT = 400
JOB, SAID = f"{PLACE}/job.json", f"{PLACE}/halt.said"


#: The new release is before traffic, and nobody has confirmed it. One cut, since without KVM each takes minutes;
#: `make campaign-power` cuts everywhere.
POINT = "activated/watch"


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
    # One session that waits: each new one costs the machine more than what it waits for.
    wait = f"timeout {BOOT} sh -c 'until [ -s {SAID} ]; do sleep 1; done'; cat {SAID}; journalctl -n 20 -u halt >&2"
    told = bench.host.sh(wait, check=False, timeout=BOOT + 60).stdout.strip()
    assert told, f"{point} does not come"
    assert json.loads(told.splitlines()[-1]) == {"point": point}


def cut(host: Host) -> None:
    """Reset the machine and wait until it has booted."""
    before = boot_id(host)
    # In the background: the connection must not hang on a machine that is gone, and nor must the next one.
    host.sh("(sleep 0.3; echo b > /proc/sysrq-trigger) >/dev/null 2>&1 &")
    subprocess.run([*host.ssh[:-1], "-O", "exit", host.ssh[-1]], capture_output=True, check=False)
    deadline = time.monotonic() + BOOT
    while boot_id(host) in ("", before):
        assert time.monotonic() < deadline, "the machine does not come back"
        time.sleep(5)


def boot_id(host: Host) -> str:
    """Return what differs from boot to boot; an empty text where nobody answers."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return host.sh("cat /proc/sys/kernel/random/boot_id", check=False, timeout=30).stdout
    return ""


def test_a_boot_after_a_cut_brings_the_release_back_that_was_live(bench: Bench, machine: Host) -> None:
    old = status(machine)["release"]
    begin(bench, stories.release(bench, "v2"), POINT)
    cut(machine)
    ended = bench.look("settled", str(BOOT))
    with Load(machine.address, rate=2, timeout=30) as load:
        time.sleep(3)
    assert ended["complaints"] == []
    assert ended["release"] == old
    assert load.samples
    assert {sample.release for sample in load.samples} == {old}
    assert load.failed() == []
    assert states(machine)[max(states(machine))] == "rolled_back"
    machine.sh(f"containerless verify {APP}")
