# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as a user installs it: all that is needed is in the tarball, and nothing of the checkout helps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT, Playbooks

CHECKOUT = Path(__file__).parents[3]
SHIPPED = ("meta", "playbooks", "plugins", "roles", "docs", "LICENSES", "README.md", "requirements.txt")


def tool(name: str, *argv: str, folder: Path) -> str:
    command = [str(Path(sys.executable).with_name(name)), *argv]
    done = subprocess.run(command, env=environment(folder), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the collection, install it into an empty folder and return that."""
    folder = tmp_path_factory.mktemp("installed")
    tool("ansible-galaxy", "collection", "build", str(CHECKOUT), "--output-path", str(folder), folder=folder)
    [tarball] = folder.glob("*.tar.gz")
    tool("ansible-galaxy", "collection", "install", "--offline", str(tarball), "-p", str(folder), folder=folder)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Return an environment that knows no other collection; PYTHONPATH would be one more way to find the checkout."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "ANSIBLE_COLLECTIONS_PATH": str(folder), "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false"}


@pytest.fixture
def theirs(installed: Path, tmp_path: Path) -> Playbooks:
    return Playbooks(tmp_path, environment(installed))


def test_every_file_that_is_needed_is_installed(installed: Path) -> None:
    listed = subprocess.run(["git", "ls-files", *SHIPPED], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    root = installed / "ansible_collections/containerless/django"
    missing = [name for name in listed.stdout.split() if not (root / name).is_file()]
    assert missing == []
    assert {path.name for path in root.iterdir()}.isdisjoint({"molecule", "tests", "tools", "requirements", ".cache"})


def test_everything_is_documented(installed: Path) -> None:
    found = json.loads(tool("ansible-doc", "--metadata-dump", "containerless.django", folder=installed))["all"]
    for kind, names in {"module": "modules", "filter": "filter", "role": "../roles"}.items():
        folder = installed / "ansible_collections/containerless/django/plugins" / names
        # Python leaves its cache where a plugin was loaded.
        expected = {f"containerless.django.{path.stem}" for path in folder.iterdir() if path.name != "__pycache__"}
        assert set(found[kind]) == expected


def test_status_runs(theirs: Playbooks) -> None:
    run = theirs.run("status", hosts=["serving", "bare"])
    assert run.code == 0, run.output
    assert "running" in run.output


def test_ship_is_planned(theirs: Playbooks, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    stores = {"app_store": f"file://{tmp_path}/store", "app_build_store": f"file://{tmp_path}/built"}
    run = theirs.run("ship", "--check", hosts=["bare"], app_build_host=None, **stores)
    assert run.code == 0, run.output


def test_a_release_is_planned_with_its_units(theirs: Playbooks) -> None:
    """The plan renders every template and asks the module on the host."""
    env = {**PROJECT["app_release_env"], "NEW_NAME": "1"}
    reason = "tested with fewer names"
    run = theirs.run("release", "--check", "--diff", app_release_env=env, app_release_untested_reason=reason)
    assert run.code == 0, run.output
    assert "NEW_NAME" in run.output


def test_bad_input_is_refused(theirs: Playbooks) -> None:
    theirs.run("build", app_name="shop-1").refused(r"app_name 'shop-1' must be")
