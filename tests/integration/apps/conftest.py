# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of each image, with a database and a cache of Debian's, on which real projects are built and released."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible_collections.containerless.django.tests.fixtures.shop_served import history
from ansible_collections.containerless.django.tests.rig import Host, hosts as machines
from ansible_collections.containerless.django.tests.rig.plays import Played, play

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CACHE = ROOT / ".cache/apps"
IMAGES = ("debian12", "debian13")
#: A project's sources: made once, as its commits are always the same.
SECRETS = {"SECRET_KEY": "only-for-these-tests-0123456789-abcdefghijklmnopqrstuvwxyz"}

#: Debian 13 has Redis listen at a socket, Debian 12 does not.
PEERS = """
printf 'unixsocket /run/redis/redis-server.sock\\nunixsocketperm 777\\n' >> /etc/redis/redis.conf
systemctl start redis-server postgresql
echo 127.0.0.1 db.internal redis.internal >> /etc/hosts
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--image", action="append", default=[], choices=IMAGES, help="an image; all of them by default")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "image" in metafunc.fixturenames:
        metafunc.parametrize("image", metafunc.config.getoption("image") or IMAGES, scope="session")


@dataclass(frozen=True)
class Project:
    """A project on a machine: an app of its name, at a domain of its name."""

    host: Host
    folder: Path
    settings: t.Mapping[str, t.Any] = field(default_factory=dict)

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory"

    def play(self, *playbooks: str, **extra: t.Any) -> Played:
        names = [f"containerless.django.{playbook}" for playbook in playbooks]
        return play(names, self.inventory, {**self.settings, **extra})

    def ship(self, tag: str, **extra: t.Any) -> None:
        """Build a tag on the machine, unless an earlier run did, upload it and release it."""
        told = {"app_build_ref": tag, "app_upload_channel": tag, "app_release_channel": tag}
        self.play("build", "upload", "release", **told, **extra).check()

    def release(self, tag: str, **extra: t.Any) -> Played:
        return self.play("release", app_release_channel=tag, **extra)

    def ask(self, path: str, *options: str) -> tuple[int, str]:
        """Ask nginx; return status and body."""
        argv = ["curl", "-sS", "--max-time", "30", "-H", f"Host: {self.host.domain}", "-w", "\n%{http_code}", *options]
        done = subprocess.run([*argv, f"{self.host.http}{path}"], capture_output=True, text=True, check=True)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def manage(self, source: str) -> str:
        """Run Python in the app's sandbox, Django set up; return its last line."""
        quoted = json.dumps(source)
        return self.host.sh(f"containerless manage {self.host.app} -- shell -c {quoted}").stdout.splitlines()[-1]

    def status(self) -> dict[str, t.Any]:
        return dict(json.loads(self.host.sh(f"containerless status {self.host.app} --json").stdout)[0])


def sandbox_info(inventory: Path, app: str) -> list[dict[str, t.Any]]:
    """Return what the module says of each process, after a look at it from inside."""
    argv = ["ansible", "app", "-i", str(inventory), "-b", "-o", "-m", "containerless.django.sandbox_info"]
    done = subprocess.run([*argv, "-a", f"name={app}"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return list(json.loads(done.stdout.partition("=> ")[2])["units"])


def assert_strict(project: Project, exposure: str) -> None:
    """Nothing was opened, and nothing that the profile asks for is missing, by what the host itself says."""
    status = project.status()
    assert status["running"] is True
    assert status["sandbox"]["profile"] == "strict"
    assert status["sandbox"]["opt_out"] == []
    seen = sandbox_info(project.inventory, project.host.app)
    assert {unit["exposure"] for unit in seen} == {exposure}
    accepted = {item["directive"] for item in status["sandbox"]["unenforced"]}
    assert {item["directive"] for unit in seen for item in unit["weak"]} <= accepted
    assert {unit["not_probed"] for unit in seen} == {""}
    project.host.sh(f"! systemctl --failed --plain --no-legend | grep containerless-{project.host.app}")


@pytest.fixture(scope="session")
def machine(image: str) -> t.Iterator[Host]:
    folder = CACHE / "runs" / image
    machines.remove(folder)
    shutil.rmtree(folder, ignore_errors=True)
    machines.inventory(folder, {})
    try:
        made = machines.make(folder, [{"name": "apps", "image": image, "backend": "nspawn", "groups": ["app"]}])
        host = Host("apps", "shop", "shop.example.org", made["apps"])
        host.proxy()
        host.sh(PEERS)
        yield host
    finally:
        machines.remove(folder)


def _settings(image: str, app: str, source: Path) -> dict[str, t.Any]:
    store = CACHE / "store" / image
    store.mkdir(parents=True, exist_ok=True)
    return {
        "app_name": app,
        "app_src": str(source),
        "app_store": store.as_uri(),
        "app_build_store": (CACHE / "built" / image).as_uri(),
        "app_build_host": "apps",
        "app_build_platforms": [image],
        "app_upload_require_test_record": False,
        "app_machine_install_packages": False,
        "app_release_untested_reason": "what it shows is whether it runs",
        "app_release_domain": f"{app}.example.org",
        "app_release_secrets": SECRETS,
        "app_release_drain": 1,
        "app_release_watch": 1,
        "app_release_health_stay_up": 1,
    }


@pytest.fixture(scope="session")
def shop(image: str, machine: Host) -> Project:
    """The sample project; its tags are the ways to serve it."""
    source = CACHE / "shop"
    shutil.rmtree(source, ignore_errors=True)
    history.create(source)
    env = {"DJANGO_SETTINGS_MODULE": "shop.settings", "SHOP_HOSTS": "shop.example.org"}
    settings = {**_settings(image, "shop", source), "app_release_env": env, "app_release_health_path": "/health/"}
    return Project(machine, CACHE / "runs" / image, settings)


@pytest.fixture(scope="session")
def site(image: str, machine: Host) -> Project:
    """A site as `wagtail start` makes it, for the Python of the image."""
    source = CACHE / f"site-{image}"
    if not source.exists():
        python = machine.sh("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").stdout.strip()
        make = ROOT / "tests/fixtures/wagtail_site/make.py"
        subprocess.run([sys.executable, str(make), str(source), python], check=True)
    host = Host(machine.name, "site", "site.example.org", machine.variables)
    template = (ROOT / "docs/examples/nginx.conf.j2").read_text(encoding="utf-8")
    text = template.replace("{{ app_name }}", "site").replace("{{ app_release_domain }}", "site.example.org")
    host.put(text.encode(), "/etc/nginx/conf.d/site.conf")
    host.sh("nginx -q -t && systemctl reload nginx")
    settings = {
        **_settings(image, "site", source),
        "app_release_env": {"DJANGO_SETTINGS_MODULE": "mysite.settings.production", "SITE_HOST": "site.example.org"},
        "app_release_public_dirs": ["media"],
    }
    return Project(host, CACHE / "runs" / image, settings)
