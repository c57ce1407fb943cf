# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of testinfra for users' own scenarios: what is released on a host, asked and tried there.

The first lines of a test file find them where Ansible finds the collection:

    from ansible.plugins.loader import init_plugin_loader
    init_plugin_loader()
    from ansible_collections.containerless.django.plugins.plugin_utils.fixtures import *
"""

from __future__ import annotations

import json
import re
import shlex
import typing as t
from dataclasses import dataclass

import pytest

from ..module_utils._core.names import Layout

__all__ = ["App", "Http", "Page", "Release", "Sandbox", "app", "http", "release", "sandbox"]

_WRITE = "import sys, tempfile; tempfile.TemporaryFile(dir=sys.argv[1])"


@dataclass(frozen=True)
class Release:
    """The live release of an app: its id, the state of each process by its unit, and why it would not start again."""

    id: str
    activation: int
    running: bool
    processes: dict[str, str]
    problems: list[str]


@dataclass(frozen=True)
class App:
    """An app on a host, by what the host itself says of it."""

    host: t.Any
    name: str

    @property
    def data(self) -> str:
        """The folder that it may write to."""
        return Layout(self.name).data

    @property
    def tree(self) -> str:
        """The folder of its live artifact."""
        return self.root(f"readlink -f {Layout(self.name).current}").strip()

    @property
    def release(self) -> Release:
        """What is live now."""
        (said,) = json.loads(self.root(f"containerless status {self.name} --json || true"))
        kept = {name: said[name] for name in ("activation", "running", "processes", "problems")}
        return Release(id=said["release"], **kept)

    def unit(self, process: str) -> str:
        """Name of the unit of a process."""
        return Layout(self.name).unit(process, self.release.activation)

    def root(self, script: str) -> str:
        """Run a script on the host as root; return what it prints."""
        with self.host.sudo():
            return str(self.host.check_output("sh -c %s", script))


@dataclass(frozen=True)
class Page:
    """An answer of the app: its status, its body, and its headers by their names in lower case."""

    status: int
    body: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Http:
    """Asks an app at its socket as the proxy would, for the domain that it was released with."""

    app: App

    @property
    def domain(self) -> str:
        folder = f"{Layout(self.app.name).etc}/{self.app.release.id}"
        return str(json.loads(self.app.root(f"cat {folder}/release.json"))["config"]["health"]["host"])

    def __call__(self, path: str, *options: str) -> Page:
        """Ask for a path; `options` are further words for curl."""
        asked = ["-H", f"Host: {self.domain}", "-H", "X-Forwarded-Proto: https", *options, f"http://localhost{path}"]
        argv = ["curl", "-sS", "-i", "--http1.1", "--unix-socket", Layout(self.app.name).web_socket, *asked]
        head, _, body = self.app.root(shlex.join(argv)).replace("\r\n", "\n").partition("\n\n")
        status, *lines = head.splitlines()
        headers = (line.partition(":") for line in lines)
        return Page(int(status.split()[1]), body, {name.lower(): value.strip() for name, _, value in headers})


@dataclass(frozen=True)
class Sandbox:
    """Tries things in the sandbox of the live release."""

    app: App

    def exposure(self, process: str = "web") -> float:
        """Return how open a process is, from 0 to 10, as systemd counts it."""
        said = self.app.root(f"systemd-analyze security --no-pager {self.app.unit(process)} | tail -n 1")
        found = re.search(r"(\d+\.\d)", said)
        assert found, said  # noqa: S101 - a fixture speaks to a test
        return float(found[1])

    def python(self, source: str, *words: str) -> tuple[int, str]:
        """Run Python of the app; return exit code and output. Django is set up, `words` are sys.argv[1:]."""
        told = f"import sys; sys.argv[1:] = {list(words)!r}\n{source}"
        command = shlex.join(["containerless", "manage", self.app.name, "--", "shell", "-c", told])
        with self.app.host.sudo():
            done = self.app.host.run("sh -c %s", f"{command} 2>&1")
        return int(done.rc), str(done.stdout)

    def can_write(self, folder: str) -> bool:
        """Say whether the app could leave a file in a folder."""
        return self.python(_WRITE, folder)[0] == 0


@pytest.fixture
def app(host: t.Any) -> App:
    """Return the app of the host; there has to be one."""
    with host.sudo():
        names = [item["app"] for item in json.loads(host.check_output("containerless status --json || true"))]
    assert len(names) == 1, f"the host has {len(names)} apps: {names}; use App(host, name)"  # noqa: S101
    return App(host, names[0])


@pytest.fixture
def release(app: App) -> Release:
    """Return its live release."""
    return app.release


@pytest.fixture
def http(app: App) -> Http:
    """Return what asks it."""
    return Http(app)


@pytest.fixture
def sandbox(app: App) -> Sandbox:
    """Return what tries its sandbox."""
    return Sandbox(app)
