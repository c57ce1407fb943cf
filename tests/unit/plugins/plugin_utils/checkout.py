# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

PIN = "a" * 64
FILES = {
    "Procfile": "web: gunicorn shop.wsgi\nworker: python manage.py worker\n",
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1.2"\n',
    "requirements.txt": "".join(
        f"{pin} --hash=sha256:{PIN}\n"
        for pin in ("django==5.2.19", "gunicorn==27.0.1", 'tzdata==1 ; sys_platform == "win32"')
    ),
}


def git(path: Path, *args: str) -> str:
    """Run git as somebody, at a fixed time, deaf to the user's own configuration."""
    people = {f"GIT_{role}_{key}": "x@example.org" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    dates = {f"GIT_{role}_DATE": "2024-02-29T23:30:00-0200" for role in ("AUTHOR", "COMMITTER")}
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **people, **dates}
    done = subprocess.run(["git", "-C", str(path), *args], env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write(path: Path, files: Mapping[str, str | bytes | None]) -> None:
    """Write files below a folder; None removes one."""
    for name, text in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            target.unlink(missing_ok=True)
        elif isinstance(text, bytes):
            target.write_bytes(text)
        else:
            target.write_text(text)


def commit(path: Path, files: Mapping[str, str | bytes | None]) -> str:
    """Commit files and return the commit."""
    write(path, files)
    git(path, "add", "--all")
    git(path, "commit", "-q", "--allow-empty", "-m", "next")
    return git(path, "rev-parse", "HEAD")


def make(path: Path, files: Mapping[str, str | bytes | None] | None = None) -> Path:
    """Make a checkout of a small project, changed by `files`."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "--template=", "-b", "main")
    commit(path, {**FILES, **(files or {})})
    return path
