# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine import names
from ansible_collections.containerless.django.plugins.module_utils._machine.errors import MachineError


@pytest.mark.parametrize("name", ["a", "web", "web-13", "a" * 31, "a1"])
def test_good_names(name: str) -> None:
    assert names.check_name(name) == name


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "A", "a_b", "a.b", "a/../b", "a" * 32, "a\n", "*"])
def test_bad_names(name: str) -> None:
    with pytest.raises(MachineError, match="name: .* must start with a letter"):
        names.check_name(name)


@pytest.mark.parametrize("project", ["", ".", "..", "a/b", "-a", "A", "a" * 41])
def test_bad_projects(project: str) -> None:
    with pytest.raises(MachineError, match="project: "):
        names.check_project(project)


def test_a_project_follows_from_its_folder() -> None:
    assert names.project_of("/home/me/shop") == names.project_of("/home/me/shop")
    assert names.project_of("/home/me/shop") != names.project_of("/home/me/shop2")
    assert names.check_project(names.project_of("/home/me/shop"))


def test_links_are_disjoint_and_inside_the_pool() -> None:
    first, last = names.Link(0), names.Link(names.SUBNETS - 1)
    assert (first.host, first.guest, first.address) == ("198.18.0.1/30", "198.18.0.2/30", "198.18.0.2")
    assert last.network.broadcast_address == names.POOL.broadcast_address
    assert not names.Link(1).network.overlaps(first.network)


@pytest.mark.parametrize("index", [0, names.SUBNETS - 1])
def test_an_interface_fits_the_kernel(index: int) -> None:
    assert len(names.Link(index).interface) <= 15


def test_a_machine_usually_gets_the_same_link() -> None:
    assert names.pick_link("p/web", (), ()) == names.pick_link("p/web", (), ("default", "192.0.2.0/24"))


def test_a_taken_link_is_passed_over() -> None:
    first = names.pick_link("p/web", (), ())
    assert names.pick_link("p/web", {first.index}, ()).index == (first.index + 1) % names.SUBNETS


def test_a_link_that_the_host_routes_elsewhere_is_passed_over() -> None:
    first = names.pick_link("p/web", (), ())
    around = ipaddress.IPv4Network(first.network).supernet(new_prefix=24)
    assert not names.pick_link("p/web", (), (str(around),)).network.overlaps(around)


def test_a_default_route_takes_nothing() -> None:
    assert names.pick_link("p/web", (), ("0.0.0.0/0",)) == names.pick_link("p/web", (), ())


def test_a_full_pool_says_so() -> None:
    with pytest.raises(MachineError, match="No free network is left"):
        names.pick_link("p/web", range(names.SUBNETS), ())
