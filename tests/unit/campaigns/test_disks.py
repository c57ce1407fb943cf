# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two disks are equal for us where no program could tell our folders apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.containerless.django.tests.campaigns import disks


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tree = tmp_path / "srv/containerless/rig"
    tree.mkdir(parents=True)
    (tree / "file").write_text("1")
    (tree / "current").symlink_to("trees/a")
    return tmp_path


def relink(tree: Path) -> None:
    (tree / "current").unlink()
    (tree / "current").symlink_to("trees/b")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda tree: (tree / "file").write_text("2"), id="content"),
        pytest.param(lambda tree: (tree / "file").chmod(0o600), id="mode"),
        pytest.param(lambda tree: (tree / "file").rename(tree / "other"), id="name"),
        pytest.param(lambda tree: (tree / "empty").mkdir(), id="folder"),
        pytest.param(relink, id="link"),
    ],
)
def test_whatever_a_program_could_see_changes_the_digest(root: Path, change: Callable[[Path], object]) -> None:
    before = disks.digest(root)
    change(root / "srv/containerless/rig")
    assert disks.digest(root) != before


@pytest.mark.parametrize(
    ("folder", "counts"),
    [
        pytest.param("srv/containerless/rig/trees/.new-1", False, id="unfinished-tree"),
        pytest.param("etc/containerless/rig/2.0.0.new", False, id="written-aside"),
        pytest.param("var/lib/containerless/rig/data", False, id="app-data"),
        pytest.param(f"srv/containerless/rig/trees/{'a' * 64}", True, id="tree"),
        pytest.param("etc/containerless/rig/data", True, id="same-name-elsewhere"),
    ],
)
def test_what_a_boot_does_not_read_counts_by_its_name_only(root: Path, folder: str, counts: bool) -> None:
    (root / folder).mkdir(parents=True)
    before = disks.digest(root)
    (root / folder / "file").write_text("1")
    assert (disks.digest(root) != before) is counts
    shutil.rmtree(root / folder)
    assert disks.digest(root) != before


def test_of_a_whole_tree_sizes_stand_for_contents(root: Path) -> None:
    tree = root / f"srv/containerless/rig/trees/{'a' * 64}"
    tree.mkdir(parents=True)
    seen = []
    for text in ("12", "34", "5"):
        (tree / "file").write_text(text)
        seen.append(disks.digest(root))
    assert seen[0] == seen[1] != seen[2]


def test_the_rest_of_the_disk_and_a_rewritten_file_do_not(root: Path) -> None:
    before = disks.digest(root)
    (root / "var/log").mkdir(parents=True)
    (root / "srv/containerless/rig/file").write_text("1")
    assert disks.digest(root) == before
