# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig (tests/rig) on the machine that Molecule made; scenarios import the fixture and what asks the host."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from ansible_collections.containerless.django.tests.rig import APP, DOMAIN, Host, Played, Rig, hosts as machines
from ansible_collections.containerless.django.tests.rig.core import SECRETS

SECRET = SECRETS["SECRET_KEY"]
TREES = f"/srv/containerless/{APP}/trees"
_INCLUDED = re.compile(r"^included: .* for (.+)$", re.MULTILINE)


class Scenario(Rig):
    """A rig that makes no machine: it takes the inventory of the scenario."""

    def __enter__(self) -> Self:
        ephemeral = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
        self.folder, self.inventory = ephemeral / "rig", ephemeral / "rig/inventory"
        machines.inventory(self.folder, self.settings)
        shutil.copy(ephemeral / "inventory/hosts.yml", self.inventory / "machines.yml")
        argv = ["ansible-inventory", "-i", str(self.inventory), "--list"]
        listed = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
        known = listed["_meta"]["hostvars"]
        self.hosts = [Host(name, APP, DOMAIN, known[name]) for name in listed["app"]["hosts"]]
        for host in self.hosts:
            host.proxy()
            host.put(b"LogLevel VERBOSE\n", "/etc/ssh/sshd_config.d/00-sessions.conf")
            host.sh("systemctl restart ssh")  # a reload returns before sshd listens again
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the machine to Molecule."""


@pytest.fixture(name="rig", scope="session")
def fixture_rig() -> Iterator[Rig]:
    with Scenario(os.environ["MOLECULE_SCENARIO_NAME"].replace("_", "-")) as rig:
        yield rig


@pytest.fixture(name="machine", scope="session")
def fixture_machine(rig: Rig) -> Host:
    return rig.hosts[0]


def status(machine: Host, app: str = APP) -> dict[str, Any]:
    """Return what the host itself says of an app."""
    found: dict[str, Any] = json.loads(machine.sh(f"containerless status {app} --json || true").stdout)[0]
    return found


def live(machine: Host, app: str = APP) -> tuple[str, int]:
    """Return live release and activation."""
    found = status(machine, app)
    return found["release"], found["activation"]


def trees(machine: Host) -> dict[str, str]:
    """Return each tree with the time at which its folder changed last."""
    lines = machine.sh(f"stat -c '%n %z' {TREES}/*").stdout.splitlines()
    return {Path(name).name: changed for name, _, changed in (line.partition(" ") for line in lines)}


def states(machine: Host) -> dict[int, str]:
    """Return the state of each activation."""
    return {
        entry["activation"]: entry["state"]
        for entry in json.loads(machine.sh(f"containerless history {APP} --json").stdout)
    }


def said(played: Played) -> str:
    """Return the output in one line: how long a line is depends on who prints it."""
    return " ".join(played.output.split())


def tasks(played: Played) -> int:
    """Return the results that were ok or changed, without includes."""
    included = sum(len(hosts.split(",")) for hosts in _INCLUDED.findall(played.output))
    return sum(counts["ok"] for counts in played.recap.values()) - included


def changed(played: Played) -> int:
    return sum(counts["changed"] for counts in played.recap.values())
