# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where each object of a project stands in a store. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..module_utils._artifact.sbom import FILE as SBOM
from ..module_utils._core import names, schemas
from ..module_utils._core.errors import ContainerlessError

LEVELS: tuple[str, ...] = tuple(schemas.TEST_RECORD["properties"]["level"]["enum"])
#: Name of a test record: its level, the class of configurations that it is about, and the system that it was made on.
RECORD = rf"(?:{'|'.join(LEVELS)})-[0-9a-f]{{12}}-[a-z0-9-]+"
#: Documents of an artifact that are signed, as the keys of their signatures name them.
SIGNED = rf"manifest|provenance|record-{RECORD}"
REPORTS = ("html", "xml")
CHANNEL_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"


def record_name(level: str, config_class: str, platform: str) -> str:
    """Return the name of a test record: one artifact has one of each level, class of configurations and system."""
    return f"{level}-{config_class}-{re.sub('[^a-z0-9]+', '-', platform.lower())}"


@dataclass(frozen=True)
class Keys:
    """The keys of one project."""

    project: str

    def __post_init__(self) -> None:
        names.check_app_name(self.project)

    def blob(self, sha256: str) -> str:
        """Key of a compressed tar."""
        return f"{self.project}/blobs/sha256/{names.check_digest(sha256, 'blob')[:2]}/{sha256}"

    def manifest(self, content_id: str) -> str:
        """Key of a manifest: an artifact without it does not exist."""
        return f"{self._artifact(content_id)}/manifest.json"

    def provenance(self, content_id: str) -> str:
        """Key of what may differ between two honest builders of an artifact."""
        return f"{self._artifact(content_id)}/provenance.json"

    def sbom(self, content_id: str) -> str:
        """Key of what an artifact holds, as CycloneDX."""
        return f"{self._artifact(content_id)}/{SBOM}"

    def records(self, content_id: str) -> str:
        """Prefix of all test records of an artifact."""
        return f"{self._artifact(content_id)}/records"

    def record(self, content_id: str, name: str) -> str:
        """Key of a test record."""
        if not re.fullmatch(RECORD, name):
            raise ContainerlessError(f"{name!r} is no name of a test record such as default-0123456789ab-debian12")
        return f"{self.records(content_id)}/{name}.json"

    def report(self, content_id: str, name: str, kind: str) -> str:
        """Key of a report beside a test record: what people (html) and programs (xml) read of it."""
        return f"{self.record(content_id, name).removesuffix('.json')}.{kind}"

    def document(self, content_id: str, name: str) -> str:
        """Key of a document by its name, one of SIGNED."""
        if name.startswith("record-"):
            return self.record(content_id, name.removeprefix("record-"))
        return {"manifest": self.manifest, "provenance": self.provenance}[name](content_id)

    def signatures(self, content_id: str) -> str:
        """Prefix of all signatures of an artifact."""
        return f"{self._artifact(content_id)}/signatures"

    def signature(self, content_id: str, name: str, fingerprint: str) -> str:
        """Key of the signature of a document by a key with this fingerprint (SHA-256 in hex)."""
        return f"{self.signatures(content_id)}/{name}.{fingerprint[:16]}.sig"

    @property
    def indexes(self) -> str:
        """Prefix of all indexes."""
        return f"{self.project}/indexes"

    def index(self, index_id: str) -> str:
        """Key of a variant index."""
        return f"{self.indexes}/{names.check_digest(index_id, 'index_id')}.json"

    def channel(self, name: str) -> str:
        """Key of a channel."""
        if not re.fullmatch(CHANNEL_NAME, name):
            raise ContainerlessError(f"channel {name!r} must be at most 64 of a-z, 0-9, dot, dash and underscore")
        return f"{self.project}/channels/{name}.json"

    def build(self, key: str) -> str:
        """Key of what a build key led to."""
        return f"{self.project}/builds/{names.check_digest(key, 'build key')}.json"

    def layer(self, key: str) -> str:
        """Key of the artifact whose environment stands for a layer key."""
        return f"{self.project}/layers/{names.check_digest(key, 'layer key')}.json"

    def _artifact(self, content_id: str) -> str:
        return f"{self.project}/artifacts/{names.check_digest(content_id, 'content_id')}"
