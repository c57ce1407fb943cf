# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import identity
from ansible_collections.containerless.django.plugins.plugin_utils import _release_offer
from ansible_collections.containerless.django.plugins.plugin_utils._release_offer import Offer
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository
from ansible_collections.containerless.django.plugins.plugin_utils._signing import Signer
from ansible_collections.containerless.django.plugins.plugin_utils._units import Templates

from ..module_utils.ssh_keys import Keys
from .conftest import Artifact
from .test_units import CONFIG

SOABI = "cpython-311-x86_64-linux-gnu"
HOST: dict[str, Any] = {
    "machine": "x86_64",
    "libc": "glibc",
    "libc_version": "2.36",
    "pythons": {SOABI: "/usr/bin/python3.11"},
    "encodings": ["gzip", "identity"],
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


def make(
    repository: Repository, index_id: str, templates: Templates, signers: Sequence[str] = (), **host: Any
) -> Offer:
    return _release_offer.make(
        repository,
        index_id=index_id,
        host={**HOST, **host},
        layout=Layout("shop"),
        config=CONFIG,
        templates=templates,
        signers=signers,
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


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = Keys(tmp_path_factory.mktemp("keys"))
    made.make("ann")
    made.make("eve")
    return made


def test_a_signature_changes_no_release(
    repository: Repository, index_id: str, templates: Templates, keys: Keys
) -> None:
    signers = [keys.fill("ann@x <ann>")]
    unsigned = make(repository, index_id, templates)
    assert unsigned.signed_by == "unsigned"
    Signer(keys.path("ann")).sign_artifact(repository, unsigned.content_id)
    assert make(repository, index_id, templates).signed_by == f"{keys.fingerprint('ann')} (not checked)"
    signed = make(repository, index_id, templates, signers)
    assert signed.signed_by == "ann@x"
    assert (signed.release_id, signed.units) == (unsigned.release_id, unsigned.units)


def test_nothing_is_offered_that_no_allowed_key_signed(
    repository: Repository, index_id: str, templates: Templates, keys: Keys
) -> None:
    signers = [keys.fill("ann@x <ann>")]
    with pytest.raises(ContainerlessError, match="its manifest: there is no signature"):
        make(repository, index_id, templates, signers)
    Signer(keys.path("eve")).sign_artifact(repository, make(repository, index_id, templates).content_id)
    with pytest.raises(ContainerlessError, match=f"its manifest: {re.escape(keys.fingerprint('eve'))} is not among"):
        make(repository, index_id, templates, signers)


@pytest.mark.parametrize("lie", [{"version": "9.0"}, {"commit": "c" * 40}, {"variants": {"libc_min": "2.2"}}])
def test_an_index_can_not_pass_an_artifact_off_as_another(
    repository: Repository, artifact: Artifact, templates: Templates, lie: dict[str, Any]
) -> None:
    """Only the manifest is signed; whoever can write to the store writes an index of old artifacts."""
    artifact.publish(repository)
    variants = [{**variant, **lie.get("variants", {})} for variant in artifact.index["variants"]]
    forged = canonical.dumps({**artifact.index, **lie, "variants": variants})
    repository.store.put_once(repository.keys.index(canonical.sha256(forged)), forged)
    with pytest.raises(ContainerlessError, match="says something else than the manifest of"):
        make(repository, canonical.sha256(forged), templates)
