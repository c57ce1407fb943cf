# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store offers one host: its variant, tested or not, and the release made of it. No host is touched here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..module_utils._artifact import identity as artifact_identity
from ..module_utils._core.errors import ContainerlessError
from ..module_utils._core.names import Layout
from ..module_utils._release import identity
from . import _signing
from ._repository import Repository
from ._units import Context, Templates, render

OLDEST_SYSTEMD = 252


@dataclass(frozen=True)
class Offer:
    """A release for one host, ready to be sent."""

    release_id: str
    document: dict[str, Any]
    manifest: dict[str, Any]
    content_id: str
    units: dict[str, str]
    boot_unit: str
    interpreter: str
    signed_by: str

    def desired(self) -> dict[str, Any]:
        """Return the part of the module's request that describes the release."""
        kept = ("release_id", "document", "manifest", "units", "boot_unit", "interpreter", "signed_by")
        return {name: getattr(self, name) for name in kept}


def check_host(host: dict[str, Any]) -> None:
    """Raise when the host's systemd would ignore parts of the sandbox."""
    if host["systemd"] < OLDEST_SYSTEMD:
        raise ContainerlessError(
            f"systemd {host['systemd']} is older than {OLDEST_SYSTEMD}: it would ignore parts of the sandbox;"
            " upgrade the host"
        )


def make(
    repository: Repository,
    *,
    index_id: str,
    host: dict[str, Any],
    layout: Layout,
    config: dict[str, Any],
    templates: Templates,
    signers: Sequence[str] = (),
) -> Offer:
    """Return the release of a published index for a host; with `signers`, only of an artifact that one of them signed.

    Raises ContainerlessError.
    """
    check_host(host)
    index = repository.index(index_id)
    variant = artifact_identity.choose_variant(index, host)
    manifest = repository.manifest(variant["content_id"])
    _check_index(index, variant, manifest)
    signed_by = _signing.signed_by(repository, variant["content_id"], signers)
    document = identity.release_document(
        project=layout.app, version=index["version"], index_id=index_id, config=config, templates=templates.revision()
    )
    release_id = identity.release_id(document)
    context = Context(
        layout=layout,
        release_id=release_id,
        content_id=variant["content_id"],
        manifest=manifest,
        config=config,
        systemd_version=host["systemd"],
    )
    units, boot_unit = render(templates, context)
    return Offer(
        release_id=release_id,
        document=document,
        manifest=manifest,
        content_id=variant["content_id"],
        units=units,
        boot_unit=boot_unit,
        interpreter=host["pythons"][variant["soabi"]],
        signed_by=signed_by,
    )


def _check_index(index: dict[str, Any], variant: dict[str, Any], manifest: dict[str, Any]) -> None:
    """Raise when an index calls an artifact something else than its manifest does: only the manifest is signed."""
    said = (index["version"], index["commit"], variant)
    if said != (manifest["version"], manifest["source"]["commit"], artifact_identity.variant(manifest)):
        raise ContainerlessError(
            f"the index of {index['project']} {index['version']} says something else than the manifest of"
            f" {variant['content_id'][:12]}, which is {manifest['version']}; upload the version again"
        )
