# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import names
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout

LONGEST = "a" * 24


@pytest.mark.parametrize("name", ["a", "shop", "shop_admin", "nginx", LONGEST])
def test_names_inside_the_bound(name: str) -> None:
    assert names.check_app_name(name) == name
    assert names.check_process_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Shop", "1shop", "shop-admin", "_shop", "a" * 25, "shop\n", "shöp", "../x", "a b"]
)
def test_names_outside_the_bound_are_refused_by_name(name: str) -> None:
    with pytest.raises(ContainerlessError, match="app_name"):
        names.check_app_name(name)
    with pytest.raises(ContainerlessError, match="of a process or timer"):
        names.check_process_name(name)


REFUSED: list[tuple[t.Callable[[t.Any], object], object]] = [
    (names.check_version, "1-0"),
    (names.check_version, "v" * 49),
    (names.check_version, ""),
    (names.check_release_id, "1.0.0"),
    (names.check_release_id, "1.0.0-0123456789AB"),
    (names.check_release_id, "../x-0123456789ab"),
    (names.check_activation, 0),
    (names.check_activation, 1_000_000),
    (Layout("shop").tree, "../etc"),
    (Layout, "../etc"),
]


@pytest.mark.parametrize(("call", "value"), REFUSED)
def test_what_would_leave_our_folders_is_refused(call: t.Callable[[t.Any], object], value: object) -> None:
    with pytest.raises(ContainerlessError):
        call(value)


def test_the_longest_names_stay_inside_the_limits_of_the_system() -> None:
    layout = Layout(LONGEST)
    assert len(layout.activation_socket(names.MAX_ACTIVATION)) <= names.MAX_SOCKET_PATH
    assert len(layout.web_socket) <= names.MAX_SOCKET_PATH
    assert len(layout.user) <= 32
    assert len(layout.unit(LONGEST, names.MAX_ACTIVATION)) <= names.MAX_UNIT_NAME


def test_everything_carries_the_prefix() -> None:
    layout = Layout("nginx")
    for path in (layout.srv, layout.etc, layout.var, layout.run, layout.tools, layout.command):
        assert f"/{names.PREFIX}" in path
    for unit in (layout.unit("web", 1), layout.template_unit("web", "socket"), layout.boot_unit, layout.slice):
        assert unit.startswith(f"{names.PREFIX}-nginx")
    assert layout.user == "cl-nginx"


def test_two_apps_never_share_a_unit() -> None:
    made = {Layout(a).unit(p, 1) for a in ("shop", "shop_web", "s") for p in ("web", "web_web", "hop")}
    assert len(made) == 9


def test_unit_of_an_activation_is_an_instance_of_its_template() -> None:
    layout = Layout("shop")
    assert layout.template_unit("web").replace("@", "@7") == layout.unit("web", 7)
