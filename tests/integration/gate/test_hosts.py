# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An artifact in a file is tested on a host that is given, which is as before then, and released from its path."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.containerless.django.plugins.module_utils._test import guest
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository
from ansible_collections.containerless.django.plugins.plugin_utils._store import Missing, open_store
from ansible_collections.containerless.django.tests.rig import APP, Host, Played, Rig, core
from ansible_collections.containerless.django.tests.rig.plays import ROOT, command
from ansible_collections.containerless.django.tests.unit.plugins.plugin_utils.conftest import Artifact

#: Longer than until the release is staged: a lease that is over before finds nothing to end.
LEASE = 45
PATIENCE = 120
#: Whatever an app leaves on a host, and who waits to remove it.
TRACES = f"""
ls -d /srv/containerless/{APP} /etc/containerless/{APP} /var/lib/containerless/{APP} /run/containerless/{APP} || :
systemctl list-units --all --plain --no-legend 'containerless-{APP}*'
getent passwd cl-{APP} || :
"""

Play = Callable[..., Played]


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    core.publish("debian12", ("v1",))
    with Rig("lab") as made:
        yield made


@pytest.fixture(scope="module")
def host(rig: Rig) -> Host:
    return rig.hosts[0]


@pytest.fixture(scope="module")
def file(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an artifact that was uploaded to a file."""
    path = tmp_path_factory.mktemp("drop") / "rig-1-debian12.tar.gz"
    told = {"app_upload_from": core.store("debian12").as_uri(), "app_upload_channel_from": "v1"}
    rig.play("upload", app_store=str(path), **told).check()
    return path


@pytest.fixture(scope="module")
def told(rig: Rig, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Return the variables of a test, in an environment with another name: what was tested once is not tested again."""
    reports = str(tmp_path_factory.mktemp("reports"))

    def made(name: str, value: str = "1", **extra: Any) -> dict[str, Any]:
        env = {**rig.settings["app_release_env"], name: value}
        given = {"app_test_store": str(file), "app_test_hosts": ["rig1"], "app_test_reports": reports}
        return {**given, "app_test_settle": 1, "app_release_env": env, **extra}

    return made


@pytest.fixture(scope="module")
def test(rig: Rig, told: Callable[..., dict[str, Any]]) -> Play:
    return lambda name, value="1", **extra: rig.play("test", **told(name, value, **extra))


def traces(host: Host) -> str:
    return host.sh(TRACES).stdout.strip()


def said(played: Played) -> str:
    assert played.rc, "it passed"
    return " ".join(played.output.split())


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"app_test_hosts": []}, "app_test_hosts is empty; name hosts of the inventory, or leave it out"),
        ({"app_test_hosts": ["rig1", "rig9"]}, "app_test_hosts names rig9, which the inventory does not have"),
        (
            {"app_test_services": ["redis"]},
            "app_test_services has redis, which is for machines of our own; have it on the hosts",
        ),
    ],
)
def test_bad_hosts_are_refused(test: Play, host: Host, bad: dict[str, Any], why: str) -> None:
    assert why in said(test("RIG_BAD", **bad))
    assert traces(host) == ""


def test_a_host_that_no_variant_fits_is_refused(rig: Rig, tmp_path: Path) -> None:
    odd = Artifact(b"of a Python to come", tmp_path)
    odd.manifest = {**odd.manifest, "python": {**odd.manifest["python"], "soabi": "cpython-399-x86_64-linux-gnu"}}
    place = Repository(open_store((tmp_path / "store").as_uri(), missing=Missing.CREATE), "shop")
    odd.publish(place)
    place.set_channel("odd", place.pointer(place.put_index(odd.index)))
    told = {"app_name": "shop", "app_test_store": place.store.name.split()[1], "app_test_channel": "odd"}
    refused = said(rig.play("test", **told, app_test_hosts="rig1"))
    assert "app_test_hosts names rig1 (debian12): shop 1.0.0.g1a2b3c4d has no variant for this host" in refused


def test_a_path_is_tested_on_a_host_and_released_from_there(test: Play, rig: Rig, host: Host, file: Path) -> None:
    test("RIG_PATH").check()
    assert traces(host) == ""
    (record,) = file.parent.glob(f"{file.name}.records.default-*-debian12.json")
    assert record.with_suffix(".html").is_file()
    # It has its record, so nothing is done.
    assert test("RIG_PATH").check().recap["localhost"]["changed"] == 0

    release = rig.play("release", app_store=str(file), app_release_untested_reason="")
    assert "was tested with another configuration" in said(release)
    env = {**rig.settings["app_release_env"], "RIG_PATH": "1"}
    rig.play("release", app_store=str(file), app_release_untested_reason="", app_release_env=env).check()
    # Now it is no guest: a test would end with the removal of what is live.
    before = host.sh(f"containerless history {APP} --json").stdout
    assert "rig is on this host by other releases than those of a test" in said(test("RIG_OTHER"))
    assert host.sh(f"containerless history {APP} --json").stdout == before
    rig.remove(data=True).check()


def test_what_failed_goes_too_and_what_is_kept_goes_with_the_next_test(test: Play, host: Host) -> None:
    fault = {"value": "import", "app_release_health_timeout": 3}
    assert "no test record, check release: " in said(test("RIG_FAULT", **fault, app_test_keep=True))
    assert host.sh(f"containerless history {APP} --json").stdout.count('"activation"') == 1
    assert "no test record, check release: " in said(test("RIG_FAULT", **fault))
    assert traces(host) == ""


def test_a_host_ends_a_killed_test_by_itself(
    rig: Rig, told: Callable[..., dict[str, Any]], host: Host, tmp_path: Path
) -> None:
    argv = command(
        "containerless.django.test", rig.inventory, told("RIG_KILLED", app_test_lease=LEASE, app_test_settle=60)
    )
    log = tmp_path / "log"
    with log.open("wb") as out, subprocess.Popen(argv, cwd=ROOT, stdout=out, stderr=out, start_new_session=True) as run:
        while "Check what runs there" not in log.read_text(errors="replace"):
            assert run.poll() is None, log.read_text(errors="replace")[-3000:]
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait(PATIENCE)
    (left,) = json.loads(host.sh(f"containerless history {APP} --json").stdout)
    assert left["why"].startswith(guest.WHY)
    deadline = time.monotonic() + PATIENCE
    while traces(host) and time.monotonic() < deadline:
        time.sleep(1)
    assert traces(host) == ""
