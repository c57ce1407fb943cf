# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gathers what a build is made of: wheels and sdists from an index, or the environment of an earlier artifact."""

from __future__ import annotations

import typing as t

from ..module_utils._core.errors import InvalidDocument
from . import _sdists, _wheels
from ._builder import Layer, Parts
from ._repository import UnreadableBlob

if t.TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from ._index import Index
    from ._project import Project
    from ._repository import Repository


def find_layer(
    repository: Repository,
    key: str,
    dest: Path,
    warn: t.Callable[[str], None],
    encodings: Collection[str] = ("gzip",),
) -> Layer | None:
    """Write the blob of an artifact that has this environment to a file; None when there is none that is whole.

    `encodings` are those of the artifact that is built. Every tar reads gzip; a build host that has to write zstd reads
    it too, and another one may lack the program.
    """
    content_id = repository.layer(key)
    if content_id is None:
        return None
    try:
        encoding = repository.fetch_blob(content_id, dest, {"gzip", *encodings} - {"identity"})
        return Layer(dest, encoding, repository.manifest(content_id))
    except UnreadableBlob:
        return None
    except InvalidDocument as exc:
        warn(f"{exc}; the distributions are installed again")
        return None


def gather(
    project: Project, target: _wheels.Platform, layer: Layer | None, index: Index, cache: Path
) -> tuple[Parts, int]:
    """Return the parts, and how many wheels were fetched. Raises ContainerlessError, naming all that is missing."""
    declared = project.declared
    requires = _sdists.project_requires(project.source, declared, target, cache, index) if project.package else None
    if layer is not None:
        return Parts(layer=layer, project_requires=requires), 0
    pins = _wheels.pins_for(project.lock, target)
    wheels, fetched = _wheels.wheels_for(pins, target, cache, index, declared.sdists)
    have = {wheel.pin.name for wheel in wheels}
    sdists = _sdists.sdists_for(
        [pin for pin in pins if pin.name not in have],
        target,
        cache,
        index,
        build_requires=declared.build_requires,
        before=project.source.time,
    )
    return Parts(wheels=wheels, sdists=sdists, project_requires=requires), fetched
