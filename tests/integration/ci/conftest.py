# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user of this collection: an own home, and on the path what the guide asks for. Nothing of this checkout helps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
#: What the tools' environment of this checkout sets, or a person's own Ansible.
FOREIGN = ("ANSIBLE_", "MOLECULE_", "PYTHON", "PYTEST_", "VIRTUAL_ENV")
GALAXY = "collection install containerless.django\n"
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class User:
    """Runs shell lines to the letter, but for the collection: that of this checkout, for Galaxy has none yet."""

    home: Path
    collection: Path
    seconds: int = 900
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        (self.home / "bin").mkdir()
        # Debian's own Python may be older than what the control node takes; uv finds one that is there.
        own = {"uv": shutil.which("uv"), "uvx": shutil.which("uvx"), "python3.13": os.path.realpath(sys.executable)}
        for name, path in own.items():
            if path and (name != "python3.13" or sys.version_info[:2] == (3, 13)):
                (self.home / "bin" / name).symlink_to(path)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        cache = kept.get("XDG_CACHE_HOME") or str(Path(kept["HOME"], ".cache"))
        # Images of machines and wheels stay where they are: a CI that is kept warm.
        warm = {"XDG_CACHE_HOME": cache, "UV_CACHE_DIR": kept.get("UV_CACHE_DIR") or f"{cache}/uv"}
        self.env = {**kept, **warm, "HOME": str(self.home), "PATH": f"{self.home}/bin:{SYSTEM}"}

    def sh(self, lines: str, cwd: Path, env: Mapping[str, str] | None = None) -> str:
        """Run lines; return what they say. They have to end well."""
        told = lines.replace(GALAXY, f"collection install {self.collection}\n")
        done = subprocess.run(
            ["sh", "-e"],
            check=False,
            input=told,
            cwd=cwd,
            env={**self.env, **(env or {})},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=self.seconds,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the collection as Galaxy would hold it."""
    folder = tmp_path_factory.mktemp("galaxy")
    argv = ["ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(folder)]
    subprocess.run(argv, capture_output=True, check=True)
    (tarball,) = folder.glob("*.tar.gz")
    return tarball


@pytest.fixture
def user(collection: Path) -> Iterator[User]:
    # A short name: sockets of SSH stand below it, and their paths are bounded.
    with tempfile.TemporaryDirectory(prefix="u") as home:
        yield User(Path(home), collection)
