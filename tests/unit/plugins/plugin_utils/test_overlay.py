# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test overlay of an artifact, made by uv of real wheels."""

from __future__ import annotations

import io
import json
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import identity
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _builder, _overlay
from ansible_collections.containerless.django.plugins.plugin_utils._source import open_source

from ..module_utils.distributions import make_wheel
from ..module_utils.documents import MANIFEST
from .checkout import FILES, commit, make

EXCLUDE = '\n[tool.containerless]\nexclude = ["**/tests", "conftest.py"]\n'
TESTED = {
    "pyproject.toml": FILES["pyproject.toml"] + EXCLUDE,
    "store/models.py": "",
    "store/tests/test_it.py": "def test(): ...",
    "conftest.py": "",
}


class Project(t.NamedTuple):
    """A checkout, an artifact of it, and a wheelhouse."""

    src: Path
    artifact: _overlay.Artifact
    places: _overlay.Places

    def build(self, dest: str = "overlay.tar", **asked: t.Any) -> tuple[_overlay.Built, Path]:
        path = self.src.parent / dest
        return _overlay.build(self.src, self.artifact, _overlay.Asked(**asked), self.places, path), path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    house = tmp_path / "house"
    house.mkdir()
    files = {"checker.py": "", "checker-1.0.data/scripts/checker": "#!python\n"}
    pinned = make_wheel(house, "checker", files=files), make_wheel(house, "django", version="5.2.19")
    lock = f"checker==1.0 --hash=sha256:{pinned[0]}\ndjango==5.2.19 --hash=sha256:{pinned[1]}\n"
    src = make(tmp_path / "shop", {**TESTED, "requirements-dev.txt": lock})
    source = open_source(src, "HEAD", allow_dirty=False)
    manifest = {
        **MANIFEST,
        "source": {"commit": source.commit, "tree": source.tree, "dirty": False},
        "distributions": [{"name": "django", "version": "5.2.19", "file": "x", "sha256": "0" * 64}],
    }
    artifact = _overlay.Artifact(manifest, _builder.platform("debian12"))
    return Project(src, artifact, _overlay.Places(tmp_path / "cache", wheelhouse=house))


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        return {name: file.read() for name, file in files.items() if file}


def test_it_holds_what_the_artifact_lacks_and_names_it(project: Project) -> None:
    built, path = project.build(lock="requirements-dev.txt")
    found = members(path)
    document = json.loads(found["overlay.json"])
    assert document["content_id"] == identity.content_id(project.artifact.manifest)
    assert [item["name"] for item in document["distributions"]] == ["checker"]
    assert document["files"] == 2
    assert {"app/store/tests/test_it.py", "app/conftest.py", "lib/checker.py"} <= set(found)
    # Neither the artifact's own code and distributions, nor scripts that name a Python of this machine.
    assert not [name for name in found if name.startswith(("lib/django", "lib/bin")) or name == "app/store/models.py"]
    assert built.document == document


def test_equal_inputs_make_equal_bytes(project: Project) -> None:
    first, second = project.build(lock="requirements-dev.txt"), project.build("again.tar", lock="requirements-dev.txt")
    assert first[0].sha256 == second[0].sha256
    assert first[1].read_bytes() == second[1].read_bytes()


def test_another_artifact_has_another_overlay(project: Project) -> None:
    first, _ = project.build(lock="requirements-dev.txt")
    other = project.artifact.manifest | {"version": "9"}
    second, _ = project._replace(artifact=_overlay.Artifact(other, project.artifact.target)).build(
        lock="requirements-dev.txt"
    )
    assert first.sha256 != second.sha256


def test_another_version_than_that_of_the_artifact_is_refused(project: Project) -> None:
    project.artifact.manifest["distributions"][0]["version"] = "5.2.18"
    with pytest.raises(ContainerlessError, match=r"django 5.2.19, not 5.2.18 \(app_test_lock\)"):
        project.build(lock="requirements-dev.txt")


def test_a_distribution_without_a_wheel_is_refused_by_its_name(project: Project) -> None:
    next((project.src.parent / "house").glob("checker*")).unlink()
    with pytest.raises(ContainerlessError, match=r"the tests need checker==1.0, of which no wheel for debian12"):
        project.build(lock="requirements-dev.txt")
    assert not (project.src.parent / "overlay.tar").exists()


def test_a_checkout_that_moved_on_still_has_the_commit(project: Project) -> None:
    before, _ = project.build(lock="requirements-dev.txt")
    commit(project.src, {"store/tests/test_more.py": ""})
    after, _ = project.build(lock="requirements-dev.txt")
    assert before.sha256 == after.sha256


def test_a_work_tree_that_was_built_dirty_and_changed_since_is_refused(project: Project) -> None:
    project.artifact.manifest["source"] |= {"dirty": True, "tree": "0" * 40}
    with pytest.raises(ContainerlessError, match="is no longer what artifact .* was built from"):
        project.build(lock="requirements-dev.txt")


def test_the_group_dev_of_a_uv_lock_goes_without_saying(project: Project) -> None:
    groups = '[dependency-groups]\ndev = ["checker"]\n'
    source = open_source(project.src, commit(project.src, {"pyproject.toml": groups}), allow_dirty=False)
    assert _overlay._groups(source, "uv.lock", _overlay.Asked()) == ("dev",)
    assert _overlay._groups(source, "uv.lock", _overlay.Asked(groups=())) == ()
    assert _overlay._groups(source, "requirements.txt", _overlay.Asked()) == ()
