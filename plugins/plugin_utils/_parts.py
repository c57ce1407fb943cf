# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gathers what a build is made of: wheels and sdists from an index, or the environment of an earlier artifact."""

from __future__ import annotations

import typing as t

from ..module_utils._core.errors import InvalidDocument
from . import _sdists, _wheels
from ._builder import Layer, Parts

if t.TYPE_CHECKING:
    from pathlib import Path

    from ._index import Index
    from ._project import Project
    from ._repository import Repository

#: A layer goes to a build host, which reads what GNU tar reads; gzip takes less of its time.
LAYER_ENCODINGS = ("gzip", "zstd")


def find_layer(repository: Repository, key: str, dest: Path, warn: t.Callable[[str], None]) -> Layer | None:
    """Write the blob of an artifact that has this environment to a file; None when there is none that is whole."""
    content_id = repository.layer(key)
    if content_id is None:
        return None
    try:
        encoding = repository.fetch_blob(content_id, dest, LAYER_ENCODINGS)
        return Layer(dest, encoding, repository.manifest(content_id))
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
