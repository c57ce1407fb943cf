# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the actions artifact, build_info and artifact_index share: their options, and what follows from them."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ..module_utils._core.errors import ContainerlessError
from . import _builder
from ._artifact_file import path_of
from ._project import Options, Project, check_python, read_project
from ._repository import Repository
from ._source import open_source
from ._store import Missing, open_store

SPEC: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "src": {"type": "path", "required": True},
    "store": {"type": "str", "required": True},
    "ref": {"type": "str", "default": "HEAD"},
    "version": {"type": "str"},
    "lock": {"type": "str", "default": ""},
    "settings_module": {"type": "str"},
    "secret_names": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "env": {"type": "dict", "default": {}},
    "allow_dirty": {"type": "bool", "default": False},
}


PLATFORMS: dict[str, t.Any] = {"type": "list", "elements": "str", "required": True}


@dataclass(frozen=True)
class Request:
    """A project at a commit, and the tools that would build it."""

    project: Project
    src: Path
    uv: Path
    uv_version: str
    revision: str

    def key(self, platform: str) -> str:
        """Return the build key for a platform. Raises when the project excludes its Python."""
        target = _builder.platform(platform)
        check_python(self.project, target.full, target.name)
        return _builder.build_key(self.project, target, revision=self.revision, uv=self.uv_version)

    def layer_key(self, platform: str) -> str:
        """Return the key of the environment for a platform."""
        return _builder.layer_key(self.project, _builder.platform(platform), revision=self.revision, uv=self.uv_version)

    @property
    def channel(self) -> str:
        """Return the channel of the build store that follows this source."""
        return _builder.channel(self.src)


def cache_folder(environ: t.Mapping[str, str]) -> Path:
    """Return the folder of the control node that keeps what was fetched."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "containerless"


def read_request(args: dict[str, t.Any]) -> Request:
    """Read project and tools. Raises in one sentence; changes nothing."""
    # Arguments carry Ansible's tags; plain strings leave them behind.
    env = tuple(sorted((str(key), str(value)) for key, value in args["env"].items()))
    options = Options(
        name=str(args["name"]),
        version=str(args["version"]) if args["version"] else None,
        lock=str(args["lock"]) if args["lock"] else None,
        settings_module=str(args["settings_module"]) if args["settings_module"] else None,
        secret_names=tuple(sorted(str(name) for name in args["secret_names"])),
        env=env,
    )
    src = Path(os.path.expanduser(str(args["src"]))).absolute()  # noqa: PTH111
    source = open_source(src, str(args["ref"]), allow_dirty=args["allow_dirty"])
    uv = _builder.find_uv()
    return Request(read_project(source, options), src, uv, _builder.uv_version(uv), _builder.code_revision())


def build_store(args: dict[str, t.Any], *, check_mode: bool) -> Repository:
    """Return the build store; one that does not exist yet is made, or in check mode taken as empty."""
    if path_of(str(args["store"])):
        raise ContainerlessError(f"app_build_store {args['store']} is one artifact; a build needs a folder or a bucket")
    missing = Missing.EMPTY if check_mode else Missing.CREATE
    return Repository(open_store(str(args["store"]), option="app_build_store", missing=missing), str(args["name"]))


def previous(repository: Repository, channel: str, python: str) -> str | None:
    """Return the content_id of the artifact that the source folder built last for a Python X.Y, or None."""
    pointer = repository.channel(channel)
    if pointer is None:
        return None
    variants = repository.index(pointer["index_id"])["variants"]
    return next((str(variant["content_id"]) for variant in variants if variant["python"] == python), None)
