# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import installed
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError

SITE = "lib/python3.11/site-packages"


def row(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    files = {
        "demo/__init__.py": b"x = 1\n",
        "../../../bin/demo": b"#!/bin/sh\n",
        "demo_kit-1.0.dist-info/METADATA": b"Name: demo-kit\n",
        "demo_kit-1.0.dist-info/uv_cache.json": b'{"timestamp": 1}',
    }
    site = tmp_path / "venv" / SITE
    for name, data in files.items():
        path = (site / name).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    record = "".join(row(name, data) for name, data in files.items()) + "demo_kit-1.0.dist-info/RECORD,,\n"
    (site / "demo_kit-1.0.dist-info" / "RECORD").write_text(record)
    return tmp_path / "venv"


def test_whole_is_accepted_with_bytecode_and_helpers_of_the_environment(venv: Path) -> None:
    (venv / SITE / "demo" / "__pycache__").mkdir()
    (venv / SITE / "demo" / "__pycache__" / "x.pyc").touch()
    (venv / SITE / "_virtualenv.py").touch()
    installed.verify(str(venv))
    assert installed.names(str(venv)) == {"demo-kit": "1.0"}


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        (f"{SITE}/demo/__init__.py", b"x = 2\n", "demo_kit-1.0.dist-info: installed file demo/__init__.py was changed"),
        (f"{SITE}/demo/__init__.py", b"x = 10\n", "has another size"),
        (f"{SITE}/demo/__init__.py", None, "is missing"),
        ("bin/demo", b"#!/bin/zz\n", "bin/demo was changed"),
        (f"{SITE}/demo/more.py", b"", "demo/more.py was installed but stands in no RECORD"),
        (f"{SITE}/evil.pth", b"import os", "evil.pth was installed but stands in no RECORD"),
        (f"{SITE}/demo_kit-1.0.dist-info/RECORD", None, "demo_kit-1.0.dist-info has no RECORD"),
    ],
)
def test_what_is_not_as_in_the_wheel_is_refused(venv: Path, name: str, data: bytes | None, fault: str) -> None:
    if data is None:
        (venv / name).unlink()
    else:
        (venv / name).write_bytes(data)
    with pytest.raises(ContainerlessError, match=fault):
        installed.verify(str(venv))


def test_prune_leaves_what_every_machine_has(venv: Path) -> None:
    for name in (
        "pyvenv.cfg",
        ".lock",
        "bin/activate",
        "bin/activate.fish",
        "bin/python3.11",
        f"{SITE}/_virtualenv.pth",
    ):
        (venv / name).touch()
    (venv / "lib64").symlink_to("lib")
    (venv / "include").mkdir()
    (venv / "share").mkdir()
    (venv / "share" / "demo.1").touch()
    installed.prune(str(venv))
    left = sorted(str(path.relative_to(venv)) for path in venv.rglob("*") if not path.is_dir() or path.is_symlink())
    info = f"{SITE}/demo_kit-1.0.dist-info"
    assert left == ["bin/demo", f"{SITE}/demo/__init__.py", f"{info}/METADATA", f"{info}/RECORD", "share/demo.1"]
    assert not (venv / "include").exists()
    assert "uv_cache" not in (venv / info / "RECORD").read_text()
    installed.verify(str(venv))


def test_leak_names_the_file_or_link(tmp_path: Path) -> None:
    (tmp_path / "a.pyc").write_bytes(b"\0/tmp/build-x/app\0")
    assert installed.leak(str(tmp_path), ["/tmp/build-y"]) is None
    assert installed.leak(str(tmp_path), ["/tmp/build-x"]) == "a.pyc"
    (tmp_path / "a.pyc").unlink()
    (tmp_path / "b").symlink_to("/tmp/build-x/c")
    assert installed.leak(str(tmp_path), ["/tmp/build-x"]) == "b"
