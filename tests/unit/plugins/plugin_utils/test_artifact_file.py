# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One artifact in a file is a store like any other: read, signed, tested and released, with nothing else in it."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _offer, _signing, _tested
from ansible_collections.containerless.django.plugins.plugin_utils._artifact_file import path_of
from ansible_collections.containerless.django.plugins.plugin_utils._build_action import build_store
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository
from ansible_collections.containerless.django.plugins.plugin_utils._signing import Signer
from ansible_collections.containerless.django.plugins.plugin_utils._store import Missing, open_store

from ..module_utils.ssh_keys import Keys
from .conftest import Artifact

WANTED = _tested.Wanted("default", "0123456789ab", "debian12")
NOW = "2026-12-01T12:00:00Z"


def opened(file: Path, missing: Missing = Missing.REFUSE) -> Repository:
    return Repository(open_store(str(file), missing=missing), "shop")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "drop" / "shop-1.4.tar.gz"


@pytest.fixture
def full(repository: Repository, artifact: Artifact, file: Path) -> Repository:
    """Return the file, uploaded to from a store."""
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    file.parent.mkdir()
    target = opened(file, Missing.CREATE)
    assert repository.copy_to(target, index_id)
    assert target.set_channel("production", repository.pointer(index_id)) is False
    return opened(file)


def test_it_is_the_blob_with_its_documents_beside_it(full: Repository, artifact: Artifact, file: Path) -> None:
    assert file.read_bytes() == artifact.blob.read_bytes()
    beside = sorted(path.name.removeprefix("shop-1.4.tar.gz") for path in file.parent.iterdir())
    assert beside == ["", ".manifest.json", ".provenance.json", ".sbom.cdx.json"]
    assert full.manifest(artifact.content_id) == artifact.manifest
    assert [item["checked"] for item in _offer.prove(full, artifact.content_id)] == ["every byte"]


@pytest.mark.parametrize("channel", ["production", "built-1a2b3c4d"])
def test_every_channel_names_it(full: Repository, artifact: Artifact, channel: str) -> None:
    pointer = full.channel(channel)
    assert pointer
    assert full.index(pointer["index_id"]) == artifact.index
    assert full.indexes(pointer["version"]) == [pointer["index_id"]]
    assert not full.has_index("0" * 64)


def test_record_report_and_signatures_stand_beside_it(
    full: Repository, artifact: Artifact, file: Path, tmp_path: Path
) -> None:
    keys = Keys(tmp_path)
    keys.make("ann")
    signers, ann = [keys.fill("ann@x <ann>")], Signer(keys.path("ann"))
    full.put_record(artifact.record)
    full.put_report(artifact.record, "html", b"<html>")
    ann.sign_artifact(full, artifact.content_id)
    ann.sign_record(full, artifact.content_id, artifact.record_name)
    kinds = {path.name.removeprefix("shop-1.4.tar.gz.").partition(".")[0] for path in file.parent.iterdir()}
    assert kinds >= {"records", "signatures"}
    assert _tested.counting(full, artifact.content_id, WANTED, signers=signers, time=NOW) == artifact.record
    assert _signing.signed_by(full, artifact.content_id, signers) == "ann@x"
    # A newer record takes the older one's signatures with it.
    full.put_record({**artifact.record, "time": "2026-11-23T12:00:00Z"})
    with pytest.raises(ContainerlessError, match="there is no signature"):
        _tested.counting(full, artifact.content_id, WANTED, signers=signers, time=NOW)
    assert list(full.records(artifact.content_id)) == [artifact.record_name]


def test_a_file_that_was_changed_is_refused(full: Repository, artifact: Artifact, file: Path, tmp_path: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ContainerlessError, match=r"has no shop/blobs/"):
        full.fetch_blob(artifact.content_id, tmp_path / "blob", ["gzip"])


def test_a_manifest_that_was_changed_is_another_artifact(full: Repository, artifact: Artifact, file: Path) -> None:
    place = file.with_name(f"{file.name}.manifest.json")
    place.write_bytes(canonical.dumps({**artifact.manifest, "version": "9.9"}))
    assert not full.has_artifact(artifact.content_id)
    with pytest.raises(ContainerlessError, match="has no shop/artifacts/"):
        full.manifest(artifact.content_id)


def test_nothing_else_goes_into_it(full: Repository, artifact: Artifact, tmp_path: Path, file: Path) -> None:
    before = sorted(path.name for path in file.parent.iterdir())
    other = Artifact(b"another", tmp_path)
    with pytest.raises(
        ContainerlessError, match=r"can't write .*: shop-1.4.tar.gz holds one artifact and nothing else"
    ):
        full.put_index(other.index) if other.publish(full) else None
    with pytest.raises(ContainerlessError, match="holds one artifact and nothing else"):
        full.put_build("0" * 64, artifact.content_id)
    assert [name for name in before if not file.with_name(name).exists()] == []


def test_another_project_is_told_so(full: Repository, file: Path, artifact: Artifact) -> None:
    stranger = Repository(open_store(file.as_uri()), "blog")
    with pytest.raises(ContainerlessError, match=r"belongs to project 'shop', not to 'blog' \(app_name\)"):
        stranger.channel("production")


BAD: list[tuple[str, str]] = [
    ("{tmp}/none.tar.gz", r"^app_store \S+/none.tar.gz is not there; upload an artifact to it, or correct the path$"),
    ("none.tar.gz", r"^app_store none.tar.gz must be a URL such as .*, or the absolute path of one artifact such as "),
    ("{tmp}/shop.zip", r"^app_store \S+/shop.zip must be a URL"),
]


@pytest.mark.parametrize(("url", "said"), BAD)
def test_a_path_that_is_none_is_said(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(ContainerlessError, match=said):
        open_store(url.format(tmp=tmp_path))


def test_a_file_in_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ContainerlessError, match=r"is in no folder of the control node; create \S+/never$"):
        open_store(f"{tmp_path}/never/shop.tar.gz", missing=Missing.CREATE)


def test_a_build_store_is_no_file(tmp_path: Path) -> None:
    args: dict[str, t.Any] = {"store": f"{tmp_path}/shop.tar.gz", "name": "shop"}
    with pytest.raises(ContainerlessError, match="is one artifact; a build needs a folder or a bucket"):
        build_store(args, check_mode=False)


def test_a_folder_keeps_its_meaning(tmp_path: Path) -> None:
    (tmp_path / "odd.tar.gz").mkdir()
    assert open_store(f"file://{tmp_path}/odd.tar.gz").folder == tmp_path / "odd.tar.gz"
    assert path_of("s3://bucket/shop.tar.gz") is None
    assert path_of(f"file://{tmp_path}") is None
