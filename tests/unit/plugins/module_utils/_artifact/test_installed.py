# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import installed
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError

from ..distributions import make_wheel

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


def test_bytecode_of_a_wheel_is_that_of_nobody(venv: Path) -> None:
    tag = sys.implementation.cache_tag
    add(venv, "warm", {"warm/a.py": b"a = 1\n", f"warm/__pycache__/a.{tag}.pyc": b"old", "warm/b.pyc": b"no source"})
    subprocess.run([sys.executable, "-m", "compileall", "-q", "-f", str(venv / SITE / "warm")], check=True)
    assert (venv / SITE / f"warm/__pycache__/a.{tag}.pyc").read_bytes() != b"old"
    installed.verify(str(venv))
    (venv / SITE / "warm/b.pyc").write_bytes(b"no-source")
    with pytest.raises(ContainerlessError, match="warm/b.pyc was changed"):
        installed.verify(str(venv))


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


def test_prune_leaves_commands_whose_names_begin_as_those_of_the_environment(venv: Path) -> None:
    add(venv, "completer", {"../../../bin/activate-completion": b"#!/bin/sh\n"})
    installed.prune(str(venv))
    assert (venv / "bin/activate-completion").is_file()


def add(venv: Path, name: str, files: dict[str, bytes], *, write: bool = True) -> None:
    """Install a distribution over what is there, as installers do."""
    info = venv / SITE / f"{name}-2.0.dist-info"
    info.mkdir()
    for file, data in files.items() if write else ():
        path = Path(os.path.normpath(venv / SITE / file))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (info / "RECORD").write_text("".join(row(*item) for item in files.items()) + f"{info.name}/RECORD,,\n")


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("../../../bin/demo", "demo_kit 1.0 and other 2.0 both bring a command bin/demo: .* take one out of the lock"),
        ("demo/__init__.py", "demo_kit 1.0 and other 2.0 both bring a file lib/python3.11/site-packages/demo/__init__"),
        ("../../../bin/python", "other 2.0 brings bin/python, which is the environment's own"),
        ("../../../pyvenv.cfg", "other 2.0 brings pyvenv.cfg, which"),
    ],
)
def test_two_distributions_never_bring_different_files_under_one_name(venv: Path, file: str, fault: str) -> None:
    add(venv, "other", {file: b"another"})
    with pytest.raises(ContainerlessError, match=fault):
        installed.verify(str(venv))


def test_the_same_file_of_two_distributions_is_no_conflict(venv: Path) -> None:
    add(venv, "other", {"demo/__init__.py": b"x = 1\n"})
    installed.verify(str(venv))


@pytest.mark.parametrize("name", ["../../../../evil", "/etc/cron.d/evil", "demo/../../../../../evil"])
def test_a_record_that_leads_out_is_refused_by_name(venv: Path, name: str) -> None:
    add(venv, "other", {name: b"x"}, write=False)
    with pytest.raises(ContainerlessError, match=rf"^other-2.0.dist-info writes outside of its environment: .*{name}$"):
        installed.verify(str(venv))
    # A folder whose name begins as the environment's is outside too.
    add(venv, "third", {"../../../../venv-of-another/x": b"x"}, write=False)
    (venv / SITE / "other-2.0.dist-info" / "RECORD").write_text("")
    with pytest.raises(ContainerlessError, match="third-2.0.dist-info writes outside"):
        installed.verify(str(venv))


@pytest.mark.parametrize(
    "name",
    ["../../../evil", "/evil", "thing-1.0.data/data/../../../evil", "thing-1.0.data/scripts/../evil", "a\\..\\evil"],
)
def test_a_wheel_that_leads_out_is_refused_before_it_is_installed(tmp_path: Path, name: str) -> None:
    make_wheel(tmp_path, "good", files={"good/a..b.py": "", "good-1.0.data/scripts/good": "#!python"})
    installed.check_wheels(str(tmp_path))
    make_wheel(tmp_path, "thing", files={name: ""})
    with pytest.raises(
        ContainerlessError, match="^thing-1.0-py3-none-any.whl writes outside of its environment: it ho"
    ):
        installed.check_wheels(str(tmp_path))


def test_what_is_no_zip_is_no_wheel(tmp_path: Path) -> None:
    (tmp_path / "thing-1.0-py3-none-any.whl").write_bytes(b"<html>")
    with pytest.raises(ContainerlessError, match="thing-1.0-py3-none-any.whl is no wheel"):
        installed.check_wheels(str(tmp_path))


def test_uv_leaves_such_a_file_out_in_silence(tmp_path: Path) -> None:
    """Why the wheels are looked at: were this test to fail, uv refuses them by itself."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("no uv on PATH")
    make_wheel(tmp_path, "thing", files={"../../../../evil": ""})
    env = {"UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(tmp_path / "uv"), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    target = ["--offline", "--no-index", "--target", str(tmp_path / "there"), "--python", sys.executable]
    argv = [uv, "pip", "install", *target, str(tmp_path / "thing-1.0-py3-none-any.whl")]
    subprocess.run(argv, env=env, capture_output=True, check=True)
    assert "evil" not in (tmp_path / "there/thing-1.0.dist-info/RECORD").read_text()


def test_leak_names_the_file_or_link(tmp_path: Path) -> None:
    (tmp_path / "a.pyc").write_bytes(b"\0/tmp/build-x/app\0")
    assert installed.leak(str(tmp_path), ["/tmp/build-y", "/home/ann/"]) is None
    assert installed.leak(str(tmp_path), ["/tmp/build-x", "/home/ann/"]) == "a.pyc"
    (tmp_path / "a.pyc").write_bytes(b"x = '/home/ann/shop'")
    assert installed.leak(str(tmp_path), ["/tmp/build-x", "/home/ann/"]) == "a.pyc"
    (tmp_path / "a.pyc").write_bytes(b"x = '/home/anna/shop'")
    assert installed.leak(str(tmp_path), ["/tmp/build-x", "/home/ann/"]) is None
    (tmp_path / "sub").mkdir()
    for name in ("b", "sub/c"):
        (tmp_path / name).symlink_to("/tmp/build-x/c")
        assert installed.leak(str(tmp_path), ["/tmp/build-x"]) == name
        (tmp_path / name).unlink()
    (tmp_path / "sub/folder").symlink_to(tmp_path)
    assert installed.leak(str(tmp_path), [str(tmp_path)]) == "sub/folder"


@pytest.mark.parametrize("home", ["", "/", "/root", "/root/", "/nonexistent"])
def test_a_home_that_every_text_names_is_no_leak(tmp_path: Path, home: str) -> None:
    (tmp_path / "guide.py").write_text("# log in as root, go to /root/ or /nonexistent/")
    assert installed.leak(str(tmp_path), [home]) is None
