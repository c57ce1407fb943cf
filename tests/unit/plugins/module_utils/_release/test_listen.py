# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release import listen
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import UNITS, Host

SOCKET, SERVICE = "containerless-shop-listen.socket", "containerless-shop-listen.service"
ONE = {**UNITS, SOCKET: "ListenStream=0.0.0.0:80\n", SERVICE: "ExecStart=x\n"}
OTHER = {**ONE, SOCKET: "ListenStream=0.0.0.0:81\n"}

# units before, units now -> what is done, what is there
FOLLOWS: list[tuple[dict[str, str], dict[str, str], list[str], bool]] = [
    (UNITS, UNITS, [], False),
    (UNITS, ONE, ["daemon-reload", f"start {SOCKET}"], True),
    (ONE, ONE, [f"start {SOCKET}"], True),
    (
        ONE,
        OTHER,
        [f"stop {SERVICE} {SOCKET}", f"reset-failed {SERVICE} {SOCKET}", "daemon-reload", f"start {SOCKET}"],
        True,
    ),
    (ONE, {}, [f"stop {SERVICE} {SOCKET}", f"reset-failed {SERVICE} {SOCKET}", "daemon-reload"], False),
]


@pytest.mark.parametrize("case", FOLLOWS, ids=range(len(FOLLOWS)))
def test_the_port_is_taken_anew_only_for_another_text(
    host: Host, case: tuple[dict[str, str], dict[str, str], list[str], bool]
) -> None:
    before, now, calls, there = case
    one = Systemd(host.layout, host)
    listen.follow(host.layout, one, before)
    host.calls.clear()
    listen.follow(host.layout, one, now)
    assert [" ".join(call[1:]) for call in host.calls] == calls
    for name in (SOCKET, SERVICE):
        path = os.path.join(host.layout.units, name)
        assert os.path.exists(path) is there
        if there:
            with open(path, encoding="utf-8") as text:
                assert text.read() == now[name]


def test_no_activation_brings_or_takes_the_port(host: Host) -> None:
    one = Systemd(host.layout, host)
    one.install(ONE, 7)
    assert not os.path.exists(os.path.join(host.layout.units, SOCKET))
    listen.follow(host.layout, one, ONE)
    one.uninstall(7)
    assert SOCKET in host.up
