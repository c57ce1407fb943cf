# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sandbox_info: what is asked for, what systemd applies, and what holds from inside."""

from __future__ import annotations

import json
import subprocess
import typing as t
from pathlib import Path

import pytest
from conftest import Machine, render

Ask = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def ask(machine: Machine, tmp_path: Path) -> Ask:
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": {machine.image: machine.hostvars}}}))

    def run(**options: str) -> dict[str, t.Any]:
        argv = ["ansible", machine.image, "-i", str(inventory), "--become", "-m", "containerless.django.sandbox_info"]
        argv += ["-a", json.dumps(options), "--one-line"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return json.loads(done.stdout.partition("=>" if "=>" in done.stdout else "!")[2])

    return run


def by_name(known: dict[str, t.Any]) -> dict[str, dict[str, str]]:
    return {item["directive"]: item for item in known["directives"]}


def test_everything_that_is_asked_for_holds_but_for_what_the_machine_lacks(machine: Machine, ask: Ask):
    machine.unit("known", "Type=exec\nExecStart=/usr/bin/true", render(machine.version, notify=False))
    (known,) = ask(unit="known.service")["units"]
    assert (known["profile"], known["exposure"], known["opt_out"], known["not_probed"]) == ("strict", "0.2", [], "")
    lacking = {item["directive"] for item in machine.hostvars["app_machine_facts"]["unenforced"]}
    assert {item["directive"] for item in known["weak"]} == lacking
    seen = {name: item["inside"] for name, item in by_name(known).items() if item["inside"]}
    assert {name for name, state in seen.items() if state != "holds"} == lacking
    assert len(seen) >= 25
    assert by_name(known)["MemoryMax"]["applied"] == str(512 << 20)


def test_what_is_open_is_seen_whatever_systemd_says(machine: Machine, ask: Ask):
    """systemd says yes to both; the second line about /dev/shm undoes the first, and a name space may be shared."""
    undone = render(machine.version, notify=False) + "NoExecPaths=/dev/shm\n"
    machine.unit("known", "Type=exec\nExecStart=/usr/bin/true", undone)
    (known,) = ask(unit="known.service")["units"]
    assert known["exposure"] == "0.2"
    assert "the host's own: /dev/shm" in [item["why"] for item in known["weak"]]


def test_an_opt_out_is_told_with_its_reason(machine: Machine, ask: Ask):
    item = {"directive": "MemoryDenyWriteExecute", "reason": "callbacks of old cffi: pycares"}
    machine.unit("known", "Type=exec\nExecStart=/usr/bin/true", render(machine.version, notify=False, opt_out=[item]))
    answer = ask(unit="known.service")
    (known,) = answer["units"]
    assert known["opt_out"] == [{**item, "value": "no"}]
    assert "MemoryDenyWriteExecute" not in by_name(known)
    assert "opted out of MemoryDenyWriteExecute: callbacks of old cffi: pycares" in answer["table"]
    assert max(map(len, answer["table"])) <= 80


def test_a_unit_of_somebody_else_has_no_profile(ask: Ask):
    (known,) = ask(unit="ssh.service")["units"]
    assert known["profile"] == ""
    assert float(known["exposure"]) > 9


def test_what_is_not_there_is_said(ask: Ask):
    assert "no-such.service is not a unit of this host" in ask(unit="no-such.service")["msg"]
    assert "shop has no active release on this host" in ask(name="shop")["msg"]
