# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _release_config

HEALTH: dict[str, Any] = {
    "path": "/",
    "scheme": "https",
    "status": [200],
    "body": "",
    "consecutive": 2,
    "timeout": 60,
    "stay_up": 2,
    "headers": {},
    "commands": {},
}
OPTIONS: dict[str, Any] = {
    "env": {"DJANGO_SETTINGS_MODULE": "shop.settings"},
    "secrets": {"SECRET_KEY": "correct-horse"},
    "secrets_as": "credentials",
    "secrets_encrypted": False,
    "domain": "shop.example.org",
    "health": HEALTH,
    "scale": {},
    "users": {},
    "listen": "",
    "listen_connections": 1024,
    "proxy_group": "www-data",
    "public_dirs": [],
    "start_timeout": 90,
    "stop_timeout": 30,
    "stop_timeouts": {},
    "task_timeout": 600,
    "max_exposure": "0.5",
    "sandbox": {"profile": "strict"},
}


def make(**change: Any) -> dict[str, Any]:
    return _release_config.make({**OPTIONS, **change})


def test_a_config_holds_names_of_secrets_and_no_value() -> None:
    config = make(secrets={"B": "correct-horse", "A": "battery-staple"})
    assert config["secrets"] == ["A", "B"]
    assert b"correct-horse" not in canonical.dumps(config)


VALUES = [(True, "true"), (False, "false"), (5, "5"), ("5", "5"), ("", ""), (1.5, "1.5"), ("a b", "a b")]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_values_of_the_environment_are_text(value: Any, text: str) -> None:
    assert make(env={"A": value})["env"] == {"A": text}


# options that mean the same give the same config
SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"env": {"A": "1", "B": "2"}}, {"env": {"B": 2, "A": 1}}),
    ({"secrets": {"A": "x", "B": "y"}}, {"secrets": {"B": "other", "A": "values"}}),
    ({"public_dirs": ["a", "b"]}, {"public_dirs": ["b", "a"]}),
    ({"health": {**HEALTH, "headers": {"X-A": 1}}}, {"health": {**HEALTH, "headers": {"x-a": "1"}}}),
    ({"listen": "[2001:DB8::0:1]:80"}, {"listen": "[2001:db8::1]:80"}),
    (
        {"health": {**HEALTH, "commands": {"worker": "python  manage.py 'check it'"}}},
        {"health": {**HEALTH, "commands": {"worker": 'python manage.py "check it"'}}},
    ),
    ({"health": {**HEALTH, "status": [200, 204]}}, {"health": {**HEALTH, "status": [204, 200]}}),
]


@pytest.mark.parametrize("group", ["", "www-data"])
def test_a_folder_may_be_public_twice_for_the_same_group(group: str) -> None:
    media = {"group": group, "dirs": ["media"]}
    assert make(public_dirs=["media"], sandbox={"media": media})["sandbox"]["media"] == media


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_means_the_same_is_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical.dumps(make(**one)) == canonical.dumps(make(**other))


def test_a_health_command_is_an_argv() -> None:
    config = make(health={**HEALTH, "commands": {"worker": "python manage.py check_worker --queue 'a b'"}})
    assert config["health"]["commands"] == {"worker": ["python", "manage.py", "check_worker", "--queue", "a b"]}


@pytest.mark.parametrize("listen", ["", "0.0.0.0:8000", "127.0.0.1:80", "[::]:8000", "[::1]:65535"])
def test_good_places_to_listen_at(listen: str) -> None:
    assert make(listen=listen)["listen"] == listen


@pytest.mark.parametrize("scale", [{}, {"web": 1}, {"web": 64, "worker": 0}])
def test_good_scales(scale: dict[str, int]) -> None:
    assert make(scale=scale)["scale"] == scale


@pytest.mark.parametrize("domain", ["shop.example.org", "localhost", "127.0.0.1:8000", "a", "xn--bcher-kva.example"])
def test_good_domains(domain: str) -> None:
    assert make(domain=domain)["health"]["host"] == domain


