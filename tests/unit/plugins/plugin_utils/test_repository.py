# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import (
    ContainerlessError,
    InvalidDocument,
)
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository

from .conftest import STATED, Artifact

NEVER_PUBLISHED = "f" * 64


def folder(repository: Repository) -> Path:
    return t.cast("Path", repository.store.folder)


def at(repository: Repository, key: str) -> Path:
    return folder(repository) / key


def everything(repository: Repository) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder(repository))): p.read_bytes() for p in folder(repository).rglob("*") if p.is_file()
    }


def test_what_was_published_is_read_back(repository: Repository, artifact: Artifact, tmp_path: Path) -> None:
    assert artifact.publish(repository)
    assert repository.manifest(artifact.content_id) == artifact.manifest
    assert repository.provenance(artifact.content_id)["platform"] == "debian12"
    assert canonical.dumps(repository.sbom(artifact.content_id)) == artifact.sbom
    assert repository.fetch_blob(artifact.content_id, tmp_path / "blob", ["gzip"]) == "gzip"
    assert gzip.decompress((tmp_path / "blob").read_bytes()) == artifact.tar


def test_the_layout_is_the_documented_one(repository: Repository, artifact: Artifact) -> None:
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    repository.set_channel("production", repository.pointer(index_id))
    repository.put_record(artifact.record)
    repository.put_build("1" * 64, artifact.content_id)
    blob = artifact.blob.name
    assert set(everything(repository)) == {
        f"shop/blobs/sha256/{blob[:2]}/{blob}",
        f"shop/artifacts/{artifact.content_id}/sbom.cdx.json",
        f"shop/artifacts/{artifact.content_id}/provenance.json",
        f"shop/artifacts/{artifact.content_id}/manifest.json",
        f"shop/artifacts/{artifact.content_id}/records/default-0123456789ab-debian12.json",
        f"shop/indexes/{index_id}.json",
        "shop/channels/production.json",
        f"shop/builds/{'1' * 64}.json",
    }


def test_an_artifact_that_is_there_is_left_alone(repository: Repository, artifact: Artifact) -> None:
    artifact.publish(repository)
    before = everything(repository)
    # Another builder's zlib and clock made other compressed bytes of the same content.
    artifact.provenance = canonical.dumps({**STATED, "blobs": [], "platform": "debian12", "time": "later"})
    assert not artifact.publish(repository)
    assert everything(repository) == before


def test_a_publication_that_was_cut_off_left_no_artifact(repository: Repository, artifact: Artifact) -> None:
    artifact.publish(repository)
    at(repository, repository.keys.manifest(artifact.content_id)).unlink()
    assert not repository.has_artifact(artifact.content_id)
    with pytest.raises(ContainerlessError, match="has no shop/artifacts/"):
        repository.manifest(artifact.content_id)
    with pytest.raises(ContainerlessError, match="has no shop/artifacts/"):
        repository.put_index(artifact.index)
    repository.put_build("1" * 64, artifact.content_id)
    assert repository.build("1" * 64) is None
    # The next builder has another clock; what the first one left must not stand in its way.
    artifact.provenance = canonical.dumps({**canonical.loads(artifact.provenance, "p"), "time": "later"})
    assert artifact.publish(repository)
    assert repository.provenance(artifact.content_id)["time"] == "later"


def test_the_manifest_is_written_last(repository: Repository, artifact: Artifact) -> None:
    artifact.blob.write_bytes(b"other bytes than the provenance names")
    with pytest.raises(ContainerlessError, match="which is not among the files"):
        artifact.publish(repository)
    assert everything(repository) == {}
    # A folder where the manifest should go: every put before it succeeds.
    at(repository, repository.keys.manifest(artifact.content_id)).mkdir(parents=True)
    artifact.blob.write_bytes(gzip.compress(artifact.tar, mtime=0))
    with pytest.raises(ContainerlessError, match="manifest.json"):
        artifact.publish(repository)
    left = [Path(key).name for key in sorted(everything(repository))]
    assert left == ["provenance.json", "sbom.cdx.json", artifact.blob.name]
    assert not repository.has_artifact(artifact.content_id)


@pytest.mark.parametrize(
    "wrong", [b'{"schema": "containerless.manifest/v1"}\n', b"{}", b'{"schema":"containerless.manifest/v2"}\n', b"\xff"]
)
def test_a_manifest_that_is_none_is_not_published(repository: Repository, artifact: Artifact, wrong: bytes) -> None:
    with pytest.raises(ContainerlessError):
        repository.publish(wrong, artifact.provenance, artifact.sbom, {artifact.blob.name: artifact.blob})
    assert everything(repository) == {}


