# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The projects that are built, and the bundle of each: what all builders get, ours as it is, the others unpacked."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...plugins.module_utils._core.errors import ContainerlessError
from ...plugins.plugin_utils import _builder, _parts, _wheels
from ...plugins.plugin_utils._build_action import SPEC, Request, cache_folder, read_request
from ..fixtures.shop import history

ENCODING = "gzip"
_REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"


@dataclass(frozen=True)
class Inputs:
    """A project that is ready to be built. `bundle` is what our builder gets, `folder` holds the same, unpacked."""

    name: str
    request: Request
    platform: _wheels.Platform
    bundle: Path
    folder: Path

    def write_bundle(self, dest: Path, parts: _builder.Parts) -> None:
        """Write a bundle as the action artifact does."""
        request, platform = self.request, self.platform
        key, uv = request.key(platform.name), request.uv_version
        told = _builder.inputs(request.project, platform, parts, key=key, uv=uv, encodings=[ENCODING])
        _builder.write_bundle(dest, request.project, parts, told, request.uv)

    def write_warm_bundle(self, blob: Path, manifest: dict[str, Any]) -> Path:
        """Write the bundle of a build that takes over the environment of an earlier artifact; return its path."""
        warm = self.bundle.with_name("warm.tar")
        self.write_bundle(warm, _builder.Parts(layer=_builder.Layer(blob, ENCODING, manifest)))
        return warm


def _shop(repo: Path) -> None:
    history.create(repo)


def _wide(repo: Path) -> None:
    """Make the shop with many more distributions in its lock."""
    history.create(repo)
    shutil.copy(_REQUIREMENTS / "bench-project.txt", repo / "requirements.txt")
    history.git("add", "--all", repo=repo)
    history.git("commit", "-q", "-m", "Lock more", repo=repo, date="2024-05-01T12:00:00Z")


PROJECTS: dict[str, Callable[[Path], None]] = {"shop": _shop, "wide": _wide}


def platform_of(python: str) -> _wheels.Platform:
    """Return the platform whose Python this is (X.Y). Raises when there is none."""
    for name in _builder.PLATFORMS:
        platform = _builder.platform(name)
        if platform.python == python:
            return platform
    raise ContainerlessError(f"no platform of ours has Python {python}; name another interpreter (--python)")


def prepare(name: str, folder: Path, python: str) -> Inputs:
    """Make the repository of a project and its bundle below `folder`; wheels come from the user's cache or an index."""
    made = folder / name
    made.mkdir(parents=True)
    PROJECTS[name](made / "source")
    asked = {option: facts.get("default") for option, facts in SPEC.items()}
    request = read_request({**asked, "name": "shop", "src": str(made / "source"), "lock": "requirements.txt"})
    inputs = Inputs(name, request, platform_of(python), made / "bundle.tar", made / "unpacked")
    index = _wheels.Index(options=request.project.lock.index_options)
    parts, _ = _parts.gather(request.project, inputs.platform, None, index, cache_folder(os.environ))
    inputs.write_bundle(inputs.bundle, parts)
    with tarfile.open(inputs.bundle) as bundle:
        bundle.extractall(inputs.folder, filter="data")
    return inputs
