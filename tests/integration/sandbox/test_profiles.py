# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The four profiles: what systemd says of each, that a site works in it, and which attempts it lets through."""

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release import exposure
from ansible_collections.containerless.django.plugins.module_utils._test import escape
from ansible_collections.containerless.django.plugins.module_utils._test.probes.neighbour import NAME as OTHER
from conftest import SERVERS, Machine, render, serving

#: (profile, networks that it may speak to): exposure of the loaded unit and of its files, the same in every version so
#: far. Only of a loaded unit systemd counts what one directive implies, such as mounts of its own.
EXPOSURE = {
    ("strict", ()): ("0.2", "0.2"),
    ("standard", ()): ("1.1", "1.1"),
    ("standard", ("localhost", "10.0.0.0/8")): ("1.0", "1.0"),
    ("standard", ("localhost",)): ("0.9", "0.9"),
    ("compat", ()): ("1.5", "1.5"),
    ("talk2018", ()): ("6.4", "6.6"),
}
#: Since 257 systemd counts it of files as well.
SINCE_257 = {("talk2018", ()): ("6.4", "6.4")}


@pytest.mark.parametrize(("profile", "networks"), EXPOSURE)
def test_the_exposure_and_that_no_line_is_ignored(machine: Machine, profile: str, networks: tuple[str, ...]):
    drop_in = render(machine.version, notify=True, profile=profile, ip_allow=networks)
    machine.unit("judged", "Type=notify\nExecStart=/usr/bin/true", drop_in)
    expected = EXPOSURE | (SINCE_257 if machine.version >= 257 else {})
    file = "/run/systemd/system/judged.service"
    verified = machine.run(f"systemd-analyze verify --man=no --recursive-errors=no {file}")
    assert (verified.stdout, verified.stderr) == ("", "")
    said = [
        machine.run(f"systemd-analyze security --no-pager {how}").stdout for how in ("judged", f"--offline=yes {file}")
    ]
    assert tuple(exposure.decimal(exposure.parse_figure(text)) for text in said) == expected[profile, networks]


@pytest.mark.parametrize("profile", ["standard", "compat", "talk2018"])
def test_a_site_works_in_it(machine: Machine, profile: str):
    with serving(machine, *SERVERS["gunicorn"], render(machine.version, notify=True, profile=profile)):
        assert machine.get("/sqlite/")["mode"] == "wal"
        assert machine.get("/postgres/")["user"] == "cl-shop"
        assert machine.get("/parallel/") == {"threads": 8, "queue": 42, "shared": "hello"}


def let_through(machine: Machine, profile: str) -> set[str]:
    outcomes = machine.probe(render(machine.version, notify=True, profile=profile))["outcomes"]
    return {name for name, outcome in outcomes.items() if outcome == "allowed"}


def test_what_each_profile_lets_through(machine: Machine):
    strict, standard, compat, talk = (
        let_through(machine, name) for name in ("strict", "standard", "compat", "talk2018")
    )
    assert not strict
    assert (standard, compat - standard) == (escape.STANDARD, escape.COMPAT)
    assert compat < talk
    assert talk - compat >= {
        "execute: program in /tmp",
        "namespace: user",
        "tcp: metadata service",
        f"write: /run/{OTHER}",
    }
