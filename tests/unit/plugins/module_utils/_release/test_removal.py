# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import listen, removal
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired, Policy
from ansible_collections.containerless.django.plugins.module_utils._release.engine import Engine
from ansible_collections.containerless.django.plugins.module_utils._release.state import State
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import Artifact, Host, desired
from .runs import go_on, stage


@pytest.fixture
def live(host: Host, artifacts: dict[str, Artifact], group: str) -> Systemd:
    """Return the systemd of a host on which the app is live and has written a file."""
    one = Systemd(host.layout, host)
    engine = Engine(host.layout, one, run="r1", who="ops", why="", policy=Policy(drain=0))
    with engine.locked():
        engine.release(desired(artifacts["1.0"], group))
    Path(host.layout.data, "orders.csv").write_text("1", "utf-8")
    return one


def test_nothing_is_there_on_an_empty_host(host: Host) -> None:
    for data in (False, True):
        assert not removal.is_there(host.layout, Systemd(host.layout, host), data=data)


@pytest.mark.parametrize("data", [False, True])
def test_everything_goes_and_data_only_when_it_is_asked_for(host: Host, live: Systemd, data: bool) -> None:
    layout = host.layout
    assert removal.is_there(layout, live, data=data)
    removal.remove(layout, live, data=data)
    assert not removal.is_there(layout, live, data=data)
    assert os.path.exists(f"{layout.data}/orders.csv") is not data
    for gone in (layout.srv, layout.etc, layout.run, layout.active, layout.journal, layout.boot_unit_file):
        assert not os.path.lexists(gone)
    assert (live.activations(), host.webs, host.enabled) == ([], {}, set())
    assert host.calls[-1] == ["systemctl", "daemon-reload"]
    removal.remove(layout, live, data=data)


def test_data_that_was_kept_can_be_removed_later(host: Host, live: Systemd) -> None:
    removal.remove(host.layout, live, data=False)
    assert removal.is_there(host.layout, live, data=True)
    removal.remove(host.layout, live, data=True)
    assert not os.path.exists(host.layout.var)


def account(name: str, gecos: str) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", 990, 990, gecos, "/", "/usr/sbin/nologin"))


def test_users_go_with_the_data_and_never_one_of_somebody_else(
    host: Host, live: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release that was refused before a process ran made its user and the group: no folder tells of them."""
    others = [account("postgres", "PostgreSQL administrator"), account("report", ""), account("cl-shop_admin", "")]
    others.append(account("admin-worker", "containerless shop_admin"))
    ours = [account("cl-shop", host.layout.owner), account("shop-worker", host.layout.owner)]
    monkeypatch.setattr(pwd, "getpwall", lambda: [*others, *ours])
    monkeypatch.setattr(grp, "getgrall", lambda: [grp.struct_group(("clsh-shop", "x", 991, []))])
    os.makedirs(host.layout.own_data("report"))
    removal.remove(host.layout, live, data=False)
    assert host.called("userdel") + host.called("groupdel") == []
    removal.remove(host.layout, live, data=True)
    assert host.called("userdel") == [["userdel", "cl-shop"], ["userdel", "shop-worker"]]
    assert host.called("groupdel") == [["groupdel", "clsh-shop"]]


def test_another_app_is_left_alone(host: Host, live: Systemd) -> None:
    other = Layout("shop_admin", root=host.layout.root)
    places = (other.srv, other.etc, other.var, other.run)
    for place in places:
        os.makedirs(place)
    Path(other.units, other.unit("web", 1)).write_text("", "utf-8")
    Path(other.boot_unit_file).write_text("", "utf-8")
    removal.remove(host.layout, live, data=True)
    assert all(map(os.path.isdir, places))
    assert os.path.exists(os.path.join(other.units, other.unit("web", 1)))
    assert os.path.exists(other.boot_unit_file)


def test_nothing_of_it_happens_later(host: Host, live: Systemd, wanted: dict[str, Desired]) -> None:
    stage(host, wanted["2.0"], drain=3600)
    go_on(host, "activate", "confirm")
    stage(host, wanted["3.0"], migrations="accept")
    go_on(host, "activate")
    assert sorted(host.later) == [host.layout.deadman, host.layout.drainer(1)]
    removal.remove(host.layout, live, data=False)
    assert (host.later, host.webs) == ({}, {})
    assert State.read(host.layout).journal is None


def test_nobody_listens_for_it_any_more(host: Host, live: Systemd) -> None:
    units = dict.fromkeys((host.layout.listen("socket"), host.layout.listen("service")), "")
    listen.follow(host.layout, live, units)
    removal.remove(host.layout, live, data=False)
    assert host.layout.listen("socket") not in host.up
    assert not any(os.path.exists(os.path.join(host.layout.units, name)) for name in units)


def test_the_ledger_stays_with_the_data(host: Host, live: Systemd) -> None:
    removal.remove(host.layout, live, data=False)
    assert os.path.exists(host.layout.ledger)
