# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files for CI in docs/examples are what GitHub and GitLab read, by the schemas that check-jsonschema ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs/examples"
SCHEMAS = {"github-actions.yml": "vendor.github-workflows", "gitlab-ci.yml": "vendor.gitlab-ci"}


def check(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    argv = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", schema, str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items())
def test_an_example_is_well_formed(name: str, schema: str) -> None:
    done = check(EXAMPLES / name, schema)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [("github-actions.yml", "    runs-on:", "    run-on:"), ("gitlab-ci.yml", "    when: always", "    when: allways")],
)
def test_a_wrong_word_is_noticed(tmp_path: Path, name: str, good: str, bad: str) -> None:
    text = (EXAMPLES / name).read_text("utf-8")
    assert text.count(good) == 1
    (tmp_path / name).write_text(text.replace(good, bad), "utf-8")
    assert check(tmp_path / name, SCHEMAS[name]).returncode == 1
