# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's own tests run in the sandbox with what a lock has for them, on each system, with each database.

And on a host that is given: the database of each release onto an empty host is a new one. `make overlay` runs it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository
from ansible_collections.containerless.django.plugins.plugin_utils._store import open_store
from ansible_collections.containerless.django.tests.fixtures.history import checkout, git
from ansible_collections.containerless.django.tests.fixtures.shop import history
from ansible_collections.containerless.django.tests.rig import Host, hosts as machines
from ansible_collections.containerless.django.tests.rig.plays import Played, play

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache/overlay"
TESTED = ROOT / "tests/fixtures/shop/tested"
DOMAIN = "shop.example.org"
UV, PINNED = "uv.lock", "requirements-dev.txt"
POSTGRESQL = {
    "app_test_services": ["postgresql"],
    "app_sandbox_bind_read_only": ["/run/postgresql"],
    "env": {"SHOP_DATABASE": "postgresql://cl-shop@/shop?host=/run/postgresql"},
}
DATABASES: dict[str, dict[str, Any]] = {"sqlite": {"env": {}}, "postgresql": POSTGRESQL}
#: What the project's own tests say of the place where they run.
PLACE = '''\
"""Where the tests run."""

import os

import django
import pytest
from django.db import connection


@pytest.mark.django_db
def test_the_database_is_that_of_the_case():
    assert connection.vendor == os.environ["SHOP_VENDOR"]
    assert "test" in str(connection.settings_dict["NAME"]) or "memory" in str(connection.settings_dict["NAME"])


def test_the_artifact_gives_django_and_the_overlay_pytest():
    assert "/trees/" in django.__file__
    assert "/trees/" not in pytest.__file__
'''
#: The same tests by a lock of uv: what the pinned files hold, as a project writes it down.
GROUPS = """
dependencies = ["django>=5.2,<5.3", "gunicorn", "psycopg[binary]", "uvicorn", "whitenoise"]

[dependency-groups]
dev = ["pytest", "pytest-django"]
"""


