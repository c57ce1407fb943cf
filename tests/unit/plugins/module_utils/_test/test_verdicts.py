# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each check makes of what a release says. That the release says it is shown on machines."""

from __future__ import annotations

import json
import time
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import UnitState
from ansible_collections.containerless.django.plugins.module_utils._test import checks
from ansible_collections.containerless.django.plugins.module_utils._test.checks import Checks, Wanted
from ansible_collections.containerless.django.plugins.module_utils._test.commands import Done
from ansible_collections.containerless.django.plugins.module_utils._test.site import Page

GOOD, BAD = Done(0, "", ""), Done(1, "", "CommandError: no\n")
LINK = b'<link rel="stylesheet" href="/static/store/tea.css">'


class Release:
    """A release whose commands, pages and processes are what a test says."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout("shop", root=str(root))
        self.tree = str(root / "tree")
        self.active = types.SimpleNamespace(activation=7)
        manifest = {"project": "shop", "django": {"migrations": [1, 2], "manage": "manage.py"}, "static": [1]}
        config = {"health": {"path": "/health/"}, "max_exposure": "0.5"}
        instances = [("web", 1), ("worker", 1)]
        self.stored = types.SimpleNamespace(manifest=manifest, config=config, instances=instances)
        self.is_django, self.timeout = True, 60
        self.done = GOOD
        self.said: dict[str, t.Any] = {"static_url": "/static/", "own_apps": ["store"]}
        self.managed: list[tuple[str, ...]] = []
        self.pages: dict[str, Page] = {}
        self.shown: dict[str, UnitState] = {}
        self.systemd = types.SimpleNamespace(journal=lambda unit: f"what {unit} said")

    def manage(self, *words: str) -> Done:
        self.managed.append(words)
        return self.done

    def python(self, _source: str, *_words: str) -> Done:
        return Done(0, json.dumps(self.said), "")

    def states(self, _stored: object, _ref: object) -> dict[str, UnitState]:
        return self.shown

    def checks(self, **wanted: t.Any) -> Checks:
        me = t.cast("t.Any", self)
        made = Checks(me, me, Wanted(**wanted))
        made._ask = lambda path: self.pages.get(path, Page(404))  # type: ignore[method-assign]
        return made


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


@pytest.mark.parametrize(("done", "passed"), [(GOOD, True), (BAD, False)])
@pytest.mark.parametrize(
    ("name", "asks"),
    [
        ("deploy", ("check", "--deploy", "--fail-level", "WARNING")),
        ("migrations", ("migrate", "--check")),
        ("models", ("makemigrations", "--check", "--dry-run", "store")),
    ],
)
def test_django_is_asked_and_believed(
    release: Release, name: str, asks: tuple[str, ...], done: Done, passed: bool
) -> None:
    release.done = done
    found = getattr(release.checks(fail_level="WARNING"), name)()
    assert (found.passed, release.managed) == (passed, [asks])
    assert ("(exit code 1): CommandError: no" in found.detail) is not passed


def test_a_project_without_models_has_nothing_to_compare(release: Release) -> None:
    release.said["own_apps"] = []
    assert release.checks().models().passed
    assert release.managed == []


FINE = {"/": Page(200), "/health/": Page(200), "/shop/": Page(200)}


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({}, "/, /shop/, /health/ answered"),
        ({"/": Page(404, reason="Not Found")}, "/, /shop/, /health/ answered"),
        ({"/": Page(500, reason="Internal Server Error")}, "/ answered 500 Internal Server Error"),
        ({"/shop/": Page(404, reason="Not Found")}, "/shop/ answered 404 Not Found"),
        ({"/health/": Page(0, reason="timed out")}, "/health/ gave no answer timed out"),
    ],
)
def test_a_page_that_is_named_must_be_there(release: Release, change: dict[str, Page], detail: str) -> None:
    release.pages = {**FINE, **change}
    found = release.checks(paths=("/shop/",)).pages()
    assert (found.passed, found.detail) == (detail.endswith("/health/ answered"), detail)
    assert ("what containerless-shop-web@7.service said" in found.log) is not found.passed


def test_what_a_page_loads_has_to_be_served(release: Release) -> None:
    release.pages = {**FINE, "/": Page(200, LINK), "/static/store/tea.css": Page(200, b"p {}")}
    found = release.checks().static()
    assert (found.passed, found.detail) == (True, "1 are served by the app")
    del release.pages["/static/store/tea.css"]
    found = release.checks().static()
    assert (found.passed, found.detail) == (False, "nobody serves /static/store/tea.css")


def test_a_file_of_the_artifact_has_to_be_served_though_no_page_loads_it(release: Release) -> None:
    folder = Path(release.tree, "static")
    folder.mkdir(parents=True)
    (folder / "tea.0123456789ab.css").write_text("p {}")
    assert release.checks().static().detail == "nobody serves /static/tea.0123456789ab.css"
    release.stored.manifest["static"] = []
    assert release.checks().static().detail == "the artifact has none, and no page loads one"


def _up(**change: t.Any) -> UnitState:
    known = {"active": "active", "sub": "running", "restarts": 0, "result": "success", "since": 0.0}
    return UnitState(**{**known, **change})


@pytest.mark.parametrize(
    ("worker", "detail"),
    [
        (_up(), "each for 1 s without a restart"),
        (_up(restarts=2), "worker was started again (2)"),
        (_up(active="failed"), "worker is failed"),
    ],
)
def test_a_process_that_falls_is_named_with_its_journal(release: Release, worker: UnitState, detail: str) -> None:
    release.shown = {"web": _up(), "worker": worker}
    found = release.checks(settle=1).running()
    assert (found.passed, found.detail) == (detail.startswith("each"), detail)
    assert found.log == ("" if found.passed else "--- worker\nwhat worker said")


def test_a_young_process_is_waited_for_and_no_longer_than_is_said(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(checks.time, "sleep", waited.append)
    for age in (100, 4, -100):
        release.shown = {"web": _up(), "worker": _up(since=time.monotonic() - age)}
        release.checks(settle=10).running()
    assert waited == pytest.approx([0, 6, 10], abs=0.5)


@pytest.mark.parametrize(("worker", "passed"), [(5, True), (6, False)])
def test_the_most_open_process_decides(
    release: Release, monkeypatch: pytest.MonkeyPatch, worker: int, passed: bool
) -> None:
    measured = {"web": 2, "worker": worker}
    one = {name: checks.exposure.Exposure(name, tenths) for name, tenths in measured.items()}
    monkeypatch.setattr(Checks, "exposures", lambda _self: one)
    found = release.checks().exposed()
    assert (found.passed, found.detail) == (passed, f"at most 0.{worker}, the limit is 0.5")


def test_a_smoke_command_ends_with_0_and_a_bad_one_names_its_option(release: Release) -> None:
    ran: list[list[str]] = []
    release.run = lambda argv: (ran.append(argv), release.done)[1]  # type: ignore[attr-defined]
    steps = dict(release.checks(smoke=("python manage.py check_shop", "python 'x")).steps())
    assert steps["smoke: python manage.py check_shop"]().passed
    assert ran == [[f"{release.tree}/venv/bin/python", "manage.py", "check_shop"]]
    release.done = BAD
    made = {check.name: check for check in checks.make((name, step) for name, step in steps.items() if "smoke" in name)}
    assert not any(check.passed for check in made.values())
    assert made["smoke: python 'x"].detail.startswith("app_test_smoke: the command can't be split")


@pytest.mark.parametrize(("level", "name"), [("default", "sandbox probes"), ("full", "escape suite")])
def test_a_level_has_its_attempts(release: Release, level: str, name: str) -> None:
    names = [step for step, _make in release.checks(level=level).steps()]
    assert names == [
        "check --deploy",
        "migrations from an empty database",
        "makemigrations --check",
        "pages",
        "static files",
        name,
        "exposure",
        "processes stay up",
    ]
    release.is_django = False
    assert [step for step, _make in release.checks(level=level).steps()] == names[3:]
