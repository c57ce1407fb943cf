# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import files, tool


@pytest.fixture
def rooms(root: Path) -> str:
    return str(root / "plugins/module_utils")


def copied(rooms: str, tmp_path: Path) -> Path:
    for room in tool.ROOMS:
        shutil.copytree(Path(rooms, room), tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(layout: Layout, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", layout.command, *argv], capture_output=True, text=True, check=False)


def test_the_same_sources_are_the_same_tool(rooms: str, tmp_path: Path) -> None:
    copy = copied(rooms, tmp_path)
    (copy / "_core/__pycache__").mkdir()
    (copy / "_core/__pycache__/x.py").write_text("", "utf-8")
    (copy / "_core/names.py~").write_text("", "utf-8")
    assert tool.pack(str(copy)) == tool.pack(rooms)
    assert tool.digest_of(rooms) == tool.pack(rooms)[0]


@pytest.mark.parametrize("change", ["_core/names.py", "_artifact/new.py", "_release/probes/applied_migrations.py"])
def test_any_source_makes_another_tool(rooms: str, tmp_path: Path, change: str) -> None:
    copy = copied(rooms, tmp_path)
    with (copy / change).open("a", encoding="utf-8") as source:
        source.write("# changed\n")
    assert tool.pack(str(copy))[0] != tool.pack(rooms)[0]


def test_the_tool_runs_alone(rooms: str, layout: Layout) -> None:
    digest, packed = tool.pack(rooms)
    assert tool.installed(layout) == ""
    assert tool.install(layout, digest, packed) is True
    assert tool.installed(layout) == digest
    assert tool.install(layout, digest, packed) is False
    done = run(layout, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "rollback" in done.stdout
    assert run(layout, "dance").returncode == 2


def test_a_newer_tool_takes_over(rooms: str, layout: Layout) -> None:
    digest, packed = tool.pack(rooms)
    tool.install(layout, "0123456789abcdef", packed)
    tool.install(layout, digest, packed)
    assert tool.installed(layout) == digest
    assert sorted(os.listdir(layout.tools)) == sorted(["0123456789abcdef", digest, "current"])


def test_the_rest_of_a_crash_is_no_part_of_the_tool(rooms: str, layout: Layout) -> None:
    digest, packed = tool.pack(rooms)
    os.makedirs(f"{layout.tools}/.{digest}/containerless/_core")
    Path(layout.tools, f".{digest}/containerless/_core/names.py").write_text("half", "utf-8")
    tool.install(layout, digest, packed)
    assert run(layout, "--help").returncode == 0
    assert not os.path.exists(f"{layout.tools}/.{digest}")


def test_a_strict_umask_does_not_hide_the_probe_from_the_sandbox(rooms: str, layout: Layout) -> None:
    before = os.umask(0o077)
    try:
        tool.install(layout, *tool.pack(rooms))
    finally:
        os.umask(before)
    path = Path(layout.tools, "current/containerless/_release/probes/applied_migrations.py").resolve()
    below = [path, *(parent for parent in path.parents if parent.is_relative_to(layout.tools))]
    assert [place for place in below if not stat.S_IMODE(place.stat().st_mode) & stat.S_IROTH] == []
    assert os.access(layout.command, os.X_OK)
    assert stat.S_IMODE(os.stat(layout.command).st_mode) == 0o755


def test_a_command_that_is_missing_is_written_again(rooms: str, layout: Layout) -> None:
    tool.install(layout, *tool.pack(rooms))
    files.remove(layout.command)
    tool.install(layout, *tool.pack(rooms))
    assert os.path.exists(layout.command)


def test_a_command_of_its_own_is_that_of_the_version_and_not_of_a_later_one(rooms: str, layout: Layout) -> None:
    assert tool.own_command(layout) == f"{layout.tools}/current/command"
    digest, packed = tool.pack(rooms)
    tool.install(layout, "0123456789abcdef", packed)
    before = tool.own_command(layout)
    tool.install(layout, digest, packed)
    assert before == f"{layout.tools}/0123456789abcdef/command"
    assert tool.own_command(layout) == f"{layout.tools}/{digest}/command"
    for command in (before, tool.own_command(layout)):
        done = subprocess.run([sys.executable, "-I", command, "--help"], capture_output=True, text=True, check=False)
        assert (done.returncode, "expire" in done.stdout) == (0, True)


def test_few_older_versions_stay_and_the_newest_of_them(rooms: str, layout: Layout) -> None:
    digest, packed = tool.pack(rooms)
    older = [f"{number:016x}" for number in range(6)]
    for number, name in enumerate(older):
        tool.install(layout, name, packed)
        os.utime(f"{layout.tools}/{name}", (number, number))
    tool.install(layout, digest, packed)
    tool.prune(layout)
    assert sorted(os.listdir(layout.tools)) == sorted([*older[-3:], digest, "current"])
    assert tool.installed(layout) == digest
