# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of docs/examples for CI run, in the order of their job, in a project with the scaffold's four files.

What differs from the letter, beside what the guide's test says: packages of Debian are looked up and not installed,
/opt is a folder of this test, and `molecule test`, which the guide's test runs, is its syntax check here.

What can't run here: the steps with `uses:` (checkout, uv, cache, upload), and what the runner itself does with image,
cache and artifacts. Of these the schema is all that is checked (tests/unit/test_examples.py).
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, User


def github(job: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    return [step["run"] for step in job["jobs"]["molecule"]["steps"] if "run" in step], job["jobs"]["molecule"]["env"]


def gitlab(job: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    return [*job["gate"]["before_script"], *job["gate"]["script"]], job["gate"]["variables"]


@pytest.mark.parametrize(("name", "read"), [("github-actions.yml", github), ("gitlab-ci.yml", gitlab)])
def test_the_lines_of_an_example_run(tmp_path: Path, user: User, name: str, read: Any) -> None:
    lines, env = read(yaml.safe_load((ROOT / "docs/examples" / name).read_text(encoding="utf-8")))
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    scaffold = ["ansible-playbook", "containerless.django.scaffold", "-e", "app_name=shop"]
    subprocess.run(scaffold, cwd=tmp_path, capture_output=True, check=True)
    differs = {
        "apt-get update && apt-get install --yes": "apt-get install --simulate",
        "/opt/": f"{user.home}/opt/",
        "molecule test": "molecule syntax",
    }
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    for letter, here in differs.items():
        assert letter in text or (letter, name) == ("/opt/", "github-actions.yml")
        text = text.replace(letter, here)
    project = {key: value.replace("$CI_PROJECT_DIR", str(tmp_path)) for key, value in env.items()}
    said = user.sh(text, tmp_path, project)
    assert "containerless.django:" in said
    assert "was installed successfully" in said
    assert "syntax" in said
    # What only a build would notice: each library that the collection needs is there.
    (gate,) = [path.parent for path in user.home.glob("**/gate/bin")]
    asked = f"uv pip install --offline --dry-run -r {ROOT}/requirements.txt\n"
    assert "Would make no changes" in user.sh(asked, tmp_path, {"VIRTUAL_ENV": str(gate)})
