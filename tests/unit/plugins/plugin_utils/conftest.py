# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real stores in folders of their own, with artifacts that are small but whole."""

from __future__ import annotations

import gzip
import hashlib
import io
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import identity, provenance, tar, tree
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository, record_name
from ansible_collections.containerless.django.plugins.plugin_utils._store import Missing, open_store

from ..module_utils.documents import MANIFEST, TEST_RECORD

SBOM = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}


#: What every provenance says of its own kind.
STATED: dict[str, t.Any] = {
    "_type": provenance.STATEMENT,
    "predicateType": provenance.PREDICATE,
    "predicate": {"buildDefinition": {"buildType": provenance.BUILD_TYPE}},
}


@dataclass
class Artifact:
    """What a builder hands to publish(): an artifact whose tree has one file with `content`, and META."""

    content: bytes
    folder: Path
    version: str = MANIFEST["version"]
    tar: bytes = field(init=False)
    manifest: dict[str, t.Any] = field(init=False)
    provenance: bytes = field(init=False)
    sbom: bytes = canonical.dumps(SBOM)
    blob: Path = field(init=False)

    def __post_init__(self) -> None:
        with tempfile.TemporaryDirectory() as root:
            for name, data in (("app/data", self.content), ("META/sbom.cdx.json", self.sbom)):
                Path(root, name).parent.mkdir()
                Path(root, name).write_bytes(data)
            sealed = tree.seal(root)
            out = io.BytesIO()
            tar.write_tar(root, out, mtime=MANIFEST["source_date_epoch"])
        self.tar = out.getvalue()
        packed = gzip.compress(self.tar, mtime=0)
        sha256 = hashlib.sha256(packed).hexdigest()
        self.blob = self.folder / sha256
        self.blob.write_bytes(packed)
        self.manifest = {
            **MANIFEST,
            "version": self.version,
            "tar": {"sha256": hashlib.sha256(self.tar).hexdigest(), "size": len(self.tar)},
            "tree": {"sha256": sealed.sha256, "files": sealed.files, "bytes": sealed.bytes},
            "sbom": {"sha256": canonical.sha256(self.sbom)},
        }
        blobs = [{"encoding": "gzip", "sha256": sha256, "size": len(packed)}]
        self.provenance = canonical.dumps({**STATED, "blobs": blobs, "platform": "debian12"})

    @property
    def content_id(self) -> str:
        return identity.content_id(self.manifest)

    @property
    def index(self) -> dict[str, t.Any]:
        return identity.make_index([self.manifest])

    @property
    def record(self) -> dict[str, t.Any]:
        return {**TEST_RECORD, "content_id": self.content_id}

    @property
    def record_name(self) -> str:
        return record_name(self.record)

    def publish(self, repository: Repository) -> bool:
        blobs = {self.blob.name: self.blob}
        return repository.publish(canonical.dumps(self.manifest), self.provenance, self.sbom, blobs)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return Artifact(b"a file" * 100_000, tmp_path)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(open_store(f"file://{tmp_path}/build", missing=Missing.CREATE), "shop")


@pytest.fixture
def other(tmp_path: Path) -> Repository:
    return Repository(open_store(f"file://{tmp_path}/app_store", missing=Missing.CREATE), "shop")
