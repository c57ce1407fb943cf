# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Identity of a release: artifact index, configuration and revision of the unit templates, and nothing else."""

from __future__ import annotations

import typing as t

from .._core import canonical, schemas
from .._core.names import check_release_id


def release_document(
    *, project: str, version: str, index_id: str, config: dict[str, t.Any], templates: str
) -> dict[str, t.Any]:
    """Return what a release id is the digest of. `config` holds the names of secrets, never their values."""
    return t.cast(
        "dict[str, t.Any]",
        schemas.check(
            "release",
            {
                "schema": "containerless.release/v1",
                "project": project,
                "version": version,
                "index_id": index_id,
                "config": config,
                "templates": templates,
            },
            "release",
        ),
    )


def release_id(document: dict[str, t.Any]) -> str:
    """Return `<version>-<12 hex>`, equal on all hosts: no time, no counter, no host name goes in."""
    return check_release_id(f"{document['version']}-{canonical.digest(document)[:12]}")
