# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One place for all builds of a run, so that they share wheels and environments."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import lock
from ansible_collections.containerless.django.plugins.plugin_utils import _builder, _wheels

from . import harness, projects


@pytest.fixture(scope="session")
def builder() -> t.Iterator[harness.Builder]:
    """Return what builds; every user of this machine can read below its folder."""
    _builder.PLATFORMS[harness.PLATFORM] = harness.platform()
    with tempfile.TemporaryDirectory(prefix="artifact-") as folder:
        Path(folder).chmod(0o755)
        yield harness.Builder(Path(folder), harness.ROOT / ".cache/artifact")
    del _builder.PLATFORMS[harness.PLATFORM]


@pytest.fixture
def src(tmp_path: Path) -> t.Callable[..., Path]:
    """Return what makes a checkout of layers of files."""
    return lambda *layers: projects.checkout(tmp_path / "src", *layers)


@pytest.fixture(scope="session")
def fetched(builder: harness.Builder) -> list[Path]:
    """Return the wheels that the tests' projects share."""
    pins = lock.parse(projects.locked(*projects.PINS), "requirements.txt")
    wheels, _fetched = _wheels.wheels_for(list(pins.pins), harness.platform(), builder.cache, _wheels.Index())
    return [wheel.path for wheel in wheels]


@pytest.fixture
def stock(fetched: list[Path], tmp_path: Path) -> Path:
    """Return a wheelhouse with these wheels, for a test to add its own."""
    folder = tmp_path / "stock"
    folder.mkdir()
    for wheel in fetched:
        shutil.copy(wheel, folder)
    return folder


@pytest.fixture(scope="session")
def uv_locks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return a pyproject.toml with uv's two locks of it, which uv makes with the index that it is configured for."""
    folder = tmp_path_factory.mktemp("locks")
    text = projects.locked(*projects.PINS)
    pins = [line.split()[0] for line in text.splitlines() if "==" in line.split()[0]]
    document = f"[project]\nname = 'blog'\nversion = '1'\nrequires-python = '>=3.11'\ndependencies = {pins}\n"
    (folder / "pyproject.toml").write_text(document)
    run = [str(_builder.find_uv()), "--directory", str(folder), "--quiet", "--no-config"]
    for argv in (["lock"], ["export", "--format", "pylock.toml", "--output-file", "pylock.toml"]):
        done = subprocess.run([*run, *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return {path.name: path.read_text() for path in folder.iterdir()}
