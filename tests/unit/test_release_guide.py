# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/release.md names every option of the role, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "app_release_"


def test_the_table_of_options_is_that_of_the_role() -> None:
    specs = yaml.safe_load((ROOT / "roles/app_release/meta/argument_specs.yml").read_text("utf-8"))["argument_specs"]
    options = {name.removeprefix(PREFIX) for entry in specs.values() for name in entry["options"]}
    guide = (ROOT / "docs/release.md").read_text("utf-8")
    table = guide.partition("\n## Options\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ") and "..." not in row]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == options


def test_every_option_that_the_text_names_exists() -> None:
    specs = yaml.safe_load((ROOT / "roles/app_release/meta/argument_specs.yml").read_text("utf-8"))["argument_specs"]
    options = {name for entry in specs.values() for name in entry["options"]}
    for guide in ("docs/release.md", "docs/procfile.md", "docs/examples/nginx.conf.j2", "docs/examples/Caddyfile.j2"):
        found = set(re.findall(rf"\b{PREFIX}\w+", (ROOT / guide).read_text("utf-8")))
        assert found - options - {"app_release_result"} == set(), guide