def test_another_sbom_than_the_manifests_is_not_published(repository: Repository, artifact: Artifact) -> None:
    artifact.sbom = canonical.dumps({"bomFormat": "CycloneDX"})
    with pytest.raises(ContainerlessError, match="names an SBOM with the SHA-256"):
        artifact.publish(repository)
    assert everything(repository) == {}


def test_another_projects_manifest_is_refused(other: Repository, artifact: Artifact) -> None:
    with pytest.raises(ContainerlessError, match="belongs to project 'shop', not to 'blog'"):
        artifact.publish(Repository(other.store, "blog"))
    assert everything(other) == {}


def tamper(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_changed_manifest_is_refused(repository: Repository, artifact: Artifact) -> None:
    artifact.publish(repository)
    tamper(at(repository, repository.keys.manifest(artifact.content_id)))
    with pytest.raises(ContainerlessError, match="was changed after it was published"):
        repository.manifest(artifact.content_id)
    with pytest.raises(ContainerlessError, match="was changed after it was published"):
        artifact.publish(repository)


def test_a_changed_index_is_refused(repository: Repository, artifact: Artifact) -> None:
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    tamper(at(repository, repository.keys.index(index_id)))
    with pytest.raises(ContainerlessError, match="was changed after it was published"):
        repository.index(index_id)


def test_a_changed_sbom_is_refused(repository: Repository, artifact: Artifact) -> None:
    artifact.publish(repository)
    tamper(at(repository, repository.keys.sbom(artifact.content_id)))
    with pytest.raises(ContainerlessError, match=r"sbom\.cdx\.json in .* was changed after it was published"):
        repository.sbom(artifact.content_id)


def test_the_files_of_an_artifact_are_listed(repository: Repository, artifact: Artifact) -> None:
    artifact.publish(repository)
    found = repository.listing(artifact.content_id)
    assert found is not None
    assert sorted(found) == ["META/entries", "META/sbom.cdx.json", "app/data"]
    assert found["app/data"] == canonical.sha256(artifact.content)


def test_a_blob_that_is_no_longer_read_here_has_no_list(repository: Repository, artifact: Artifact) -> None:
    blobs = [{**blob, "encoding": "brotli"} for blob in canonical.loads(artifact.provenance, "p")["blobs"]]
    artifact.provenance = canonical.dumps({**STATED, "blobs": blobs})
    artifact.publish(repository)
    assert repository.listing(artifact.content_id) is None


def test_each_blob_is_a_verified_file_for_a_moment(repository: Repository, artifact: Artifact, tmp_path: Path) -> None:
    artifact.publish(repository)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for blob, path in repository.blobs(artifact.content_id, scratch):
        assert (blob.encoding, path.read_bytes()) == ("gzip", artifact.blob.read_bytes())
    assert list(scratch.iterdir()) == []


def add_blob(artifact: Artifact, encoding: str, data: bytes) -> dict[str, Path]:
    """Let a provenance name another blob first; return the files of all."""
    path = artifact.folder / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    provenance = json.loads(artifact.provenance)
    provenance["blobs"].insert(0, {"encoding": encoding, "sha256": path.name, "size": len(data)})
    artifact.provenance = canonical.dumps(provenance)
    return {path.name: path, artifact.blob.name: artifact.blob}


@pytest.mark.parametrize(
    ("reads", "taken"), [(["gzip", "zstd"], "zstd"), (["gzip", "identity"], "gzip"), (["zstd"], "zstd")]
)
def test_a_reader_gets_the_first_blob_that_it_can_read(
    repository: Repository, artifact: Artifact, tmp_path: Path, reads: list[str], taken: str
) -> None:
    files = add_blob(artifact, "zstd", b"as if it were zstd")
    repository.publish(canonical.dumps(artifact.manifest), artifact.provenance, artifact.sbom, files)
    repository.check_readable(artifact.content_id, reads)
    assert repository.fetch_blob(artifact.content_id, tmp_path / "fetched", reads) == taken
    assert (tmp_path / "fetched").read_bytes().startswith({"zstd": b"as if", "gzip": b"\x1f\x8b"}[taken])


def test_a_reader_of_no_blob_is_told_what_to_change(repository: Repository, artifact: Artifact, tmp_path: Path) -> None:
    artifact.publish(repository)
    said = "is compressed as gzip alone, .* reads zstd, identity; .* app_build_encodings"
    with pytest.raises(ContainerlessError, match=said):
        repository.check_readable(artifact.content_id, ["zstd", "identity"])
    with pytest.raises(ContainerlessError, match=said):
        repository.fetch_blob(artifact.content_id, tmp_path / "fetched", ["zstd", "identity"])
    assert not (tmp_path / "fetched").exists()


@pytest.mark.parametrize("damage", [tamper, lambda p: p.write_bytes(b""), lambda p: p.write_bytes(p.read_bytes() * 2)])
def test_a_changed_blob_is_refused(repository: Repository, artifact: Artifact, tmp_path: Path, damage: t.Any) -> None:
    artifact.publish(repository)
    damage(at(repository, repository.keys.blob(artifact.blob.name)))
    dest = tmp_path / "fetched" / "blob"
    dest.parent.mkdir()
    with pytest.raises(ContainerlessError, match="was changed after it was published"):
        repository.fetch_blob(artifact.content_id, dest, ["gzip"])
    assert list(dest.parent.iterdir()) == []


@pytest.mark.parametrize(
    "blobs", [[], [{"encoding": "gzip"}], {}, None, [{"encoding": "x", "sha256": "../x", "size": 1}]]
)
def test_a_provenance_without_sound_blobs_is_refused(repository: Repository, artifact: Artifact, blobs: t.Any) -> None:
    with pytest.raises(ContainerlessError):
        repository.publish(canonical.dumps(artifact.manifest), canonical.dumps({"blobs": blobs}), artifact.sbom, {})
    assert everything(repository) == {}


def test_an_index_must_say_what_its_manifests_say(repository: Repository, artifact: Artifact) -> None:
    artifact.publish(repository)
    index = artifact.index
    index["variants"][0]["libc_min"] = "2.2"
    with pytest.raises(ContainerlessError, match="something else than the manifest"):
        repository.put_index(index)


def test_indexes_are_found_by_version(repository: Repository, artifact: Artifact) -> None:
    assert repository.indexes("1.0.0.g1a2b3c4d") == []
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    assert repository.indexes("1.0.0.g1a2b3c4d") == [index_id]
    assert repository.indexes("2.0") == []


def test_a_channel_moves_once_and_only_to_what_is_published(repository: Repository, artifact: Artifact) -> None:
    assert repository.channel("production") is None
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    pointer = repository.pointer(index_id)
    assert repository.set_channel("production", pointer)
    assert not repository.set_channel("production", pointer)
    assert repository.channel("production") == pointer
    for wrong in ({"index_id": NEVER_PUBLISHED}, {"version": "2.0"}, {"project": "blog"}):
        with pytest.raises(ContainerlessError):
            repository.set_channel("production", {**pointer, **wrong})
    assert repository.channel("production") == pointer


@pytest.mark.parametrize("name", ["", "Production", "../x", "a/b", ".hidden", "a" * 65])
def test_channel_names_are_bounded(repository: Repository, name: str) -> None:
    with pytest.raises(ContainerlessError, match="channel"):
        repository.channel(name)


def test_a_record_is_replaced_by_a_newer_one_alone(repository: Repository, artifact: Artifact) -> None:
    with pytest.raises(ContainerlessError, match="could have been tested"):
        repository.put_record(artifact.record)
    artifact.publish(repository)
    name = artifact.record_name
    assert repository.record(artifact.content_id, name) is None
    assert repository.put_record(artifact.record)
    assert not repository.put_record(artifact.record)
    with pytest.raises(ContainerlessError, match=f"another test record {name} already, made 2026-11-22T12:00:00Z"):
        repository.put_record({**artifact.record, "time": "2026-11-22T11:00:00Z"})
    assert repository.record(artifact.content_id, name) == artifact.record
    newer = {**artifact.record, "time": "2026-11-23T12:00:00Z"}
    assert repository.put_record(newer)
    assert repository.records(artifact.content_id) == {name: newer}
    with pytest.raises(ContainerlessError, match="no name of a test record such as default-0123456789ab-debian12"):
        repository.record(artifact.content_id, "thorough")


def test_a_record_of_another_artifact_is_refused(repository: Repository, artifact: Artifact) -> None:
    artifact.publish(repository)
    repository.store.put_once(
        repository.keys.record(artifact.content_id, artifact.record_name),
        canonical.dumps({**artifact.record, "content_id": NEVER_PUBLISHED}),
    )
    with pytest.raises(ContainerlessError, match="another artifact, level, configuration or system"):
        repository.record(artifact.content_id, artifact.record_name)


def test_a_build_key_leads_to_its_artifact(repository: Repository, artifact: Artifact) -> None:
    assert repository.build("1" * 64) is None
    artifact.publish(repository)
    assert repository.put_build("1" * 64, artifact.content_id)
    assert not repository.put_build("1" * 64, artifact.content_id)
    assert repository.build("1" * 64) == artifact.content_id
    with pytest.raises(ContainerlessError, match="never overwritten"):
        repository.put_build("1" * 64, NEVER_PUBLISHED)


def test_a_copy_is_whole_and_made_once(
    repository: Repository, other: Repository, artifact: Artifact, tmp_path: Path
) -> None:
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    repository.put_record(artifact.record)
    assert repository.missing_in(other, index_id) == [
        other.keys.manifest(artifact.content_id),
        other.keys.record(artifact.content_id, artifact.record_name),
        other.keys.index(index_id),
    ]
    assert everything(other) == {}
    assert repository.copy_to(other, index_id)
    assert everything(other) == everything(repository)
    assert repository.missing_in(other, index_id) == []
    assert not repository.copy_to(other, index_id)


def test_a_record_that_came_later_is_copied_alone(
    repository: Repository, other: Repository, artifact: Artifact
) -> None:
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    repository.copy_to(other, index_id)
    repository.put_record(artifact.record)
    assert repository.missing_in(other, index_id) == [other.keys.record(artifact.content_id, artifact.record_name)]
    assert repository.copy_to(other, index_id)
    assert other.record(artifact.content_id, artifact.record_name) == artifact.record


@pytest.mark.parametrize(("theirs", "copied"), [("2026-01-01T00:00:00Z", True), ("2027-01-01T00:00:00Z", False)])
def test_of_two_tests_of_the_same_bytes_the_last_one_counts(
    repository: Repository, other: Repository, artifact: Artifact, theirs: str, copied: bool
) -> None:
    elsewhere = {**artifact.record, "time": theirs}
    for place, record in ((repository, artifact.record), (other, elsewhere)):
        artifact.publish(place)
        index_id = place.put_index(artifact.index)
        place.put_record(record)
    assert repository.copy_to(other, index_id) is copied
    expected = artifact.record if copied else elsewhere
    assert other.record(artifact.content_id, artifact.record_name) == expected


@pytest.mark.parametrize("which", ["blob", "sbom", "manifest", "index"])
def test_damage_is_not_copied(repository: Repository, other: Repository, artifact: Artifact, which: str) -> None:
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    keys = {
        "blob": repository.keys.blob(artifact.blob.name),
        "sbom": repository.keys.sbom(artifact.content_id),
        "manifest": repository.keys.manifest(artifact.content_id),
        "index": repository.keys.index(index_id),
    }
    tamper(at(repository, keys[which]))
    with pytest.raises(ContainerlessError, match="was changed after it was published"):
        repository.copy_to(other, index_id)
    assert everything(other) == {}


def test_damage_in_the_target_is_not_taken_for_the_artifact(
    repository: Repository, other: Repository, artifact: Artifact
) -> None:
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    artifact.publish(other)
    tamper(at(other, other.keys.manifest(artifact.content_id)))
    with pytest.raises(ContainerlessError, match="was changed after it was published"):
        repository.copy_to(other, index_id)
    assert not other.has_index(index_id)


@pytest.mark.parametrize(
    "changed",
    [
        {"_type": "https://in-toto.io/Statement/v2"},
        {"predicateType": "https://slsa.dev/provenance/v2"},
        {"predicate": {"buildDefinition": {"buildType": "https://example.org/v1"}}},
        {"predicate": None},
    ],
    ids=str,
)
def test_a_provenance_of_another_kind_is_not_read(
    repository: Repository, artifact: Artifact, changed: dict[str, t.Any]
) -> None:
    artifact.provenance = canonical.dumps({**canonical.loads(artifact.provenance, "p"), **changed})
    artifact.publish(repository)
    with pytest.raises(InvalidDocument, match=r"provenance\.json.*is known"):
        repository.provenance(artifact.content_id)
