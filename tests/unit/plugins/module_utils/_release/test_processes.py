# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release import processes

from ..documents import MANIFEST

TREE = "/srv/containerless/shop/trees/x"
# scale -> what runs
SCALES: list[tuple[dict[str, t.Any], list[tuple[str, int]]]] = [
    ({}, [("web", 1), ("worker", 1)]),
    ({"scale": {}}, [("web", 1), ("worker", 1)]),
    ({"scale": {"web": 3}}, [("web", 1), ("web", 2), ("web", 3), ("worker", 1)]),
    ({"scale": {"worker": 0}}, [("web", 1)]),
    ({"scale": {"web": 2, "worker": 2}}, [("web", 1), ("web", 2), ("worker", 1), ("worker", 2)]),
]


@pytest.mark.parametrize(("config", "wanted"), SCALES)
def test_instances(config: dict[str, t.Any], wanted: list[tuple[str, int]]) -> None:
    assert processes.instances(MANIFEST, config) == wanted
    assert processes.running(MANIFEST, config) == list(dict.fromkeys(name for name, _number in wanted))


@pytest.mark.parametrize(
    ("scale", "asked"), [({}, ["web", "worker"]), ({"worker": 0}, ["web"]), ({"web": 2}, ["web", "worker"])]
)
def test_only_a_process_that_runs_is_asked_and_only_once(scale: dict[str, int], asked: list[str]) -> None:
    commands = {"web": ["python", "a"], "worker": ["python", "b"]}
    found = processes.commands(MANIFEST, {"scale": scale, "health": {"commands": commands}})
    assert found == {name: commands[name] for name in asked}


NAMED: list[tuple[dict[str, t.Any], str]] = [
    (
        {"scale": {"beat": 0}},
        "^app_release_scale names 'beat', which is no process of the artifact; .* are web, worker$",
    ),
    ({"scale": {"cleanup": 2}}, "^app_release_scale names 'cleanup', which is a timer; "),
    ({"stop_timeouts": {"beat": 9}}, "^app_release_stop_timeouts names 'beat'"),
    ({"health": {"commands": {"beat": ["x"]}}}, "^app_release_health_commands names 'beat'"),
]


@pytest.mark.parametrize(("config", "message"), NAMED)
def test_a_name_that_the_artifact_does_not_have_is_refused(config: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ContainerlessError, match=message):
        processes.check(MANIFEST, config)


@pytest.mark.parametrize(
    "config", [{}, {"scale": {"web": 2, "worker": 0}, "stop_timeouts": {"worker": 9}, "health": {}}]
)
def test_known_names_are_fine(config: dict[str, t.Any]) -> None:
    processes.check(MANIFEST, config)


@pytest.mark.parametrize(
    ("manage", "argv"), [("app/src/manage.py", [f"{TREE}/app/src/manage.py"]), (None, ["-m", "django"])]
)
def test_how_manage_is_called(manage: str | None, argv: list[str]) -> None:
    manifest = {**MANIFEST, "django": {**MANIFEST["django"], "manage": manage}}
    assert processes.manage(manifest, TREE) == [f"{TREE}/venv/bin/python", *argv]


def test_a_project_without_django_has_no_commands() -> None:
    with pytest.raises(ContainerlessError, match="shop is no Django project"):
        processes.manage({**MANIFEST, "django": None}, TREE)
