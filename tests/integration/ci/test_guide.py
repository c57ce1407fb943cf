# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/ci.md, followed to the letter: its commands, from top to bottom, end in a green `molecule test`.

All of them but the first block, which installs what runs this test, and this collection from Galaxy.
"""

from __future__ import annotations

import os
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parents[3]
SECONDS = 600


def test_the_guide_ends_in_a_green_scenario(tmp_path: Path) -> None:
    page = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert blocks[-1] == "molecule test\n"
    # Molecule keeps its folders below the home, beside the machines of whoever runs this.
    env = {key: value for key, value in os.environ.items() if key != "MOLECULE_PROJECT_DIRECTORY"}
    try:
        done = subprocess.run(
            ["sh", "-eu"],
            check=False,
            input="".join(blocks),
            cwd=tmp_path,
            env=env,
            text=True,
            capture_output=True,
            timeout=SECONDS,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-6000:]
    finally:
        left = tmp_path / "mysite/molecule"
        if left.is_dir():
            subprocess.run(["molecule", "destroy"], cwd=left.parent, env=env, capture_output=True, check=False)
    assert "3 passed" in said
    print(said)
    reports = list((tmp_path / "mysite/.reports").glob("*.xml"))
    assert [ET.parse(path).getroot().get("failures") for path in reports] == ["0"]
    files = sorted(
        str(path.relative_to(left)) for path in left.rglob("*") if path.is_file() and "__pycache__" not in str(path)
    )
    assert files == [
        "default/converge.yml",
        "default/destroy.yml",
        "default/molecule.yml",
        "default/tests/test_release.py",
    ]
