# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A test of an artifact runs the roles of production without the tasks that a user has run around a release."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
RELEASE = "containerless.django.app_release"


def included(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the tasks that include the role of production, those in blocks too."""
    for task in tasks:
        yield from included([inner for part in ("block", "rescue", "always") for inner in task.get(part) or []])
        if (task.get("ansible.builtin.include_role") or {}).get("name") == RELEASE:
            yield task


def hooks() -> set[str]:
    texts = [file.read_text("utf-8") for file in (ROLES / "app_release/tasks").glob("*.yml")]
    return {name for text in texts for name in re.findall(r'include_tasks: "{{ (app_release_\w+) }}"', text)}


def test_a_test_leaves_out_what_a_user_has_run_around_a_release() -> None:
    emptied: dict[str, set[str]] = {}
    for file in sorted((ROLES / "app_test/tasks").glob("*.yml")):
        for task in included(yaml.safe_load(file.read_text("utf-8"))):
            way = task["ansible.builtin.include_role"].get("tasks_from", "main")
            names = {name for name, value in task.get("vars", {}).items() if value == "" and name in hooks()}
            emptied[way] = emptied.get(way, names) & names
    assert emptied["main"] | emptied["rollback"] == hooks()
    assert emptied["rollback"] == {name for name in hooks() if name.endswith("_rollback")}
