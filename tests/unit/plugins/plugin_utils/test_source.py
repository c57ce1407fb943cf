# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils._source import Source, open_source

from . import checkout


def archived(source: Source, tmp_path: Path) -> dict[str, str]:
    source.archive(tmp_path / "app.tar")
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "app.tar").read_bytes())) as tar:
        files = [member for member in tar if member.isfile()]
        return {member.name: (tar.extractfile(member) or io.BytesIO()).read().decode() for member in files}


def test_the_commit_is_the_source(tmp_path: Path) -> None:
    repo = checkout.make(tmp_path / "repo")
    source = open_source(repo, "HEAD", allow_dirty=False)
    assert source.commit == checkout.git(repo, "rev-parse", "HEAD")
    assert source.tree == checkout.git(repo, "rev-parse", "HEAD^{tree}")
    assert (source.time, source.dirty) == (1709256600, False)
    assert source.read("Procfile") == checkout.FILES["Procfile"].encode()
    assert source.read("absent") is None
    assert archived(source, tmp_path) == checkout.FILES


def test_another_ref_is_built_whatever_lies_in_the_folder(tmp_path: Path) -> None:
    repo = checkout.make(tmp_path / "repo")
    first = checkout.git(repo, "rev-parse", "HEAD")
    checkout.commit(repo, {"new.py": "x = 1\n"})
    checkout.write(repo, {"new.py": "x = 2\n"})
    assert "new.py" not in archived(open_source(repo, first, allow_dirty=False), tmp_path)


def test_a_folder_in_a_checkout_is_a_project_of_its_own(tmp_path: Path) -> None:
    repo = checkout.make(tmp_path / "repo", {"backend/Procfile": "web: gunicorn x\n"})
    checkout.write(repo, {"notes.txt": "outside of the project"})
    source = open_source(repo / "backend", "HEAD", allow_dirty=False)
    assert source.tree == checkout.git(repo, "rev-parse", "HEAD:backend")
    assert archived(source, tmp_path) == {"Procfile": "web: gunicorn x\n"}


@pytest.mark.parametrize(
    ("files", "shown"),
    [
        ({"Procfile": "web: other\n"}, " M Procfile"),
        ({"new.py": ""}, r"\?\? new.py"),
        ({"Procfile": None}, " D Procfile"),
        (dict.fromkeys("abcde", ""), "and 2 more"),
    ],
)
def test_a_dirty_tree_is_refused(tmp_path: Path, files: dict[str, str | None], shown: str) -> None:
    repo = checkout.make(tmp_path / "repo")
    checkout.write(repo, files)
    with pytest.raises(ContainerlessError, match=rf"changes that are not committed \(.*{shown}.*app_build_allow_dirty"):
        open_source(repo, "HEAD", allow_dirty=False)


def test_a_dirty_tree_is_built_as_it_stands_and_leaves_the_repository_alone(tmp_path: Path) -> None:
    repo = checkout.make(tmp_path / "repo", {".gitignore": "secret\n"})
    checkout.write(repo, {"new.py": "x = 1\n", "secret": "x", "manage.py": None})
    before = sorted(path for path in (repo / ".git").rglob("*") if path.name != "index")
    source = open_source(repo, "HEAD", allow_dirty=True)
    files = archived(source, tmp_path)
    assert source.dirty
    assert source.tree != checkout.git(repo, "rev-parse", "HEAD^{tree}")
    assert files["new.py"] == "x = 1\n"
    assert not {"secret", "manage.py"} & files.keys()
    assert sorted(path for path in (repo / ".git").rglob("*") if path.name != "index") == before
    assert checkout.git(repo, "diff", "--cached", "--name-only") == ""


def test_allow_dirty_changes_nothing_about_a_clean_tree(tmp_path: Path) -> None:
    repo = checkout.make(tmp_path / "repo")
    assert open_source(repo, "HEAD", allow_dirty=True) == open_source(repo, "HEAD", allow_dirty=False)


def test_line_ends_are_those_of_the_commit(tmp_path: Path) -> None:
    repo = checkout.make(tmp_path / "repo", {"windows.txt": "a\r\nb\n"})
    checkout.git(repo, "config", "core.autocrlf", "true")
    assert archived(open_source(repo, "HEAD", allow_dirty=True), tmp_path)["Procfile"] == checkout.FILES["Procfile"]


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(
        ContainerlessError, match=r"app_src .*/plain is not a git checkout; an artifact is built from a"
    ):
        open_source(tmp_path / "plain", "HEAD", allow_dirty=False)
    with pytest.raises(ContainerlessError, match="app_src .*/absent is not a folder on the control node"):
        open_source(tmp_path / "absent", "HEAD", allow_dirty=False)
    checkout.git(tmp_path / "plain", "init", "-q")
    with pytest.raises(ContainerlessError, match="has no commit 'HEAD'; commit something first"):
        open_source(tmp_path / "plain", "HEAD", allow_dirty=False)
    repo = checkout.make(tmp_path / "repo")
    with pytest.raises(ContainerlessError, match="has no commit 'v9'; fetch it, or change app_build_ref"):
        open_source(repo, "v9", allow_dirty=False)
    with pytest.raises(ContainerlessError, match="has no commit '--all'"):
        open_source(repo, "--all", allow_dirty=False)


def test_a_submodule_is_refused_by_name(tmp_path: Path) -> None:
    repo = checkout.make(tmp_path / "repo")
    head = checkout.git(repo, "rev-parse", "HEAD")
    checkout.git(repo, "update-index", "--add", "--cacheinfo", f"160000,{head},vendor/lib")
    checkout.git(repo, "commit", "-q", "-m", "submodule")
    (repo / "vendor/lib").mkdir(parents=True)
    with pytest.raises(ContainerlessError, match="vendor/lib in .* is a git submodule"):
        open_source(repo, "HEAD", allow_dirty=False)
