# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The artifact_info action, run by ansible-playbook on real folders."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.containerless.django.plugins.action import artifact_info as action
from ansible_collections.containerless.django.plugins.module_utils._artifact import identity
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.modules import artifact_info as module
from ansible_collections.containerless.django.plugins.plugin_utils import _offer

from ..plugin_utils.conftest import Artifact, artifact, repository  # noqa: F401
from .test_store_actions import Play, Task, _spec, play, url  # noqa: F401

if t.TYPE_CHECKING:
    from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository


@pytest.fixture
def trixie(tmp_path: Path) -> Artifact:
    """Return a second variant of the same version."""
    found = Artifact(b"another file", tmp_path)
    found.manifest["python"] = {**found.manifest["python"], "version": "3.13", "soabi": "cpython-313-x86_64-linux-gnu"}
    found.provenance = canonical.dumps({**canonical.loads(found.provenance, "p"), "platform": "debian13"})
    return found


@pytest.fixture
def shelf(repository: Repository, artifact: Artifact, trixie: Artifact, tmp_path: Path) -> Repository:  # noqa: F811
    """Return a store with an artifact in production, and two variants of the next version in staging."""
    artifact.publish(repository)
    repository.set_channel("production", repository.pointer(repository.put_index(artifact.index)))
    later = Artifact(b"a file that changed", tmp_path, version="2.0")
    trixie.manifest["version"] = "2.0"
    for one in (later, trixie):
        one.publish(repository)
    index_id = repository.put_index(identity.make_index([later.manifest, trixie.manifest]))
    repository.set_channel("staging", repository.pointer(index_id))
    return repository


def asked(shelf: Repository, **args: t.Any) -> Task:
    return Task("artifact_info", {"project": "shop", "store": url(shelf), **args})


def test_what_is_documented_is_what_is_checked() -> None:
    assert _spec(yaml.safe_load(module.DOCUMENTATION)["options"]) == action.ActionModule.SPEC


def test_an_artifact_is_read_proven_and_compared(play: Play, shelf: Repository, artifact: Artifact) -> None:  # noqa: F811
    read, proven, compared, unsigned, none = play(
        asked(shelf, content_id=artifact.content_id, channel="staging"),
        asked(shelf, channel="production", verify=True),
        asked(shelf, channel="staging", platform="debian12", compare_to="production"),
        asked(shelf, channel="production", signers=["nobody@example.org ssh-ed25519 AAAA"]),
        asked(shelf),
    )
    assert (read["changed"], read["content_id"], read["platform"]) == (False, artifact.content_id, "debian12")
    assert (read["manifest"], read["provenance"]["blobs"][0]["encoding"]) == (artifact.manifest, "gzip")
    assert (canonical.dumps(read["sbom"]), read["signed_by"]) == (artifact.sbom, "unsigned")
    assert not read.keys() & {"verified", "difference"}
    (checked,) = proven["verified"]
    assert (checked["encoding"], checked["sha256"], checked["checked"]) == ("gzip", artifact.blob.name, "every byte")
    assert compared["compared_to"] == artifact.content_id
    assert compared["difference"]["artifact"]["changed"]["version"] == {"old": artifact.version, "new": "2.0"}
    assert compared["difference"]["files"]["app"]["changed"] == {"count": 1, "names": ["app/data"]}
    assert "app files: 1 changed\n  ~ app/data\n" in compared["diff"]["prepared"]
    assert unsigned["failed"]
    assert none["msg"].startswith("content_id or channel must be given")


@pytest.mark.parametrize(
    ("meant", "platform", "said"),
    [
        ("f" * 64, "", "has no artifact f{64} of shop"),
        ("none", "", "has no channel none of shop"),
        ("staging", "", "channel staging of shop offers debian12, debian13; name one as platform"),
        ("production", "debian13", "channel production of shop offers debian12, not debian13"),
        ("../x", "", "channel '../x' must be"),
    ],
)
def test_what_is_not_offered_is_an_error(shelf: Repository, meant: str, platform: str, said: str) -> None:
    with pytest.raises(ContainerlessError, match=said):
        _offer.choose(shelf, meant, platform)


def test_each_platform_has_its_own(shelf: Repository, trixie: Artifact) -> None:
    assert _offer.choose(shelf, "staging", "debian13") == trixie.content_id


def test_what_this_machine_can_not_read_is_checked_by_its_digest(
    repository: Repository,  # noqa: F811
    artifact: Artifact,  # noqa: F811
) -> None:
    known = canonical.loads(artifact.provenance, "p")
    artifact.provenance = canonical.dumps({**known, "blobs": [{**known["blobs"][0], "encoding": "brotli"}]})
    artifact.publish(repository)
    assert [blob["checked"] for blob in _offer.prove(repository, artifact.content_id)] == ["digest of the blob"]


@pytest.mark.parametrize("what", ["blob", "sbom", "manifest"])
def test_one_flipped_bit_is_found(repository: Repository, artifact: Artifact, what: str) -> None:  # noqa: F811
    artifact.publish(repository)
    keys = repository.keys
    key = keys.blob(artifact.blob.name) if what == "blob" else getattr(keys, what)(artifact.content_id)
    path = t.cast("Path", repository.store.folder) / key
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(ContainerlessError, match="was changed after it was published"):
        _offer.prove(repository, artifact.content_id)
