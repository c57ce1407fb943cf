# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""While requests wait, none of them starts the release that they wait for: its migrations have not run."""

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired
from ansible_collections.containerless.django.plugins.module_utils._release.journal import Journal
from ansible_collections.containerless.django.plugins.module_utils._release.state import State

from .host import Host
from .runs import Crash, assert_whole, engine, recover, release, stage


def words(host: Host) -> list[str]:
    """Return what matters of the calls so far, in order."""
    marks = {
        "systemd-run --quiet --collect --no-block --service-type=oneshot --unit=containerless-shop-gate": "close",
        "systemctl start containerless-shop-web@2.socket": "listen",
        "systemctl start containerless-shop-task.migrate@2.service": "migrate",
        "systemctl stop containerless-shop-gate.service": "open",
        "systemctl start --no-block containerless-shop-web@2.socket containerless-shop-web@2.service": "web",
    }
    told = [" ".join(call) for call in host.calls]
    return [mark for line in told for begin, mark in marks.items() if line.startswith(begin)]


def test_the_gate_is_closed_before_the_socket_listens_and_opened_before_web_starts(
    host: Host, wanted: dict[str, Desired]
) -> None:
    release(host, wanted["1.0"])
    stage(host, wanted["2.0"], overlap="hold")
    host.calls.clear()
    with (one := engine(host, run="r0")).locked():
        one.activate()
    assert words(host) == ["close", "listen", "migrate", "open", "web"]
    assert host.layout.gate not in host.later
    # It ended by a signal, which is a failure: what waits for it would keep it loaded.
    assert ["systemctl", "reset-failed", f"{host.layout.gate}.service"] in host.calls


def test_a_gate_that_was_never_closed_costs_nothing(host: Host) -> None:
    engine(host).systemd.end(host.layout.gate)
    assert host.calls == []


def test_a_gate_that_is_closed_already_is_closed_again(host: Host) -> None:
    one = engine(host)
    for _ in range(2):
        one.systemd.begin(host.layout.gate, "requests wait")
    assert [name for name in host.later if "gate" in name] == [host.layout.gate]


@pytest.mark.parametrize("step", ["migrate", "start"])
def test_who_goes_back_opens_the_gate(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    release(host, wanted["1.0"])
    stage(host, wanted["2.0"], overlap="hold")
    write = State.write_journal

    def die(self: State, entry: Journal) -> None:
        write(self, entry)
        if entry.step == step:
            raise Crash

    with monkeypatch.context() as patched, (one := engine(host, run="r0")).locked():
        patched.setattr(State, "write_journal", die)
        with pytest.raises(Crash):
            one.activate()
    assert host.layout.gate in host.later
    recover(host)
    assert_whole(host, wanted["1.0"].release_id)
