# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import tarfile
import typing
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact.lock import Pin
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _builder
from ansible_collections.containerless.django.plugins.plugin_utils._project import Options, Project, read_project
from ansible_collections.containerless.django.plugins.plugin_utils._sdists import Sdist
from ansible_collections.containerless.django.plugins.plugin_utils._source import open_source
from ansible_collections.containerless.django.plugins.plugin_utils._wheels import Wheel

from ..module_utils.documents import MANIFEST
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


def wheel(folder: Path, name: str) -> Wheel:
    path = folder / f"{name}-1-py3-none-any.whl"
    path.write_bytes(name.encode())
    return Wheel(Pin(name, "1", "", ("a" * 64,), "requirements.txt line 1"), path, "b" * 64)


@dataclasses.dataclass
class Bundle:
    """What a build host finds, and what it is told."""

    modes: dict[str, int]
    told: dict[str, typing.Any]
    texts: dict[str, str]


def bundle(project: Project, parts: _builder.Parts, tmp_path: Path) -> Bundle:
    (tmp_path / "uv").write_bytes(b"binary")
    folder = tmp_path / "scratch"
    folder.mkdir()
    told = _builder.inputs(project, BOOKWORM, parts, key="k", uv="0.13.9", encodings=["gzip"])
    _builder.write_bundle(folder / "bundle.tar", project, parts, told, tmp_path / "uv")
    with tarfile.open(folder / "bundle.tar") as made:
        modes = {member.name: member.mode for member in made}
        texts = {name: made.extractfile(name).read().decode() for name in modes if name.endswith(".txt")}  # type: ignore[union-attr]
    assert json.loads(canonical.dumps(told)) == told
    return Bundle(modes, told, texts)


def test_the_bundle_holds_all_that_a_build_needs(project: Project, tmp_path: Path) -> None:
    found = bundle(project, _builder.Parts(wheels=[wheel(tmp_path, "django")]), tmp_path)
    assert found.modes.keys() == {
        "inputs.json",
        "lock",
        "requirements.txt",
        "app.tar",
        "uv",
        "wheels/django-1-py3-none-any.whl",
    }
    assert found.modes["uv"] == 0o755
    assert found.texts["requirements.txt"] == f"django==1 --hash=sha256:{'b' * 64}\n"
    assert found.told["layer"] is None


def test_a_sdist_brings_what_builds_it(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "docopt-1.tar.gz"
    source.write_bytes(b"sdist")
    pin = Pin("docopt", "1", "", ("c" * 64,), "requirements.txt line 1")
    sdist = Sdist(pin, source, "c" * 64, [wheel(tmp_path, "setuptools")], [])
    found = bundle(project, _builder.Parts(sdists=[sdist]), tmp_path)
    assert {
        "sdists/docopt-1.tar.gz",
        "build/docopt/requirements.txt",
        "build/wheels/setuptools-1-py3-none-any.whl",
    } <= (found.modes.keys())
    told = {"name": "docopt", "version": "1", "file": source.name, "sha256": "c" * 64, "after": []}
    assert found.told["sdists"] == [told]
    assert [item["name"] for item in found.told["build_requires"]["docopt"]] == ["setuptools"]


def layer(tmp_path: Path, *distributions: dict[str, typing.Any]) -> _builder.Parts:
    (tmp_path / "blob").write_bytes(b"blob")
    manifest = {**MANIFEST, "distributions": list(distributions)}
    return _builder.Parts(layer=_builder.Layer(tmp_path / "blob", "gzip", manifest))


def test_an_environment_that_is_taken_over_needs_neither_wheels_nor_uv(project: Project, tmp_path: Path) -> None:
    django = MANIFEST["distributions"][0]
    found = bundle(project, layer(tmp_path, django), tmp_path)
    assert found.modes.keys() == {"inputs.json", "lock", "requirements.txt", "app.tar", "layer"}
    assert found.told["distributions"] == [django]
    assert found.told["layer"] == {"encoding": "gzip", "projects": []}


def test_the_build_host_is_told_what_an_earlier_project_was(project: Project, tmp_path: Path) -> None:
    own = {"name": "shop", "version": "1", "file": "f", "sha256": "d" * 64, "built_from": {"kind": "project"}}
    found = bundle(project, layer(tmp_path, own), tmp_path)
    assert "uv" not in found.modes
    assert found.told["distributions"] == []
    assert found.told["layer"] == {"encoding": "gzip", "projects": ["shop"]}


def test_the_environment_depends_on_the_lock_and_not_on_the_code(project: Project) -> None:
    def layer_key(changed: Project, platform: _builder.Platform = BOOKWORM, revision: str = "r", uv: str = "1") -> str:
        return _builder.layer_key(changed, platform, revision=revision, uv=uv)

    code = dataclasses.replace(project.source, tree="0" * 40, commit="1" * 40)
    comment = dataclasses.replace(project, lock_bytes=b"# " + project.lock_bytes)
    assert {layer_key(dataclasses.replace(project, source=code)), layer_key(comment)} == {layer_key(project)}
    pins = dataclasses.replace(project.lock, pins=project.lock.pins[:1])
    declared = dataclasses.replace(project.declared, sdists=("django",))
    keys = [
        layer_key(project),
        layer_key(project, TRIXIE),
        layer_key(project, revision="other"),
        layer_key(project, uv="2"),
        layer_key(dataclasses.replace(project, lock=pins)),
        layer_key(dataclasses.replace(project, declared=declared)),
    ]
    assert len(set(keys)) == len(keys)


def test_a_plan_knows_what_the_commit_says(project: Project) -> None:
    plan = _builder.foreseen(MANIFEST, project, BOOKWORM)
    assert [(item["name"], item["version"]) for item in plan["distributions"]] == [
        ("django", "5.2.19"),
        ("gunicorn", "27.0.1"),
    ]
    assert plan["processes"] == project.processes
    assert plan["version"] == project.version


def test_a_plan_does_not_take_the_project_itself_for_removed(project: Project) -> None:
    own = {"name": "shop", "version": "1", "file": "f", "sha256": "d" * 64, "built_from": {"kind": "project"}}
    before = {**MANIFEST, "distributions": [*MANIFEST["distributions"], own]}
    plan = _builder.foreseen(before, dataclasses.replace(project, package=True), BOOKWORM)
    assert own in plan["distributions"]
    plan = _builder.foreseen(before, dataclasses.replace(project, package=False), BOOKWORM)
    assert own not in plan["distributions"]
