# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import identity
from ansible_collections.containerless.django.plugins.plugin_utils import _release_offer
from ansible_collections.containerless.django.plugins.plugin_utils._release_offer import Offer
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository
from ansible_collections.containerless.django.plugins.plugin_utils._units import Templates

from .conftest import Artifact
from .test_units import CONFIG

SOABI = "cpython-311-x86_64-linux-gnu"
HOST: dict[str, Any] = {
    "machine": "x86_64",
    "libc": "glibc",
    "libc_version": "2.36",
    "pythons": {SOABI: "/usr/bin/python3.11"},
    "systemd": 252,
    "platform": "debian12",
}


@pytest.fixture
def index_id(repository: Repository, artifact: Artifact) -> str:
    """Publish an artifact that runs on the sample project's server, and its index."""
    artifact.manifest["distributions"] = [
        {"name": name, "version": version, "file": f"{name}.whl", "sha256": "0" * 64}
        for name, version in (("django", "5.2.19"), ("gunicorn", "23.0.0"))
    ]
    artifact.publish(repository)
    return repository.put_index(artifact.index)


@pytest.fixture
def templates(root: Path) -> Templates:
    return Templates(release=root / "roles/app_release/templates", sandbox=root / "roles/app_sandbox/templates")


def make(repository: Repository, index_id: str, templates: Templates, **host: Any) -> Offer:
    return _release_offer.make(
        repository, index_id=index_id, host={**HOST, **host}, layout=Layout("shop"), config=CONFIG, templates=templates
    )


def test_an_offer_is_made_of_what_the_store_holds(
    repository: Repository, artifact: Artifact, index_id: str, templates: Templates
) -> None:
    offer = make(repository, index_id, templates)
    assert (offer.manifest, offer.content_id) == (artifact.manifest, artifact.content_id)
    assert offer.interpreter == "/usr/bin/python3.11"
    assert offer.document["index_id"] == index_id
    assert offer.release_id == identity.release_id(offer.document)
    assert f"CONTAINERLESS_RELEASE={offer.release_id}" in offer.units["containerless-shop-web@.service"]


def test_every_host_of_a_fleet_is_offered_the_same_release(
    repository: Repository, index_id: str, templates: Templates
) -> None:
    one = make(repository, index_id, templates)
    other = make(repository, index_id, templates, systemd=257, pythons={SOABI: "/usr/local/bin/python3.11"})
    assert one.release_id == other.release_id
    assert one.units != other.units


def test_what_is_sent_holds_no_content_of_the_store_twice(
    repository: Repository, index_id: str, templates: Templates
) -> None:
    sent = make(repository, index_id, templates).desired()
    assert sorted(sent) == ["boot_unit", "document", "interpreter", "manifest", "release_id", "signed_by", "units"]


@pytest.mark.parametrize(("systemd", "refused"), [(251, True), (252, False), (257, False)])
def test_a_systemd_that_ignores_parts_of_the_sandbox_is_refused(systemd: int, refused: bool) -> None:
    if not refused:
        _release_offer.check_host({**HOST, "systemd": systemd})
        return
    with pytest.raises(ContainerlessError, match="systemd 251 is older than 252"):
        _release_offer.check_host({**HOST, "systemd": systemd})


def test_a_host_without_a_variant_is_told_what_there_is(
    repository: Repository, index_id: str, templates: Templates
) -> None:
    with pytest.raises(ContainerlessError, match=f"offers {SOABI}.*the host has cpython-313.*app_build_platforms"):
        make(repository, index_id, templates, pythons={"cpython-313-x86_64-linux-gnu": "/usr/bin/python3.13"})


# passed, reason -> message
TESTED: list[tuple[bool | None, str, str]] = [
    (True, "", ""),
    (None, "", "has no test record; .*app_release_untested_reason"),
    (False, "", "failed its test; .*app_release_untested_reason"),
    (None, "a typo on the front page", ""),
]


@pytest.mark.parametrize(("passed", "reason", "message"), TESTED)
def test_only_what_was_tested_is_released(
    repository: Repository, artifact: Artifact, passed: bool | None, reason: str, message: str
) -> None:
    artifact.publish(repository)
    if passed is not None:
        repository.put_record({**artifact.record, "passed": passed})
    if not message:
        _release_offer.check_tested(repository, artifact.content_id, reason)
        return
    with pytest.raises(ContainerlessError, match=message):
        _release_offer.check_tested(repository, artifact.content_id, reason)
