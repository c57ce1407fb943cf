# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role builds on this machine, where its Python is a platform's: what stays there, and whose keys have signed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.plugin_utils import _builder

from .harness import PYTHON, ROOT, platform
from .projects import WSGI

Src = t.Callable[..., Path]


def fitting() -> str | None:
    """Return the name of the platform that this machine is, or None."""
    here = platform()
    facts = (here.full, here.glibc)
    return next((name for name, each in _builder.PLATFORMS.items() if (each.full, each.glibc) == facts), None)


def run(book: Path, environ: dict[str, str], *options: str) -> str:
    """Run a playbook and return its recap's line of localhost."""
    argv = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        *options,
        "-i",
        str(book.with_name("hosts")),
        str(book),
    ]
    done = subprocess.run(argv, env=environ, cwd=book.parent, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.rpartition("localhost")[2]


def test_a_new_key_signs_what_is_there_and_nothing_stays_on_the_build_host(src: Src, tmp_path: Path) -> None:
    name = fitting()
    if name is None:
        pytest.skip("this machine's Python is no platform's")
    for key in ("one", "two"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)]
        subprocess.run(argv, check=True)
    variables = {
        "app_name": "hello",
        "app_src": str(src(WSGI)),
        "app_build_platforms": [name],
        "app_build_store": f"file://{tmp_path}/store",
        "app_build_cache_dir": str(ROOT / ".cache/artifact"),
        "app_build_host": "here",
    }
    role = {"name": "containerless.django.app_build"}
    play = {"hosts": "localhost", "gather_facts": False, "vars": variables, "roles": [role]}
    book = tmp_path / "book" / "play.yml"
    book.parent.mkdir()
    book.write_text(json.dumps([play]))
    local = "ansible_connection=local ansible_python_interpreter="
    book.with_name("hosts").write_text(f"localhost {local}{sys.executable}\nhere {local}{PYTHON}\n")
    collections = next(p for p in map(Path, sys.path) if (p / "ansible_collections/containerless").is_dir())
    remote = tmp_path / "remote"
    environ = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_REMOTE_TEMP": str(remote)}

    run(book, environ, "-e", f"app_build_signing_key={tmp_path}/one")
    assert list(remote.iterdir()) == []
    assert _signed(tmp_path) == 2
    plan = run(book, environ, "--check", "-e", f"app_build_signing_key={tmp_path}/two")
    assert "changed=1 " in plan
    assert _signed(tmp_path) == 2
    for changed, signed in ((1, 4), (0, 4)):
        assert f"changed={changed} " in run(book, environ, "-e", f"app_build_signing_key={tmp_path}/two")
        assert _signed(tmp_path) == signed
    assert list(remote.iterdir()) == []


def _signed(tmp_path: Path) -> int:
    return len(list(tmp_path.glob("store/hello/artifacts/*/signatures/*.sig")))
