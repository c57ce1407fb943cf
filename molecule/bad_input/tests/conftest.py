# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of bad input share: the playbooks as a user runs them, and the state of what they may not touch."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from testinfra.host import Host

SCENARIO = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
INVENTORY = SCENARIO / "inventory/hosts.yml"
PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
# Names, sizes and times of all that a release makes, not of what the app itself writes nor of each file of a tree.
LISTING = """
find /srv /etc/containerless /etc/systemd /run/systemd/system /run/containerless /usr/local -maxdepth 5 \\
    -printf '%p %y %s %T@\\n' 2>&1 | sort
find /var/lib/containerless -path '*/data/*' -prune -o -print 2>&1
"""
FACTS = ("release", "activation", "ledger_head", "running", "under_way")
PROJECT: dict[str, Any] = {
    "app_name": "shop",
    "app_src": str(SCENARIO / "shop"),
    "app_store": f"file://{SCENARIO}/store",
    "app_build_store": f"file://{SCENARIO}/built",
    "app_build_host": "serving",
    "app_release_domain": "shop.example.org",
    "app_release_env": {"DJANGO_SETTINGS_MODULE": "shop.settings", "SHOP_HOSTS": "shop.example.org"},
    "app_release_secrets": {"SECRET_KEY": "only-for-this-scenario-0123456789-abcdefghijklmnopq"},
    "app_release_health_path": "/health/",
    "app_release_drain": 1,
}
# Another value is another release, of the same class as the one that was tested: a run that is not stopped changes the
# host.
OTHER: dict[str, Any] = {
    "app_release_env": {**PROJECT["app_release_env"], "SHOP_HOSTS": "shop.example.org,www.example.org"}
}
# What ansible-core puts above what it says of a wrong argument.
ARGUMENTS = "Validation of arguments failed:\n"


@dataclass(frozen=True)
class Run:
    """How a playbook ended."""

    code: int
    output: str = field(repr=False)

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Host and message of every task that failed."""
        found = re.findall(r"^fatal: \[([^\]]+)\]: [A-Z]+! => (\{.*\})$", self.output, re.MULTILINE)
        return [(host, json.loads(result)["msg"]) for host, result in found]

    def refused(self, sentence: str, *, host: str = "") -> None:
        """Require that the run ended in this one sentence, about this host."""
        assert self.code != 0, self.output
        assert "Traceback" not in self.output, self.output
        assert len(self.failures) == 1, self.output
        where, said = self.failures[0]
        said = said.removeprefix(ARGUMENTS)
        assert "\n" not in said, said
        assert re.search(sentence, said), said
        assert host in ("", where)


@dataclass(frozen=True)
class Playbooks:
    """The playbooks of the collection, with the inventory of a user in a folder of its own."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def run(self, name: str, *options: str, hosts: Sequence[str] = ("serving",), **variables: Any) -> Run:
        """Run a playbook on the good inventory with some variables spoiled; None takes one away."""
        project = {key: value for key, value in {**PROJECT, **variables}.items() if value is not None}
        group: dict[str, Any] = {"hosts": {host: {} for host in hosts}}
        inventory = self.folder / "project.yml"
        inventory.write_text(yaml.safe_dump({"all": {"vars": project, "children": {"app": group}}}), encoding="utf-8")
        done = subprocess.run(
            [PLAYBOOK, "-i", str(INVENTORY), "-i", str(inventory), f"containerless.django.{name}", *options],
            env={
                **self.environ,
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
                "ANSIBLE_FORCE_COLOR": "0",
                "ANSIBLE_NOCOLOR": "1",
            },
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout)


def machine(name: str) -> Host:
    return testinfra.get_host(f"ansible://{name}?ansible_inventory={INVENTORY}&sudo=true")


@pytest.fixture(scope="session")
def serving() -> Host:
    """Return the machine that serves the sample project."""
    return machine("serving")


@pytest.fixture(scope="session")
def bare() -> Host:
    """Return the machine that nothing was ever released on; it has another Python."""
    return machine("bare")


@pytest.fixture
def playbooks(tmp_path: Path) -> Playbooks:
    return Playbooks(tmp_path)


def files(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in found}


def state(serving: Host, bare: Host) -> set[str]:
    """Return everything that a refused run may not change, as lines, so that a difference is short."""
    app = json.loads(serving.check_output("containerless status shop --json"))[0]
    facts = {f"{name}: {app[name]}" for name in FACTS}
    hosts = {f"{name}: {line}" for name, host in (("serving", serving), ("bare", bare)) for line in lines(host)}
    return facts | hosts | files(SCENARIO / "store") | files(SCENARIO / "built")


def lines(host: Host) -> list[str]:
    return host.run(LISTING).stdout.splitlines()


@pytest.fixture(scope="session")
def untouched(serving: Host, bare: Host) -> set[str]:
    """Return the state before the first test; no test may change it, so it is that of each."""
    before = state(serving, bare)
    assert "running: True" in before
    assert not [line for line in before if line.startswith("bare:") and "/containerless/" in line]
    return before


@pytest.fixture(autouse=True)
def _nothing_changes(untouched: set[str], serving: Host, bare: Host) -> Iterator[None]:
    yield
    assert sorted(state(serving, bare) ^ untouched) == []
