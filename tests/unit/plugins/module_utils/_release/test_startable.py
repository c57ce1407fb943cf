# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
import sysconfig
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release import startable

from ..documents import MANIFEST

SOABI = str(sysconfig.get_config_var("SOABI"))


def manifest(soabi: str = SOABI) -> dict[str, t.Any]:
    return {**MANIFEST, "python": {**MANIFEST["python"], "soabi": soabi}}


@pytest.fixture
def link(tmp_path: Path) -> Path:
    (tmp_path / "tree/venv/bin").mkdir(parents=True)
    return tmp_path / "tree/venv/bin/python"


def problems(link: Path, soabi: str = SOABI) -> list[str]:
    return startable.problems(str(link.parents[2]), manifest(soabi))


def test_the_python_that_it_was_built_for_is_there(link: Path) -> None:
    link.symlink_to(sys.executable)
    assert problems(link) == []


def test_another_python_is_a_problem(link: Path) -> None:
    link.symlink_to(sys.executable)
    (said,) = problems(link, "cpython-36m-x86_64-linux-gnu")
    assert f"is {SOABI} now, and this release was built for cpython-36m-x86_64-linux-gnu; release an artifact" in said


def test_a_python_that_an_upgrade_removed_is_a_problem(link: Path) -> None:
    link.symlink_to("/usr/bin/python2.9")
    (said,) = problems(link)
    assert said.startswith(
        f"/usr/bin/python2.9, the Python of this release ({SOABI}), is no longer on this host; release"
    )


def test_a_tree_without_a_python_is_not_whole(link: Path) -> None:
    assert problems(link) == [f"{link} is missing: the tree is not whole; release it again"]


# contents, mode -> part of the sentence
BROKEN = [
    ("#!/bin/sh\n", 0o644, "can't be executed"),
    ("#!/bin/sh\necho of no use >&2\nexit 3\n", 0o755, "does not start: of no use"),
    ("#!/bin/sh\nexit 3\n", 0o755, "does not start: rc 3"),
    ("no program", 0o755, "does not start: Exec format error"),
]


@pytest.mark.parametrize(("text", "mode", "message"), BROKEN)
def test_a_python_that_is_none_is_a_problem(link: Path, tmp_path: Path, text: str, mode: int, message: str) -> None:
    program = tmp_path / "python"
    program.write_text(text, "utf-8")
    program.chmod(mode)
    link.symlink_to(program)
    (said,) = problems(link)
    assert message in said
    assert SOABI in said


def test_nothing_of_the_app_is_loaded(link: Path) -> None:
    asked: list[t.Sequence[str]] = []

    def run(argv: t.Sequence[str]) -> tuple[int, str, str]:
        asked.append(argv)
        return 0, f"{SOABI}\n", ""

    link.symlink_to(sys.executable)
    assert startable.problems(str(link.parents[2]), manifest(), run) == []
    assert [argv[1] for argv in asked] == ["-IS"]
    assert not asked[0][0].startswith(str(link.parents[2]))
