# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An artifact in a file is tested on a host that is given, which is as before then, and released from its path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository
from ansible_collections.containerless.django.plugins.plugin_utils._store import Missing, open_store
from ansible_collections.containerless.django.tests.rig import APP, Host, Played, Rig
from ansible_collections.containerless.django.tests.unit.plugins.plugin_utils.conftest import Artifact
from conftest import said, traces

Play = Callable[..., Played]


@pytest.fixture(scope="module")
def test(rig: Rig, told: Callable[..., dict[str, Any]]) -> Play:
    return lambda name, value="1", **extra: rig.play("test", **told(name, value, **extra))


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


def test_a_host_that_can_not_be_made_ready_is_reported_and_left_empty(test: Play, host: Host, tmp_path: Path) -> None:
    (tmp_path / "prepare.yml").write_text("- ansible.builtin.fail: {msg: no tariff here}\n")
    reports = tmp_path / "reports"
    extra = {"app_test_prepare": str(tmp_path / "prepare.yml"), "app_test_reports": str(reports)}
    assert "check make a fresh machine failed: no tariff here" in said(test("RIG_READY", **extra))
    assert len(list(reports.iterdir())) == 2
    assert traces(host) == ""
