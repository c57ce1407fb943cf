# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variant is tested where: a host that takes none, and a variant that nobody takes, are said."""

from __future__ import annotations

import copy
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.containerless.django.plugins.module_utils._artifact import identity
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._test import guest
from ansible_collections.containerless.django.plugins.plugin_utils import _test_cases

from ..module_utils.documents import MANIFEST
from .test_release_offer import HOST

ROOT = Path(__file__).parents[4]


def manifest(soabi: str, version: str) -> dict[str, t.Any]:
    made = copy.deepcopy(MANIFEST)
    made["python"] = {**made["python"], "soabi": soabi, "version": version}
    return made


OLD, NEW = (
    identity.content_id(manifest(*python))
    for python in (("cpython-311-x86_64-linux-gnu", "3.11"), ("cpython-313-x86_64-linux-gnu", "3.13"))
)
INDEX = identity.make_index(
    [manifest("cpython-311-x86_64-linux-gnu", "3.11"), manifest("cpython-313-x86_64-linux-gnu", "3.13")]
)
PLATFORMS = {OLD: "debian12", NEW: "debian13"}


def host(platform: str, soabi: str) -> dict[str, t.Any]:
    return {**HOST, "platform": platform, "pythons": {soabi: "/usr/bin/python3"}}


BOOKWORM = host("debian12", "cpython-311-x86_64-linux-gnu")
TRIXIE = host("debian13", "cpython-313-x86_64-linux-gnu")
RHEL = host("rhel9", "cpython-311-x86_64-linux-gnu")


def places(cases: list[_test_cases.Case]) -> list[tuple[str, str, str]]:
    return [(case["content_id"], case["platform"], case["machine"]) for case in cases]


def test_each_variant_has_a_machine_of_its_own() -> None:
    found = places(_test_cases.on_machines(INDEX, PLATFORMS))
    assert found == [(OLD, "debian12", f"test-{OLD[:8]}"), (NEW, "debian13", f"test-{NEW[:8]}")]


def test_each_host_tests_the_variant_that_it_takes() -> None:
    hosts = {"a": TRIXIE, "b": BOOKWORM, "c": BOOKWORM, "d": RHEL}
    assert places(_test_cases.on_hosts(INDEX, PLATFORMS, hosts)) == [
        (NEW, "debian13", "a"),
        (OLD, "debian12", "b"),
        # Another system is another test, of the same bytes.
        (OLD, "rhel9", "d"),
    ]


def test_a_host_that_no_variant_fits_is_named() -> None:
    odd = host("debian11", "cpython-39-x86_64-linux-gnu")
    with pytest.raises(
        ContainerlessError, match=r"^app_test_hosts names odd \(debian11\): shop \S+ has no variant for this host: "
    ):
        _test_cases.on_hosts(INDEX, PLATFORMS, {"a": BOOKWORM, "b": TRIXIE, "odd": odd})


def test_a_variant_that_no_host_takes_is_named() -> None:
    with pytest.raises(
        ContainerlessError,
        match=r"^app_test_hosts names no host for the variant debian13 \(cpython-313-x86_64-linux-gnu\) of shop ",
    ):
        _test_cases.on_hosts(INDEX, PLATFORMS, {"a": BOOKWORM})


def test_the_role_releases_as_a_guest() -> None:
    """By these words a host knows what may be removed."""
    told = yaml.safe_load((ROOT / "roles/app_test/vars/main.yml").read_text(encoding="utf-8"))
    assert told["__app_test_why"] == guest.WHY
    for name in ("release", "back"):
        (task,) = yaml.safe_load((ROOT / f"roles/app_test/tasks/{name}.yml").read_text(encoding="utf-8"))
        assert task["vars"]["app_release_reason"] == "{{ __app_test_why }}"
