# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/release.md names every option of the role and every verb of the host's command, and no other."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.containerless.django.plugins.module_utils._release import cli

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


def verbs() -> dict[str, argparse.ArgumentParser]:
    """Return the verbs that a person types; the others say who calls them."""
    (found,) = [each for each in cli._parser()._actions if isinstance(each, argparse._SubParsersAction)]
    called = {each.dest for each in found._choices_actions if "called by" in (each.help or "")}
    return {name: parser for name, parser in found.choices.items() if name not in called}


def test_the_table_of_commands_is_that_of_the_host() -> None:
    guide = (ROOT / "docs/release.md").read_text("utf-8").partition("\n## On the host\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in guide.splitlines() if row.startswith("| `") and "..." not in row]
    named = {words.split()[0] for row in rows for words in re.findall(r"`([^`]+)`", row)}
    assert named == set(verbs())


@pytest.mark.parametrize("verb", ["rollback", "status", "history"])
def test_the_options_of_a_command_stand_in_the_guide(verb: str) -> None:
    guide = (ROOT / "docs/release.md").read_text("utf-8").partition("\n## On the host\n")[2].partition("\n## ")[0]
    options = {option for each in verbs()[verb]._actions for option in each.option_strings if option.startswith("--")}
    assert options - {"--help"} - set(re.findall(r"--[a-z-]+", guide)) == set()


def test_no_example_names_the_project_by_the_folder_of_a_playbook() -> None:
    """Called by its full name, a playbook has the folder of the collection."""
    guides = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "roles").glob("*/README.md")]
    assert [guide.name for guide in guides if "{{ playbook_dir" in guide.read_text("utf-8")] == []
