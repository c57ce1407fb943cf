# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/ci.md, followed to the letter: its commands, from top to bottom, end in a green `molecule test`.

What differs from the letter: the collection is built from this checkout, for Galaxy has none yet, and the caches of
whoever runs this are used.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from conftest import GALAXY, ROOT, User


def test_the_guide_ends_in_a_green_scenario(tmp_path: Path, user: User) -> None:
    page = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:sh|shell)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert GALAXY in blocks[0]
    assert blocks[-1] == "molecule test\n"
    left = tmp_path / "mysite/molecule"
    try:
        said = user.sh("".join(blocks), tmp_path)
    finally:
        if left.is_dir():
            user.sh(f". ~/gate/bin/activate\ncd {left.parent}\nmolecule destroy\n", tmp_path)
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
