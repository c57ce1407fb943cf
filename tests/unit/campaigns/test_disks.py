# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two disks are equal for us where no program could tell our folders apart."""

from __future__ import annotations

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


def test_the_rest_of_the_disk_and_a_rewritten_file_do_not(root: Path) -> None:
    before = disks.digest(root)
    (root / "var/log").mkdir(parents=True)
    (root / "srv/containerless/rig/file").write_text("1")
    assert disks.digest(root) == before