@dataclass(frozen=True)
class Case:
    """A project with a lock of a kind, and a control node that tests it."""

    folder: Path
    image: str
    database: str
    lock: str

    @property
    def source(self) -> Path:
        return self.folder / "shop"

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory"

    @property
    def store(self) -> Path:
        return self.folder / "built"

    def make(self) -> None:
        """Make source and inventory anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "store").mkdir(parents=True)
        history.create(self.source)
        given = dict(DATABASES[self.database])
        env = {"DJANGO_SETTINGS_MODULE": "shop.settings", "SHOP_HOSTS": DOMAIN, "SHOP_VENDOR": self.database}
        settings = {
            "app_name": "shop",
            "app_src": str(self.source),
            "app_store": (self.folder / "store").as_uri(),
            "app_build_store": self.store.as_uri(),
            "app_build_platforms": [self.image],
            "app_machine_install_packages": False,
            "app_upload_require_test_record": False,
            "app_test_backend": "nspawn",
            "app_test_level": "full",
            "app_test_command": "python -m pytest",
            "app_test_settle": 1,
            "app_test_reports": str(self.folder / "reports"),
            "app_release_domain": DOMAIN,
            "app_release_env": {**env, **given.pop("env")},
            "app_release_secrets": {"SECRET_KEY": "only-for-these-tests-0123456789-abcdefghijklmnopqrstuvwxyz"},
            "app_release_health_path": "/health/",
            "app_release_health_stay_up": 1,
            **({} if self.lock == UV else {"app_test_lock": self.lock}),
            **given,
        }
        machines.inventory(self.folder, settings)

    def commit(self, tag: str) -> None:
        """Make the work tree a version of the shop with tests of its own, and commit it."""
        git("reset", "-q", "--hard", repo=self.source)
        checkout(self.source, tag)
        shutil.copytree(TESTED, self.source, dirs_exist_ok=True)
        (self.source / "store/tests/test_place.py").write_text(PLACE, encoding="utf-8")
        project = self.source / "pyproject.toml"
        said = project.read_text(encoding="utf-8")
        said += '\n[tool.containerless]\nexclude = ["**/tests", "pytest.ini", "requirements-dev.*"]\n'
        if self.lock == UV:
            mark = 'requires-python = ">=3.11"\n'
            assert mark in said
            said = said.replace(mark, mark + GROUPS)
            for name in ("requirements.in", "requirements.txt", "requirements-dev.in", "requirements-dev.txt"):
                (self.source / name).unlink()
        project.write_text(said, encoding="utf-8")
        if self.lock == UV:
            subprocess.run(["uv", "lock", "--quiet"], cwd=self.source, check=True)
        git("add", "--all", repo=self.source)
        git("commit", "-q", "-m", "Bring tests", repo=self.source, date="2024-05-01T12:00:00Z")

    def play(self, playbook: str, **extra: Any) -> Played:
        return play(f"containerless.django.{playbook}", self.inventory, extra)

    def steps(self) -> dict[str, str]:
        """Return what the one report says of each step: whether it failed, and in which words."""
        (report,) = (self.folder / "reports").glob("*.xml")
        cases = ET.parse(report).getroot().iter("testcase")
        return {str(case.get("name")): " ".join("".join(case.itertext()).split()) for case in cases}

    def record(self) -> dict[str, Any]:
        (path,) = self.store.rglob("records/full-*.json")
        return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    image, database, lock = request.param
    made = Case(CACHE / f"{image}-{database}-{lock.partition('.')[0]}", image, database, lock)
    made.make()
    return made


@pytest.mark.parametrize(
    "case",
    [
        ("debian12", "postgresql", PINNED),
        ("debian12", "sqlite", UV),
        ("debian13", "postgresql", UV),
        ("debian13", "sqlite", PINNED),
    ],
    ids="-".join,
    indirect=True,
)
def test_the_projects_own_tests_run_with_what_its_lock_has_for_them(case: Case) -> None:
    case.commit("v1")
    case.play("build").check()
    case.play("test").check()
    assert "tests" in case.steps()
    record = case.record()
    (check,) = [check for check in record["checks"] if check["name"] == "tests"]
    print(check["detail"])
    assert check["passed"]
    assert check["detail"].startswith("6 tests passed, with ")
    assert record["machine"]["image"] == case.image
    (overlay,) = (case.folder / "reports").glob("*-tests.tar")
    assert record["overlay"] == hashlib.sha256(overlay.read_bytes()).hexdigest()
    # Nothing of it became a part of the artifact.
    shelf = Repository(open_store(case.store.as_uri()), "shop")
    manifest = shelf.manifest(record["content_id"])
    held = {item["name"] for item in manifest["distributions"]}
    assert "django" in held
    assert not held & {"pytest", "pytest-django"}
    code = [path for path in shelf.listing(record["content_id"]) or () if path.startswith("app/")]
    assert "app/store/models.py" in code
    assert not [path for path in code if "/tests/" in path or path == "app/pytest.ini"]


# --- a host that is given ---


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[tuple[Case, Host]]:
    made = Case(CACHE / "lab", "debian12", "postgresql", PINNED)
    machines.remove(made.folder)
    made.make()
    try:
        wanted = [{"name": "lab1", "image": made.image, "backend": "nspawn", "groups": ["app"]}]
        known = machines.make(made.folder, wanted)
        yield made, Host("lab1", "shop", DOMAIN, known["lab1"])
    finally:
        machines.remove(made.folder)


#: Runs before each release onto an empty host: how many tables it finds.
COUNT = """
cd /; runuser -u postgres -- psql -Atc "select count(*) from pg_tables where schemaname = 'public'" shop >> /root/tables
"""


def databases(host: Host) -> list[str]:
    ask = "select datname from pg_database union all select rolname from pg_roles"
    return host.sh(f'cd /; runuser -u postgres -- psql -Atc "{ask}" | grep shop || :').stdout.split()


def test_a_host_that_is_given_has_a_new_database_for_each_release_onto_an_empty_host(lab: tuple[Case, Host]) -> None:
    case, host = lab
    case.commit("v1")
    case.play("build").check()
    case.play("upload", app_upload_channel="production").check()
    case.commit("v2")
    case.play("build").check()
    counting = case.folder / "count.yml"
    counting.write_text(json.dumps([{"name": "Count tables", "become": True, "ansible.builtin.shell": COUNT}]))
    given = {"app_test_hosts": ["lab1"], "app_test_lease": 600, "app_test_prepare": str(counting)}
    # One of these names that no test has made is somebody's.
    host.sh('systemctl start postgresql; cd /; runuser -u postgres -- psql -qc "create database shop"')
    refused = " ".join(case.play("test", **given).output.split())
    assert "PostgreSQL of this host has database shop, which no test has made; name hosts in app_test_hosts" in refused
    assert databases(host) == ["shop"]
    host.sh("cd /; runuser -u postgres -- dropdb shop")

    case.play("test", **given).check()
    assert host.sh("cat /root/tables").stdout.split() == ["0", "0"]
    steps = case.steps()
    assert {"earlier release: migrate", "upgrade: migrate", "upgrade again: start"} <= set(steps)
    assert databases(host) == []
    assert [check["passed"] for check in case.record()["checks"] if check["name"] == "tests"] == [True]
