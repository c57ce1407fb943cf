# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of a project of this run's own, made through the module as a user would."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import typing as t
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine import processes
from ansible_collections.containerless.django.plugins.module_utils._machine.paths import Cache, default_cache

ROOT = Path(__file__).parents[3]
CACHE = Cache(default_cache(os.environ))
BOOT_SECONDS = 300
CREATOR = "MACHINE_TEST_CREATOR"


@dataclass(frozen=True)
class Machine:
    """A machine as the module described it."""

    facts: dict[str, t.Any]

    def __getattr__(self, name: str) -> t.Any:
        return self.facts[name]

    def run(self, command: str, *, user: str = "ops") -> subprocess.CompletedProcess[str]:
        """Run a shell command in it."""
        argv = [*shlex.split(self.facts["ssh"])[:-1], "-o", "BatchMode=yes", f"{user}@{self.facts['host']}", command]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=BOOT_SECONDS)

    def out(self, command: str) -> str:
        """What a command that has to succeed says."""
        done = self.run(command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@dataclass(frozen=True)
class Project:
    """A namespace of machines."""

    name: str
    collections: Path

    def popen(self, *, check: bool = False, **options: object) -> subprocess.Popen[str]:
        """Start the module."""
        arguments = json.dumps({"project": self.name, "timeout": BOOT_SECONDS, **options})
        argv = [str(Path(sys.executable).with_name("ansible")), "-i", "localhost,", "localhost", "-c", "local"]
        argv += ["-e", f"ansible_python_interpreter={sys.executable}", *(["--check"] if check else [])]
        return subprocess.Popen(
            [*argv, "-m", "containerless.django.machine", "-a", arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
                "ANSIBLE_NOCOLOR": "1",
                CREATOR: self.name,
            },
        )

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill the module as a crash would: it and all of Ansible, but nothing that it started for a machine."""
        creators = [
            entry for entry in Path("/proc").glob("[0-9]*") if f"{CREATOR}={self.name}" in _read(entry / "environ")
        ]
        for entry in creators:
            if processes.MARK not in _read(entry / "environ"):
                with suppress(ProcessLookupError):
                    os.kill(int(entry.name), signal.SIGKILL)
        process.communicate()

    def finish(self, process: subprocess.Popen[str]) -> dict[str, t.Any]:
        """What the module returned."""
        out, err = process.communicate(timeout=4 * BOOT_SECONDS)
        assert "=> {" in out, err
        return json.loads(out[out.index("=> {") + 3 :])

    def module(self, *, check: bool = False, **options: object) -> dict[str, t.Any]:
        """Run the module."""
        return self.finish(self.popen(check=check, **options))

    def create(self, **options: object) -> Machine:
        """Run the module, which has to make a machine."""
        facts = self.module(**options)
        assert facts["changed"], facts
        return Machine(facts)

    def folder(self, name: str) -> Path:
        """Where a machine is kept."""
        return CACHE.machine(self.name, name).root

    def traces(self) -> list[str]:
        """Everything of this project that is still on this host."""
        folder = CACHE.project(self.name)
        found = [f"file {path}" for path in folder.rglob("*")] if folder.is_dir() else []
        environments = ((entry, _read(entry / "environ")) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        found += [f"process {entry.name}" for entry, text in environments if f"{processes.MARK}={folder}/" in text]
        mounts = {line for table in Path("/proc").glob("[0-9]*/mountinfo") for line in _read(table).splitlines()}
        found += [f"mount {line}" for line in mounts if str(folder) in line]
        claims = [*Path("/run/containerless/links").glob("*"), *CACHE.ports.glob("*")]
        return found + [f"claim {claim}" for claim in claims if str(folder) in _read(claim)]


def kernel_traces(machine: dict[str, t.Any]) -> list[str]:
    """What the kernel still has of a machine with this state."""
    interface = Path("/sys/class/net") / (machine["interface"] or "none")
    return [str(path) for path in (interface, *map(Path, machine["cgroups"])) if path.exists()]


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Project]:
    """A project whose machines go with the test, whatever becomes of it."""
    if os.geteuid() != 0:
        pytest.skip("machines with their own addresses need root")
    collections = tmp_path_factory.mktemp("collections")
    (collections / "ansible_collections/containerless").mkdir(parents=True)
    (collections / "ansible_collections/containerless/django").symlink_to(ROOT)
    project = Project(f"test-{uuid.uuid4().hex[:10]}", collections)
    yield project
    project.module(name="*", state="absent")
    assert project.traces() == []