LISTEN = (
    *("8000", ":8000", "0.0.0.0", "0.0.0.0:", "0.0.0.0:0", "0.0.0.0:65536", "0.0.0.0:080", "1.2.3:80", "256.1.1.1:80"),
    *("::1:80", "[::1]", "[::1%eth0]:80", "[fe80:::1]:80", "localhost:80", "/run/x.sock", "0.0.0.0:80\nExecStart=x"),
)
HEADERS: tuple[dict[Any, Any], ...] = (
    {"": "x"},
    {"X A": "x"},
    {"X:": "x"},
    {"X-A": "1", "x-a": "1"},
    {5: "x"},
    {"X": "a\nb"},
    {"X": None},
)
COMMANDS = ("", "a | b", "a && b", "PGHOST=x python check.py", "python 'x", "$CHECK", "python x\ny")
REFUSED: list[tuple[dict[str, Any], str]] = [
    *(({"env": {name: "x"}}, "app_release_env") for name in ("", "1A", "A-B", "A B", "A\nB", "\u00c4", 5)),
    *(({"secrets": {name: "x"}}, "app_release_secrets") for name in ("", "../x", "A.new", "A/B")),
    ({"env": {"SECRET_KEY": "x"}}, "SECRET_KEY stands in both app_release_env and app_release_secrets"),
    ({"users": {"web": "shop-web"}}, "app_release_users names web"),
    *(
        ({"users": {"worker": name}}, "app_release_users worker is")
        for name in ("root", "cl-other", "clsh-x", "a b", 5)
    ),
    *(({"public_dirs": [name]}, "app_release_public_dirs") for name in ("", ".", "..", "a/b", "-a", ".a", "a\n")),
    (
        {"public_dirs": ["media"], "sandbox": {"media": {"group": "caddy", "dirs": ["media"]}}},
        "media stands in both app_release_public_dirs, for www-data, and app_sandbox_media_dirs, for caddy",
    ),
    *(({"domain": name}, "app_release_domain") for name in ("", "a b", "https://a", "a/", "a\r\nX: y", "a:b", "-a")),
    *(({"health": {**HEALTH, "path": path}}, "app_release_health_path") for path in ("", "health", "https://a/")),
    *(({"listen": value}, "app_release_listen ") for value in LISTEN),
    *(({"listen_connections": number}, "app_release_listen_connections") for number in (0, -1, 65537)),
    *(
        ({"scale": {"worker": value}}, "app_release_scale worker is .* from 0 to 64")
        for value in (-1, 65, "2", True, 1.0)
    ),
    ({"scale": {"web": 0}}, "app_release_scale web is 0; it must be a whole number from 1 to 64"),
    *(({"stop_timeouts": {"worker": value}}, "app_release_stop_timeouts worker") for value in (0, -5, "9", None)),
    *(({"health": {**HEALTH, "headers": given}}, "app_release_health_headers") for given in HEADERS),
    *(
        ({"health": {**HEALTH, "commands": {"worker": text}}}, "app_release_health_commands worker")
        for text in COMMANDS
    ),
    *(({"max_exposure": value}, "app_sandbox_max_exposure") for value in ("", "much", "-1", "0,5", "0.55", "100")),
]


@pytest.mark.parametrize(("change", "option"), REFUSED)
def test_refusals_name_the_option(change: dict[str, Any], option: str) -> None:
    with pytest.raises(ContainerlessError, match=option):
        make(**change)


# what is let through and ends badly later
TOO_MUCH: list[tuple[dict[str, Any], str]] = [
    ({"secrets": {"PIN": 1234}}, "app_release_secrets"),  # AttributeError in the step stage, stale for ever
    ({"secrets": {"KEY": "a\0b"}}, "app_release_secrets"),
    ({"env": {"A": None}}, "app_release_env"),  # the text None
    ({"env": {"A": ["x"]}}, "app_release_env"),
    ({"env": {"A": "x\0y"}}, "app_release_env"),  # ends the line of the unit
    ({"max_exposure": "99"}, "app_sandbox_max_exposure"),  # the gate is open
    ({"health": {**HEALTH, "path": "/a b"}}, "app_release_health_path"),  # a minute of "no answer"
    ({"health": {**HEALTH, "status": []}}, "app_release_health_status"),  # never opens
    ({"health": {**HEALTH, "consecutive": 0}}, "app_release_health_consecutive"),  # opens at a 500
    ({"health": {**HEALTH, "timeout": 0}}, "app_release_health_timeout"),
    ({"health": {**HEALTH, "stay_up": -5}}, "app_release_health_stay_up"),
    ({"start_timeout": 0}, "app_release_start_timeout"),  # systemd waits for ever
]


@pytest.mark.parametrize(("change", "option"), TOO_MUCH)
def test_what_ends_badly_later_is_refused_now(change: dict[str, Any], option: str) -> None:
    with pytest.raises(ContainerlessError, match=option):
        make(**change)
