# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the repository finds a Python, an uv and the variables that its tools run with."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.containerless.django.tools import bootstrap

if t.TYPE_CHECKING:
    from pathlib import Path

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def this_python(path: Path) -> Path:
    return script(path, f'exec {sys.executable} "$@"')


def shim(path: Path) -> Path:
    """A pyenv shim of a version that is installed, but not chosen."""
    return script(path, 'echo "pyenv: command not found" >&2; exit 127')


def test_a_shim_that_does_not_start_is_passed_over_for_the_next_on_path(tmp_path: Path) -> None:
    shim(tmp_path / "shims" / f"python{HERE}")
    real = this_python(tmp_path / "bin" / f"python{HERE}")
    environ = {"PATH": f"{tmp_path}/shims:{tmp_path}/bin", "HOME": str(tmp_path)}
    assert bootstrap.find_python([HERE], environ) == real


@pytest.mark.parametrize("how", ["PYENV_ROOT", "HOME", "shims on PATH"])
def test_pyenv_s_versions_are_found(tmp_path: Path, how: str) -> None:
    root = tmp_path / ".pyenv"
    shim(root / "shims" / f"python{HERE}")
    real = this_python(root / "versions" / f"{HERE}.1" / "bin" / f"python{HERE}")
    environ = {
        "PYENV_ROOT": {"PYENV_ROOT": str(root)},
        "HOME": {"HOME": str(tmp_path)},
        "shims on PATH": {"HOME": "/nonexistent", "PATH": f"{root}/shims"},
    }[how]
    assert bootstrap.find_python([HERE], environ) == real


def test_the_first_version_asked_for_wins_and_none_is_none(tmp_path: Path) -> None:
    real = this_python(tmp_path / "python3")
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    assert bootstrap.find_python(["2.7", HERE], environ) == real
    assert bootstrap.find_python(["2.7"], environ) is None


@pytest.mark.parametrize("text", ["exit 1", "echo 2.7", "kill -9 $$"])
def test_an_interpreter_is_what_it_says_itself(tmp_path: Path, text: str) -> None:
    assert not bootstrap.runs_version(script(tmp_path / "python3", text), HERE)
    assert not bootstrap.runs_version(tmp_path / "missing", HERE)
    assert bootstrap.runs_version(this_python(tmp_path / "good"), HERE)


def test_one_pin_is_taken_with_all_its_hashes_and_nothing_else() -> None:
    uv = "uv==0.1.2 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\n"
    pins = f"six==1 \\\n    --hash=sha256:0\n{uv}uvloop==9 \\\n    --hash=sha256:c\n"
    assert bootstrap.pinned_block(pins, "uv") == uv
    with pytest.raises(SystemExit, match="make lock"):
        bootstrap.pinned_block(pins, "absent")


def test_a_newer_uv_is_good_enough_and_an_older_or_mute_one_is_not() -> None:
    pin = bootstrap.numbers("uv==0.13.9 \\\n    --hash=sha256:77")
    assert bootstrap.numbers("uv 0.13.10 (x86_64)") >= pin
    assert not bootstrap.numbers("uv 0.9.30") >= pin
    assert not bootstrap.numbers("") >= pin


def test_the_user_s_own_ansible_can_not_shadow_the_checkout() -> None:
    env = bootstrap.environment({"ANSIBLE_ROLES_PATH": "/theirs", "MOLECULE_GLOB": "x", "HOME": "/h", "PATH": "/bin"})
    assert "ANSIBLE_ROLES_PATH" not in env
    assert "MOLECULE_GLOB" not in env
    assert env["ANSIBLE_COLLECTIONS_PATH"] == str(bootstrap.CACHE / "collections")
    assert env["PATH"].split(os.pathsep)[:2] == [str(bootstrap.CACHE / "tools/bin"), "/bin"]


def test_ansible_really_finds_this_checkout(root: Path) -> None:
    listed = subprocess.run(
        ["ansible-galaxy", "collection", "list", "containerless.django", "--format", "json"],
        env=bootstrap.environment(os.environ),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert str(bootstrap.CACHE / "collections/ansible_collections") in listed
    assert (bootstrap.CACHE / "collections/ansible_collections/containerless/django").resolve() == root
