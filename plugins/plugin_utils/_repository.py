# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Artifacts, indexes, test records, channels and build keys of one project in a store.

Every object but channels and test records is written once. Everything that is read is verified against the digest it
was asked for.
"""

from __future__ import annotations

import functools
import re
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ..module_utils._artifact import identity, inflate, provenance
from ..module_utils._core import canonical, names, schemas
from ..module_utils._core.errors import ContainerlessError, InvalidDocument
from . import _keys, _listing
from ._blobs import Blob, named_by, save
from ._keys import RECORD, REPORTS, Keys
from ._signatures import Signatures
from ._store import Put, Store, file_sha256

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Document = dict[str, t.Any]


class UnreadableBlob(ContainerlessError):
    """An artifact has no blob that its reader can read."""


@dataclass(frozen=True)
class Repository:
    """What one project keeps in a store."""

    store: Store
    project: str

    @functools.cached_property
    def keys(self) -> Keys:
        """Where everything stands."""
        return Keys(self.project)

    # Artifacts: blobs, SBOM, provenance, and last the manifest, without which an artifact does not exist.

    def publish(self, manifest: bytes, provenance: bytes, sbom: bytes, blobs: Mapping[str, Path]) -> bool:
        """Put an artifact into the store; False when it was there, which is then left alone."""
        content_id = canonical.sha256(manifest)
        wanted = self._check("manifest", manifest, "manifest", content_id)["sbom"]["sha256"]
        if canonical.sha256(sbom) != wanted:
            raise ContainerlessError(f"the manifest names an SBOM with the SHA-256 {wanted}, this one has another")
        if self.has_artifact(content_id):
            self.manifest(content_id)  # raises when what is there is damaged
            return False
        for blob in named_by(_json(provenance, "provenance"), "provenance"):
            path = blobs.get(blob.sha256)
            if path is None or file_sha256(path) != blob.sha256 or path.stat().st_size != blob.size:
                raise ContainerlessError(f"the provenance names blob {blob.sha256}, which is not among the files")
            self._put(self.keys.blob(blob.sha256), path)
        self._put(self.keys.sbom(content_id), sbom)
        if self.store.put_once(self.keys.provenance(content_id), provenance) is Put.CONFLICT:
            # Left by a publication that was cut off: without its manifest it describes nothing.
            self.store.replace(self.keys.provenance(content_id), provenance)
        return self._put(self.keys.manifest(content_id), manifest)

    def has_artifact(self, content_id: str) -> bool:
        """Return whether the artifact is published."""
        return self.store.head(self.keys.manifest(content_id)) is not None

    def manifest(self, content_id: str) -> Document:
        """Return the manifest of an artifact."""
        return self._read("manifest", self.keys.manifest(content_id), content_id)

    def provenance(self, content_id: str) -> Document:
        """Return the provenance of an artifact: its builder's word; the digests that it names are verified."""
        key = self.keys.provenance(content_id)
        return provenance.check(_json(self._get(key), self._said(key)), self._said(key))

    def sbom(self, content_id: str) -> Document:
        """Return the SBOM of an artifact."""
        return _json(self.sbom_bytes(content_id), self._said(self.keys.sbom(content_id)))

    def sbom_bytes(self, content_id: str) -> bytes:
        """Return the SBOM of an artifact as its manifest names it."""
        key, wanted = self.keys.sbom(content_id), self.manifest(content_id)["sbom"]["sha256"]
        data = self._get(key)
        if canonical.sha256(data) != wanted:
            raise InvalidDocument(f"{self._said(key)} was changed after it was published: {wanted} is its SHA-256")
        return data

    def listing(self, content_id: str) -> dict[str, str] | None:
        """Return path and SHA-256 of each file of an artifact, verified; None when no blob can be read here.

        Reads as much of a blob as it takes: the list stands at its start.
        """
        wanted = self.manifest(content_id)["tree"]["sha256"]
        blob = next((blob for blob in self._blobs(content_id) if blob.encoding in inflate.readable()), None)
        if blob is None:
            return None
        key = self.keys.blob(blob.sha256)
        return _listing.read(self._pieces(key), blob.encoding, wanted, self._said(key))

    def blobs(self, content_id: str, folder: Path) -> Iterator[tuple[Blob, Path]]:
        """Yield each blob of an artifact and a file in `folder` that holds it, verified and removed before the next."""
        for blob in self._blobs(content_id):
            dest = folder / blob.sha256
            self._fetch(blob, dest)
            yield blob, dest
            dest.unlink()

    def fetch_blob(self, content_id: str, dest: Path, encodings: Collection[str]) -> str:
        """Write the first blob of an artifact that its reader can read to a file, verified; return its encoding."""
        blob = self._readable(content_id, encodings)
        self._fetch(blob, dest)
        return blob.encoding

    def check_readable(self, content_id: str, encodings: Collection[str]) -> None:
        """Raise when no blob of an artifact has one of the encodings that its reader can read."""
        self._readable(content_id, encodings)

    def _readable(self, content_id: str, encodings: Collection[str]) -> Blob:
        blobs = self._blobs(content_id)
        for blob in blobs:
            if blob.encoding in encodings:
                return blob
        # Only the next artifact can have another encoding: one that is published stays as it is.
        raise UnreadableBlob(
            f"artifact {content_id[:12]} is compressed as {', '.join(blob.encoding for blob in blobs)} alone, and what"
            f" shall unpack it reads {', '.join(encodings)}; install zstd there, or add gzip to app_build_encodings"
            " and build the next commit"
        )

    # Indexes and channels.

    def put_index(self, index: Document) -> str:
        """Put the index of artifacts that are published already; return its index_id."""
        index_id = identity.index_id(index)
        self._check_project(index, f"index {index_id}")
        for variant in index["variants"]:
            content_id = variant["content_id"]
            if identity.variant(self.manifest(content_id)) != variant:
                raise ContainerlessError(f"index {index_id} says something else than the manifest of {content_id}")
        self._put(self.keys.index(index_id), canonical.dumps(index))
        return index_id

    def has_index(self, index_id: str) -> bool:
        """Return whether the index is published."""
        return self.store.head(self.keys.index(index_id)) is not None

    def index(self, index_id: str) -> Document:
        """Return the index with this index_id."""
        return self._read("index", self.keys.index(index_id), index_id)

    def indexes(self, version: str) -> list[str]:
        """Return the index_ids of a version: more than one when variants were added to it later."""
        names.check_version(version)
        stems = [Path(key).stem for key in self.store.list(self.keys.indexes)]
        found = [stem for stem in stems if re.fullmatch(names.DIGEST, stem)]
        return [index_id for index_id in found if self.index(index_id)["version"] == version]

    def pointer(self, index_id: str) -> Document:
        """Return the document of a channel that points to an index."""
        version = self.index(index_id)["version"]
        return {"schema": "containerless.channel/v1", "project": self.project, "version": version, "index_id": index_id}

    def channel(self, name: str) -> Document | None:
        """Return where a channel points, or None."""
        return self._find("channel", self.keys.channel(name))

    def set_channel(self, name: str, document: Document) -> bool:
        """Point a channel to an index that is published; False when it points there already."""
        schemas.check("channel", document, f"channel {name}")
        if document != self.pointer(document["index_id"]):
            raise ContainerlessError(f"channel {name} would say something else than index {document['index_id']}")
        if self.channel(name) == document:
            return False
        self.store.replace(self.keys.channel(name), canonical.dumps(document))
        return True

    # Test records and signatures.

    def record(self, content_id: str, name: str) -> Document | None:
        """Return a test record of an artifact by its name, or None."""
        key = self.keys.record(content_id, name)
        record = self._find("test-record", key)
        if record is not None and (record["content_id"], record_name(record)) != (content_id, name):
            raise InvalidDocument(
                f"{self._said(key)} is the record of another artifact, level, configuration or system"
            )
        return record

    def records(self, content_id: str) -> dict[str, Document]:
        """Return the test records of an artifact by their names; none of a store that can't list."""
        try:
            names = [Path(key).stem for key in self.store.list(self.keys.records(content_id)) if key.endswith(".json")]
        except ContainerlessError:  # a web server that only serves files
            names = []
        found = {name: self.record(content_id, name) for name in names if re.fullmatch(RECORD, name)}
        return {name: record for name, record in found.items() if record}

    def put_record(self, record: Document, *, whatever: bool = False) -> bool:
        """Put the test record of a published artifact; False when it is there. An older one of its name is replaced.

        Whoever signed the older one has not signed this one. `whatever` it says of its time: it is not trusted.
        """
        content_id, name = schemas.check("test-record", record, "test record")["content_id"], record_name(record)
        if not self.has_artifact(content_id):
            raise ContainerlessError(f"{self.store.name} has no artifact {content_id} that could have been tested")
        known = self.record(content_id, name)
        if known == record:
            return False
        if known is not None and known["time"] >= record["time"] and not whatever:
            raise ContainerlessError(
                f"artifact {content_id} has another test record {name} already, made {known['time']}, and this one is"
                " no newer"
            )
        self.signatures(content_id).forget(f"record-{name}")
        self.store.replace(self.keys.record(content_id, name), canonical.dumps(record))
        return True

    def put_report(self, record: Document, kind: str, text: bytes) -> None:
        """Put a report beside a test record; it is for readers, and nothing relies on it."""
        self.store.replace(self.keys.report(record["content_id"], record_name(record), kind), text)

    def signatures(self, content_id: str) -> Signatures:
        """Return the signatures of an artifact and its test records."""
        return Signatures(self.store, self.keys, content_id)

    # Build and layer keys: what is known before a build, to what it made.

    def build(self, key: str) -> str | None:
        """Return the content_id that a build key led to, if that artifact is still here."""
        return self._known(self.keys.build(key))

    def put_build(self, key: str, content_id: str) -> bool:
        """Remember what a build key led to. Other bytes under a key are a build that is not reproducible."""
        return self._put(self.keys.build(key), _named("build", content_id))

    def layer(self, key: str) -> str | None:
        """Return the content_id of an artifact that has the environment of a layer key, if it is still here."""
        return self._known(self.keys.layer(key))

    def put_layer(self, key: str, content_id: str) -> None:
        """Remember an artifact that has the environment of a layer key.

        Any of them will do, so it is the last one: an earlier one may be damaged, or packed as its reader can't read.
        """
        if self.layer(key) != content_id:
            self.store.replace(self.keys.layer(key), _named("layer", content_id))

    def _known(self, key: str) -> str | None:
        data = self.store.get(key)
        if data is None:
            return None
        said = self._said(key)
        content_id = names.check_digest(str(_json(data, said).get("content_id")), said)
        return content_id if self.has_artifact(content_id) else None

    # Copies.

    def missing_in(self, other: Repository, index_id: str) -> list[str]:
        """Return the keys of artifacts, records, signatures and index that a copy would create elsewhere."""
        found: list[str] = []
        for content_id in self._variants(index_id):
            if not other.has_artifact(content_id):
                found.append(other.keys.manifest(content_id))
            found += [other.keys.record(content_id, name) for name in self._newer(other, content_id)]
            found += self.signatures(content_id).missing_in(other.signatures(content_id))
        return found if other.has_index(index_id) else [*found, other.keys.index(index_id)]

    def copy_to(self, other: Repository, index_id: str) -> bool:
        """Copy an index with its artifacts, their test records and signatures; False when all were there.

        All but the signatures is verified on the way: of these, only who releases knows whose count.
        """
        changed = not other.has_index(index_id)
        for content_id in self._variants(index_id):
            if not other.has_artifact(content_id):
                changed |= self._copy_artifact(other, content_id)
            for record in self._newer(other, content_id).values():
                changed |= other.put_record(record)
                self._copy_reports(other, record)
            changed |= self.signatures(content_id).copy_to(other.signatures(content_id))
        other.put_index(self.index(index_id))
        return changed

    def _variants(self, index_id: str) -> list[str]:
        return [variant["content_id"] for variant in self.index(index_id)["variants"]]

    def _newer(self, other: Repository, content_id: str) -> dict[str, Document]:
        """Return the records that are missing elsewhere, or older there: the last test counts, whoever made it."""
        theirs = other.records(content_id)
        return {
            name: record
            for name, record in self.records(content_id).items()
            if name not in theirs or theirs[name]["time"] < record["time"]
        }

    def _copy_reports(self, other: Repository, record: Document) -> None:
        for kind in REPORTS:
            text = self.store.get(self.keys.report(record["content_id"], record_name(record), kind))
            if text is not None:
                other.put_report(record, kind, text)

    def _copy_artifact(self, other: Repository, content_id: str) -> bool:
        manifest, provenance = self.manifest(content_id), self.provenance(content_id)
        with tempfile.TemporaryDirectory(prefix="containerless-") as scratch:
            files = {blob.sha256: Path(scratch) / blob.sha256 for blob in self._blobs(content_id)}
            for blob in self._blobs(content_id):
                self._fetch(blob, files[blob.sha256])
            return other.publish(
                canonical.dumps(manifest), canonical.dumps(provenance), self.sbom_bytes(content_id), files
            )

    # Reading and writing.

    def _said(self, key: str) -> str:
        return f"{key} in {self.store.name}"

    def _get(self, key: str) -> bytes:
        data = self.store.get(key)
        if data is None:
            raise ContainerlessError(f"{self.store.name} has no {key}")
        return data

    def _put(self, key: str, data: bytes | Path) -> bool:
        outcome = self.store.put_once(key, data)
        if outcome is Put.CONFLICT:
            raise ContainerlessError(f"{self._said(key)} is there with other bytes, and is never overwritten")
        return outcome is Put.CREATED

    def _read(self, kind: str, key: str, digest: str) -> Document:
        return self._check(kind, self._get(key), self._said(key), digest)

    def _find(self, kind: str, key: str) -> Document | None:
        data = self.store.get(key)
        return None if data is None else self._check(kind, data, self._said(key))

    def _check(self, kind: str, data: bytes, said: str, digest: str | None = None) -> Document:
        if digest is not None and canonical.sha256(data) != digest:
            raise InvalidDocument(f"{said} was changed after it was published: its SHA-256 is {canonical.sha256(data)}")
        document = t.cast("Document", schemas.check(kind, canonical.loads(data, said), said))
        if "project" in document:
            self._check_project(document, said)
        return document

    def _check_project(self, document: Document, said: str) -> None:
        found = document["project"]
        if found != self.project:
            raise ContainerlessError(f"{said} belongs to project {found!r}, not to {self.project!r} (app_name)")

    def _blobs(self, content_id: str) -> list[Blob]:
        return named_by(self.provenance(content_id), self._said(self.keys.provenance(content_id)))

    def _fetch(self, blob: Blob, dest: Path) -> None:
        key = self.keys.blob(blob.sha256)
        save(self._pieces(key), blob, dest, self._said(key))

    def _pieces(self, key: str) -> Iterator[bytes]:
        pieces = self.store.stream(key)
        if pieces is None:
            raise ContainerlessError(f"{self.store.name} has no {key}")
        return pieces


def record_name(record: Document) -> str:
    """Return the name of a test record."""
    return _keys.record_name(record["level"], record["config_class"], record["machine"]["image"])


def _named(kind: str, content_id: str) -> bytes:
    names.check_digest(content_id, "content_id")
    return canonical.dumps({"schema": f"containerless.{kind}/v1", "content_id": content_id})


def _json(data: bytes, said: str) -> Document:
    document = canonical.loads(data, said)
    if not isinstance(document, dict):
        raise InvalidDocument(f"{said} is not a JSON object")
    return document
