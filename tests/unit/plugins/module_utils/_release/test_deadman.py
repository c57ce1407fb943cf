# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

from ansible_collections.containerless.django.plugins.module_utils._release import deadman
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import Host


def test_the_version_that_armed_it_is_the_one_that_runs(host: Host) -> None:
    one = Systemd(host.layout, host)
    os.makedirs(f"{host.layout.tools}/0123")
    os.symlink("0123", f"{host.layout.tools}/current")
    open(host.layout.command, "w", encoding="utf-8").close()
    deadman.arm(host.layout, one, "r1", 60)
    os.unlink(f"{host.layout.tools}/current")
    os.symlink("4567", f"{host.layout.tools}/current")
    armed = [f"{host.layout.tools}/0123/command", "expire", "shop", "r1"]
    assert host.later == {"containerless-shop-deadman": (60.0, armed)}


def test_the_last_word_counts(host: Host) -> None:
    one = Systemd(host.layout, host)
    for seconds in (60, 0.5, 600):
        deadman.arm(host.layout, one, "r1", seconds)
        assert host.later["containerless-shop-deadman"][0] == seconds
    deadman.disarm(host.layout, one)
    assert host.later == {}
    deadman.disarm(host.layout, one)


def test_a_drain_belongs_to_one_activation(host: Host) -> None:
    one = Systemd(host.layout, host)
    deadman.drain(host.layout, one, 7, 30)
    deadman.drain(host.layout, one, 8, 0)
    assert {name: (seconds, argv[1:]) for name, (seconds, argv) in host.later.items()} == {
        "containerless-shop-drain-7": (30.0, ["drain", "shop", "7"]),
        "containerless-shop-drain-8": (0.0, ["drain", "shop", "8"]),
    }
    assert [deadman.is_draining(host.layout, one, number) for number in (7, 8, 9)] == [True, True, False]
    one.never(host.layout.drainer(7))
    assert not deadman.is_draining(host.layout, one, 7)


def test_a_drain_that_runs_still_drains(host: Host) -> None:
    host.shown["containerless-shop-drain-7.service"] = {"ActiveState": "activating"}
    assert deadman.is_draining(host.layout, Systemd(host.layout, host), 7)
