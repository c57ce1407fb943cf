# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts in folders. The folder has a short name: a socket's path is bounded."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import staging
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired

from . import host as hosts

EXPAND = {"app": "shop", "name": "0001_initial", "replaces": [], "class": "expand"}
GROW = {"app": "shop", "name": "0002_grow", "replaces": [], "class": "expand"}
DROP = {"app": "shop", "name": "0003_drop", "replaces": [], "class": "breaking"}


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, hosts.Artifact]:
    """Return artifacts of three versions; each brings one migration more, the last one breaks older code."""
    folder = tmp_path_factory.mktemp("artifacts")
    known = {"1.0": [EXPAND], "2.0": [EXPAND, GROW], "3.0": [EXPAND, GROW, DROP]}
    return {version: hosts.artifact(folder, version, migrations) for version, migrations in known.items()}


@pytest.fixture
def layout() -> t.Iterator[Layout]:
    """Return the layout of `shop` on an empty host."""
    # In memory where that can be: each step is flushed, and flushing a disk takes its time.
    memory = "/dev/shm"
    root = Path(tempfile.mkdtemp(prefix="cl-", dir=memory if os.access(memory, os.W_OK) else None))
    made = Layout("shop", root=str(root))
    for folder in (made.units, os.path.dirname(made.boot_unit_file), os.path.dirname(made.command)):
        os.makedirs(folder)
    yield made
    shutil.rmtree(root)


@pytest.fixture
def group() -> str:
    """Return a group that exists."""
    return grp.getgrgid(os.getgid()).gr_name


@pytest.fixture
def host(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[hosts.Host]:
    """Return a host without systemd. The app's user is the one who runs the tests."""
    me = pwd.getpwuid(os.getuid())
    monkeypatch.setattr(staging.pwd, "getpwnam", lambda _name: me)
    made = hosts.Host(layout)
    yield made
    made.stop_all()


@pytest.fixture
def wanted(artifacts: dict[str, hosts.Artifact], group: str) -> dict[str, Desired]:
    """Return what a control node would hand over, by version."""
    return {version: hosts.desired(made, group) for version, made in artifacts.items()}
