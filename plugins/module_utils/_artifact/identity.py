# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Identities of step one: content_id of an artifact, index_id of the variants of a version."""

from __future__ import annotations

import typing as t

from .._core import canonical, schemas
from .._core.errors import ContainerlessError


def content_id(manifest: dict[str, t.Any]) -> str:
    """Return the identity of an artifact: the SHA-256 of its canonical manifest, which stands beside the tar."""
    return canonical.digest(schemas.check("manifest", manifest, "manifest"))


def variant(manifest: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the line of the variant index that names an artifact and what it needs of a host."""
    return {
        "content_id": content_id(manifest),
        "python": manifest["python"]["version"],
        "soabi": manifest["python"]["soabi"],
        **manifest["platform"],
    }


def make_index(manifests: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """Return the variant index of artifacts that were built from one commit. Raises when they don't belong together."""
    if not manifests:
        raise ContainerlessError("an index needs at least one artifact")
    heads = {(m["project"], m["version"], m["source"]["commit"]) for m in manifests}
    if len(heads) != 1:
        raise ContainerlessError(
            f"artifacts of different projects, versions or commits can't share an index: {sorted(heads)}"
        )
    variants = sorted((variant(m) for m in manifests), key=lambda v: (v["soabi"], v["machine"], v["content_id"]))
    needs = [(v["soabi"], v["libc"], v["machine"]) for v in variants]
    if len(set(needs)) != len(needs):
        raise ContainerlessError(f"two variants of the index fit the same hosts: {needs}")
    project, version, commit = heads.pop()
    return {
        "schema": "containerless.index/v1",
        "project": project,
        "version": version,
        "commit": commit,
        "variants": variants,
    }


def index_id(index: dict[str, t.Any]) -> str:
    """Return the identity of a variant index."""
    return canonical.digest(schemas.check("index", index, "index"))


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def choose_variant(index: dict[str, t.Any], host: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the variant that fits a host, given its `machine`, `libc`, `libc_version` and `pythons` (soabi -> path).

    Raises with what the host has and what the version offers, so that the missing variant is plain.
    """
    for item in index["variants"]:
        if (
            item["soabi"] in host["pythons"]
            and item["machine"] == host["machine"]
            and item["libc"] == host["libc"]
            and _number(item["libc_min"]) <= _number(host["libc_version"])
        ):
            return t.cast("dict[str, t.Any]", item)
    offered = ", ".join(f"{v['soabi']} ({v['libc']} >= {v['libc_min']})" for v in index["variants"])
    has = ", ".join(sorted(host["pythons"])) or "no usable python3"
    raise ContainerlessError(
        f"{index['project']} {index['version']} has no variant for this host: it offers {offered}; the host has {has}"
        f" with {host['libc']} {host['libc_version']} on {host['machine']} (build one with app_build_platforms)"
    )
