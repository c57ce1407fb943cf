# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How checks are made. What they find is shown on machines: molecule, and tests/campaigns/planted.py."""

from __future__ import annotations

import types
from pathlib import Path

from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._test import checks
from ansible_collections.containerless.django.plugins.module_utils._test.checks import Finding
from ansible_collections.containerless.django.plugins.module_utils._test.probes import project


def test_each_check_is_made_whatever_became_of_others() -> None:
    def refused() -> Finding:
        raise ContainerlessError("app_test_smoke: no such program")

    def broken() -> Finding:
        raise KeyError("domain")

    steps = [("refused", refused), ("broken", broken), ("good", lambda: Finding(True, "fine", "a log"))]
    made = checks.make(steps)
    assert [(check.name, check.passed, check.detail) for check in made] == [
        ("refused", False, "app_test_smoke: no such program"),
        ("broken", False, "KeyError: 'domain'"),
        ("good", True, "fine"),
    ]
    assert made[2].log == "a log"
    assert all(check.seconds >= 0 for check in made)


def test_secrets_are_masked_and_logs_are_short() -> None:
    log = "\n".join(["first", *["line"] * checks.LINES, "key hunter22"])
    (made,) = checks.make([("leak", lambda: Finding(False, "it said hunter22", log))], ["hunter22"])
    assert "hunter22" not in f"{made.detail}{made.log}"
    assert len(made.log.splitlines()) == checks.LINES
    assert made.log.startswith("line")


def test_own_apps_are_those_of_the_code_that_have_migrations(tmp_path: Path) -> None:
    for folder in ("app/store/migrations", "app/bare", "venv/lib/python3.11/site-packages/auth/migrations"):
        (tmp_path / folder).mkdir(parents=True)
    configs = [
        types.SimpleNamespace(label=label, path=str(tmp_path / path))
        for label, path in (
            ("store", "app/store"),
            ("bare", "app/bare"),
            ("auth", "venv/lib/python3.11/site-packages/auth"),
        )
    ]
    assert project.own_apps(configs, f"{tmp_path}/venv/lib") == ["store"]
