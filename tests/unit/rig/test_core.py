# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings, hosts, nginx and the history of the rig."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.containerless.django.tests.fixtures.history import git
from ansible_collections.containerless.django.tests.fixtures.rig import history
from ansible_collections.containerless.django.tests.rig import core, driver
from ansible_collections.containerless.django.tests.rig.hosts import Host, inventory
from ansible_collections.containerless.django.tests.rig.plays import ROOT


class Recorder(Host):
    """A host that keeps what would be written and run."""

    def sh(self, script: str, **options: t.Any) -> subprocess.CompletedProcess[str]:
        t.cast("dict[str, t.Any]", self.variables).setdefault("scripts", []).append(
            (script, options.get("stdin", b"").decode())
        )
        return subprocess.CompletedProcess([], 0, "", "")


def recorder(**variables: t.Any) -> Recorder:
    return Recorder("rig1", "rig", "rig.example.org", variables)


@pytest.mark.parametrize(
    ("http", "expected"),
    [("http://198.18.0.1", ("198.18.0.1", 80)), ("http://127.0.0.1:40001", ("127.0.0.1", 40001))],
)
def test_address_of_a_machine(http, expected):
    assert recorder(app_machine_http=http).address == expected


@pytest.mark.parametrize("keepalive", [False, True])
@pytest.mark.parametrize("backup", [False, True])
def test_nginx_has_what_was_asked_for(keepalive, backup):
    host = recorder()
    host.proxy(keepalive=keepalive, backup=backup)
    script, text = host.variables["scripts"][0]
    assert "/etc/nginx/conf.d/rig.conf" in script
    assert ("keepalive 32;" in text, "previous.sock backup;" in text) == (keepalive, backup)
    assert text.count("{") == text.count("}")


def test_inventory_knows_settings(tmp_path: Path):
    made = inventory(tmp_path, core.defaults("debian12"))
    assert yaml.safe_load((made / "group_vars/all.json").read_text())["app_name"] == "rig"
    assert "localhost" in (made / "localhost.yml").read_text()


def test_settings_are_options_of_the_roles():
    known = {"app_name", "app_src", "app_store"}
    for specs in ROOT.glob("roles/app_*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(specs.read_text())["argument_specs"].values():
            known |= set(entry["options"])
    assert set(core.defaults("debian12")) - known == set()


@pytest.mark.parametrize("name", ["", "Upper", "with space", "../out", "x" * 25])
def test_names_of_rigs_are_plain(name):
    with pytest.raises(ValueError, match="no name of a rig"):
        core.Rig(name)


def test_request_has_the_defaults_of_the_module():
    found = driver.defaults()
    assert {"drain", "migrations", "lock_wait", "to"} <= set(found)
    assert "run" not in found


def test_history_branches(tmp_path: Path):
    repo = tmp_path / "rig"
    commits = history.create(repo)
    assert list(commits) == ["v1", "asgi", "granian", "v2", "v3", "v4"]
    assert git("rev-parse", "v4^", "v3^", "v2^", "asgi^", repo=repo).split() == [
        commits["v2"],
        commits["v2"],
        commits["v1"],
        commits["v1"],
    ]
    migrations = git("ls-tree", "--name-only", "v4", "rig/migrations/", repo=repo)
    assert "no_note" in migrations
    assert "clash" not in migrations
    assert "uvicorn" in git("show", "asgi:Procfile", repo=repo)
    assert "gunicorn" in git("show", "v4:Procfile", repo=repo)
