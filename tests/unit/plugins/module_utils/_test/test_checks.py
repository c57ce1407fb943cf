# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How checks are made. What they find is shown on machines: molecule, and tests/campaigns/planted.py."""

from __future__ import annotations

import types
import typing as t
from pathlib import Path

import pytest
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


TREE = "/tree"
PYTHON = f"{TREE}/venv/bin/python"
#: What an artifact says of Django, the command, and what is started; None: there is no check.
TESTS = [
    ({"manage": "manage.py"}, checks.DJANGOS, [PYTHON, f"{TREE}/manage.py", "test", "--noinput"]),
    ({"manage": None}, checks.DJANGOS, [PYTHON, "-m", "django", "test", "--noinput"]),
    (None, checks.DJANGOS, None),
    (None, "python -m pytest -q", [PYTHON, "-m", "pytest", "-q"]),
    ({"manage": "manage.py"}, "", None),
]


@pytest.mark.parametrize(("django", "command", "argv"), TESTS)
def test_how_the_projects_own_tests_are_started(
    django: dict[str, t.Any] | None, command: str, argv: list[str] | None
) -> None:
    stored = types.SimpleNamespace(manifest={"project": "shop", "django": django})
    sandbox: t.Any = types.SimpleNamespace(stored=stored, tree=TREE, is_django=bool(django))
    given = {"smoke": [], "paths": [], "fail_level": "ERROR", "settle": 1, "level": "full"}
    more = {"tests": command, "overlay": "/x.tar", "overlay_sha256": "", "tests_timeout": 1}
    made = checks.Checks(sandbox, t.cast("t.Any", None), checks.Wanted.of({**given, **more}))
    assert ("tests" in dict(made.steps())) is (argv is not None)
    if argv:
        assert made._tests_argv(command) == argv


def test_a_check_that_no_release_has_is_no_check_that_passed() -> None:
    sandbox: t.Any = types.SimpleNamespace(is_django=False)
    made = checks.Checks(sandbox, t.cast("t.Any", None), checks.Wanted())
    assert [name for name, _step in made.chosen(["pages"])] == ["pages"]
    assert [name for name, _step in made.chosen([])] == [name for name, _step in made.steps()]
    with pytest.raises(ContainerlessError, match=r"^only names page, tests, of which this release has no check$"):
        made.chosen(["page", "pages", "tests"])


def test_tests_need_their_overlay() -> None:
    with pytest.raises(ContainerlessError, match="tests needs an overlay"):
        checks.Wanted.of({"tests": checks.DJANGOS, "overlay": None})
