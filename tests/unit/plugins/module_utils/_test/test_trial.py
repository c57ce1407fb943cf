# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What level full does between two releases: data, and a client whose answers are judged."""

from __future__ import annotations

import json
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release.health import Check
from ansible_collections.containerless.django.plugins.module_utils._test import checks, trial
from ansible_collections.containerless.django.plugins.module_utils._test.commands import Done

TREE = "/tree"
STATUS = {"asked": 40, "failed": 0, "slowest": 0.1, "why": []}


class Place:
    """An app whose commands and whose systemd answer as they are told to."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout("shop", root=str(root))
        Path(self.layout.run).mkdir(parents=True)
        self.tree, self.stored, self.is_django = TREE, object(), True
        self.done = Done(0, json.dumps({"rows": {"store.Order": 3}, "left_out": {}}), "")
        self.ran: list[list[str]] = []
        self.started: list[list[str]] = []
        self.refuses = ""
        self.systemd = types.SimpleNamespace(run=self._systemd)

    def run(self, argv: list[str]) -> Done:
        self.ran.append(argv)
        return self.done

    def python(self, _source: str, *words: str) -> Done:
        return self.run(["rows", *words])

    def check(self, _stored: object) -> Check:
        return Check(path="/health/", host="shop.example.org", status=(200, 302))

    def _systemd(self, argv: list[str]) -> tuple[int, str, str]:
        self.started.append(argv)
        return (1, "", self.refuses) if self.refuses else (0, "", "")

    def begin(self, *commands: str) -> dict[str, checks.Check]:
        me = t.cast("t.Any", self)
        return {check.name: check for check in checks.make(trial.begin(me, me, commands))}

    def end(self) -> checks.Check:
        (check,) = checks.make(trial.end(self.layout))
        return check

    def answers(self, said: dict[str, t.Any]) -> None:
        Path(self.layout.run, "load.json").write_text(json.dumps(said), encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_data_comes_before_the_client(place: Place) -> None:
    made = place.begin("python manage.py loaddata demo")
    assert list(made) == ["data: python manage.py loaddata demo", "data: rows in every table", "load: begin"]
    assert all(check.passed for check in made.values())
    assert place.ran == [[f"{TREE}/venv/bin/python", "manage.py", "loaddata", "demo"], ["rows", "3"]]
    assert made["data: rows in every table"].detail == "3 rows in each of 1 tables"


def test_what_is_none_of_djangos_has_no_tables(place: Place) -> None:
    place.is_django = False
    assert list(place.begin()) == ["load: begin"]


def test_data_that_does_not_come_in_fails(place: Place) -> None:
    place.done = Done(1, json.dumps({"rows": {}, "left_out": {"store.Order": "IntegrityError"}}), "no such fixture")
    made = place.begin("python manage.py loaddata demo", "python manage.py loaddata 'x")
    assert [check.passed for check in made.values()] == [False, False, False, True]
    assert [check.detail for check in made.values()][:3] == [
        "it failed (exit code 1): no such fixture",
        "app_test_data: the command can't be split into words: no closing quotation",
        "3 rows in each of 0 tables, none in store.Order",
    ]


def test_the_client_gets_its_source_whole_and_asks_what_health_asks(place: Place) -> None:
    place.answers({"asked": 1, "failed": 1, "why": ["of an earlier one"]})
    made = place.begin()
    assert made["load: begin"].detail == "20 requests a second for /health/"
    (argv,) = place.started
    assert "--unit=containerless-shop-load.service" in argv
    told = json.loads(argv[-1])
    assert (told["socket"], told["host"], told["scheme"]) == (place.layout.web_socket, "shop.example.org", "https")
    assert told["status"] == [200, 302]
    # Figures of an earlier client are none of this one.
    assert not Path(told["answer"]).exists()


def test_systemd_takes_nothing_of_the_client_for_a_variable(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial.inspect, "getsource", lambda _module: "price = '$5'")
    place.begin()
    assert place.started[0][-2] == "price = '$$5'"


def test_a_client_that_does_not_start_is_no_success(place: Place) -> None:
    place.refuses = "Unit containerless-shop-load.service was already loaded\n"
    made = place.begin()["load: begin"]
    assert (made.passed, made.detail) == (
        False,
        "the client did not start: Unit containerless-shop-load.service was already loaded",
    )


@pytest.mark.parametrize(
    ("change", "passed", "detail"),
    [
        ({}, True, "none failed"),
        ({"failed": 2, "why": ["after 1.0 s: answered 502"]}, False, "2 of 40 failed: after 1.0 s: answered 502"),
        ({"asked": 0}, False, "0 of 0 failed: "),
    ],
)
def test_one_failed_request_is_too_many_and_none_asked_is_no_success(
    place: Place, change: dict[str, t.Any], passed: bool, detail: str
) -> None:
    place.answers({**STATUS, **change})
    made = place.end()
    assert (made.passed, made.detail) == (passed, detail)
    assert Path(place.layout.run, "load.stop").exists()


def test_a_client_without_figures_fails(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_LAST_ANSWERS", 0)
    made = place.end()
    assert (made.passed, made.detail) == (False, "the client gave no figures; was it started?")
