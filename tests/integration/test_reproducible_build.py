# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two builds of one commit on real machines, as different as they can be, are the same artifact; and it serves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = Path(__file__).parent / "build"
PYTHONS = {"debian12": "3.11", "debian13": "3.13"}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Make two checkouts of the sample project, and what reads an artifact on a machine."""
    if os.geteuid() != 0:
        pytest.skip("machines with their own addresses need root")
    history = [sys.executable, str(ROOT / "tests/fixtures/shop/history.py")]
    subprocess.run([*history, str(tmp_path / "one"), "--checkout", "v1"], check=True, capture_output=True)
    (tmp_path / "other").mkdir()
    clone = ["git", "clone", "--quiet", "--branch", "v1", str(tmp_path / "one"), str(tmp_path / "other/checkout")]
    subprocess.run(clone, check=True, capture_output=True)
    with tarfile.open(tmp_path / "unpacker.tar", "w") as tar:
        for room in ("_core", "_artifact"):
            tar.add(ROOT / "plugins/module_utils" / room, f"module_utils/{room}")
    shutil.copy(OURS / "serve.py", tmp_path)
    link = tmp_path / "collections/ansible_collections/containerless/django"
    link.parent.mkdir(parents=True)
    link.symlink_to(ROOT)
    return tmp_path


def play(work: Path, image: str) -> dict[str, list[str]]:
    """Run the playbook; its output is the failure's reason."""
    given = json.dumps({"work": str(work), "image": image, "owner": str(work)})
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-i",
            os.devnull,
            "-e",
            given,
            str(OURS / "twice.yml"),
        ],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(work / "collections"), "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[str]] = json.loads((work / "result.json").read_text())
    return found


@pytest.mark.parametrize("image", PYTHONS)
def test_two_builds_are_one_artifact_and_it_serves(work: Path, image: str) -> None:
    found = play(work, image)
    one, two = (sorted((work / store).glob("shop/artifacts/*/manifest.json")) for store in ("store-one", "store-two"))
    assert [path.parent.name for path in one] == [path.parent.name for path in two]
    assert len(one) == 1
    manifest = json.loads(one[0].read_text())
    assert manifest["python"]["version"] == PYTHONS[image]
    assert [line for line in found["left"] if line.startswith("/")] == []
    lines = [line for line in found["served"] if line[:1].isdigit()]
    assert lines == ["200 /", "200 /health/", "200 /static/css", "0", f"3 {PYTHONS[image]}"]
