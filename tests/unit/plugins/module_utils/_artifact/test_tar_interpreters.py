# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tar's bytes on every Python that is installed here: a build host and a target may have any from 3.9 on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import tar

from .test_tar import GOLDEN, MTIME, make

MINORS = range(9, 15)
SCRIPT = """
import hashlib, io, os, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.containerless.django.plugins.module_utils._artifact import tar, tree

def packed(root):
    out = io.BytesIO()
    tar.write_tar(root, out, mtime=int(sys.argv[4]))
    return out

source, dest = sys.argv[2:4]
out = packed(source)
out.seek(0)
tar.extract(out, dest, tar.Size(1000, 1000000))
sealed = tree.seal(dest)
print("%d.%d" % sys.version_info[:2], hashlib.sha256(out.getvalue()).hexdigest(), sealed.sha256,
      hashlib.sha256(packed(dest).getvalue()).hexdigest(), tree.verify(dest, sealed.sha256))
"""


def interpreters() -> dict[str, str]:
    """Return a path for each minor version: this one, then those on PATH, then pyenv's, whose shims may not start."""
    found = {f"3.{sys.version_info.minor}": sys.executable}
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for name in (f"3.{minor}" for minor in MINORS):
        on_path = [Path(folder, f"python{name}") for folder in os.get_exec_path() if Path(folder).name != "shims"]
        for path in (*on_path, *sorted(versions.glob(f"{name}.*/bin/python{name}"))):
            if os.access(path, os.X_OK):
                found.setdefault(name, str(path))
    return found


FOUND = interpreters()


def run(python: str, tmp_path: Path) -> list[str]:
    collections = str(Path(tar.__file__).absolute()).partition("/ansible_collections/")[0]
    source = make(tmp_path / "source")
    argv = [python, "-I", "-B", "-c", SCRIPT, collections, str(source), str(tmp_path / "dest"), str(MTIME)]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


@pytest.mark.parametrize("name", sorted(FOUND))
def test_the_bytes_are_golden_on(name: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here, there = run(sys.executable, tmp_path / "here"), run(FOUND[name], tmp_path / "there")
    assert there[:2] == [name, GOLDEN]
    assert there[2:] == here[2:]
    assert there[-1] == "[]"


def test_more_than_one_interpreter_was_asked() -> None:
    assert len(FOUND) >= 2, f"only {FOUND} here: a second Python between 3.9 and 3.14 would prove something"
