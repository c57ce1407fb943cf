# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import tarfile
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _builder
from ansible_collections.containerless.django.plugins.plugin_utils._project import Options, Project, read_project
from ansible_collections.containerless.django.plugins.plugin_utils._source import open_source

from . import checkout

BOOKWORM, TRIXIE = _builder.PLATFORMS["debian12"], _builder.PLATFORMS["debian13"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return read_project(open_source(checkout.make(tmp_path / "repo"), "HEAD", allow_dirty=False), Options(name="shop"))


def key(project: Project, platform: _builder.Platform = BOOKWORM, revision: str = "r", uv: str = "0.13.9") -> str:
    return _builder.build_key(project, platform, revision=revision, uv=uv)


def test_the_same_commit_has_the_same_key_wherever_it_lies(project: Project, tmp_path: Path) -> None:
    checkout.git(tmp_path, "clone", "-q", str(project.source.path), "elsewhere")
    source = open_source(tmp_path / "elsewhere", "HEAD", allow_dirty=False)
    assert key(read_project(source, Options(name="shop"))) == key(project)


def test_everything_that_decides_bytes_is_in_the_key(project: Project) -> None:
    def with_options(**changes: object) -> Project:
        return dataclasses.replace(project, options=dataclasses.replace(project.options, **changes))  # type: ignore[arg-type]

    source = dataclasses.replace(project.source, tree="0" * 40)
    keys = [
        key(project),
        key(project, TRIXIE),
        key(project, dataclasses.replace(BOOKWORM, machine="aarch64")),
        key(project, revision="other"),
        key(project, uv="0.14"),
        key(dataclasses.replace(project, source=source)),
        key(dataclasses.replace(project, version="2")),
        key(dataclasses.replace(project, lock_bytes=b"")),
        key(dataclasses.replace(project, settings_module="other")),
        key(with_options(secret_names=("TOKEN",))),
        key(with_options(env=(("A", "1"),))),
        key(with_options(name="other")),
    ]
    assert len(set(keys)) == len(keys)


def test_the_order_of_secrets_is_not(project: Project) -> None:
    one, two = (dataclasses.replace(project.options, secret_names=names) for names in (("A", "B"), ("B", "A")))
    assert key(dataclasses.replace(project, options=one)) == key(dataclasses.replace(project, options=two))


def test_an_unknown_platform_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ContainerlessError, match="'debian11' is no platform .* knows debian12, debian13"):
        _builder.platform("debian11")


def test_a_channel_follows_the_real_folder(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "link").symlink_to("one")
    assert _builder.channel(tmp_path / "one") == _builder.channel(tmp_path / "link")
    assert _builder.channel(tmp_path / "one") != _builder.channel(tmp_path)


def test_the_bundle_holds_all_that_a_build_needs(project: Project, tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_bytes(b"binary")
    folder = tmp_path / "scratch"
    folder.mkdir()
    told = _builder.inputs(project, BOOKWORM, [], "k")
    _builder.write_bundle(folder / "bundle.tar", project, [], told, uv)
    with tarfile.open(folder / "bundle.tar") as bundle:
        modes = {member.name: member.mode for member in bundle}
    assert modes.keys() == {"inputs.json", "lock", "requirements.txt", "app.tar", "uv"}
    assert modes["uv"] == 0o755
