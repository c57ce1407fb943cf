# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that can't inherit a socket: its own one stands behind a proxy, and it is switched as any other."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.containerless.django.tests.rig import Ask, Host, Load, Rig
from conftest import sandbox_info

# Some answers take longer than a switch: they are under way while it happens.
ASKS = (Ask("/"), Ask("/health/"), Ask("/count/", "POST", b"x"), Ask("/slow/?seconds=0.7"))
RATE = 20.0


@pytest.fixture(scope="module")
def rig(image: str) -> t.Iterator[Rig]:
    with Rig("granian", image=image) as made:
        made.publish("granian", "v1")
        made.release("granian").check()
        yield made


@pytest.fixture(scope="module")
def host(rig: Rig) -> Host:
    return rig.hosts[0]


def live(host: Host) -> tuple[str, int]:
    found = json.loads(host.sh("containerless status rig --json").stdout)[0]
    return found["release"], found["activation"]


def unit(host: Host, name: str = "web") -> str:
    return f"containerless-rig-{name}@{live(host)[1]}.service"


def show(host: Host, name: str, *properties: str) -> list[str]:
    asked = ",".join(properties)
    said = host.sh(f"systemctl show -p {asked} {name}").stdout.splitlines()
    known = dict(line.partition("=")[::2] for line in said)
    return [known[name] for name in properties]


def answered(load: Load, *releases: str) -> None:
    """Every request was answered well, by each of these releases."""
    assert load.samples
    assert [sample for sample in load.samples if not sample.good] == []
    assert {sample.release for sample in load.samples} == set(releases)


def test_web_has_no_socket_but_its_own_and_the_proxy_no_more_than_both(host: Host) -> None:
    web, proxy = unit(host), unit(host, "web.proxy")
    assert show(host, web, "ActiveState", "User", "PrivateNetwork") == ["active", "cl-rig", "yes"]
    assert show(host, proxy, "ActiveState", "DynamicUser", "PrivateNetwork") == ["active", "yes", "yes"]
    run = f"/run/containerless/rig/{live(host)[1]}"
    assert host.sh(f"stat -c '%a %U %G' {run}/web {run}/web/own.sock").stdout.split("\n")[:2] == [
        "750 cl-rig cl-rig",
        "660 cl-rig cl-rig",
    ]
    pid = show(host, proxy, "MainPID")[0]
    uid = host.sh(f"stat -c %u /proc/{pid}").stdout.strip()
    assert uid not in ("0", host.sh("id -u cl-rig").stdout.strip())
    # Nobody else gets to it: not by the folder, not by the socket.
    tried = host.sh(f"setpriv --reuid=nobody --regid=nogroup --clear-groups ls {run}/web", check=False)
    assert tried.returncode != 0


def test_the_proxy_is_confined(host: Host) -> None:
    said = host.sh(f"systemd-analyze security --no-pager {unit(host, 'web.proxy')} | tail -n 1").stdout
    assert float(said.split("is ")[-1].split(":")[-1].split()[0]) <= 0.5


@pytest.mark.parametrize("overlap", ["overlap", "hold"])
def test_releases_and_rollbacks_lose_no_request(rig: Rig, host: Host, overlap: str) -> None:
    before = live(host)[0]
    with Load(host.address, rate=RATE, asks=ASKS) as load:
        rig.release("granian", env={"RIG_COLOUR": overlap}, app_release_overlap=overlap).check()
        between = live(host)[0]
        rig.rollback(app_release_overlap=overlap).check()
    assert live(host)[0] == before
    answered(load, before, between)


def test_servers_are_switched_under_each_other(rig: Rig, host: Host) -> None:
    before = live(host)[0]
    with Load(host.address, rate=RATE, asks=ASKS) as load:
        rig.release("v1").check()
        between = live(host)[0]
        rig.release("granian").check()
    assert live(host)[0] == before
    answered(load, before, between)


def test_connections_that_nginx_keeps_are_no_reason_to_wait(rig: Rig, host: Host) -> None:
    """The server closes them when it ends; the proxy ends with it, and not when its time is up."""
    host.proxy(keepalive=True)
    try:
        with Load(host.address, rate=RATE, asks=ASKS[:2], reuse=True) as load:
            old = live(host)[1]
            rig.release("granian", env={"RIG_COLOUR": "kept"}).check()
            gone = f"while systemctl is-active -q containerless-rig-web.proxy@{old}; do sleep 0.1; done"
            host.sh(f"timeout 15 sh -c '{gone}'")
        assert load.failed() == []
    finally:
        host.proxy()


def test_a_broken_release_changes_nothing(rig: Rig, host: Host) -> None:
    before = live(host)
    with Load(host.address, rate=RATE, asks=ASKS) as load:
        broken = rig.release("granian", env={"RIG_FAULT": "import"}, app_release_health_timeout=10)
    assert broken.rc != 0
    assert live(host) == before
    answered(load, before[0])
    assert (
        host.sh("systemctl list-units --all --plain --no-legend 'containerless-rig-web*'").stdout.count(".proxy") == 1
    )


def test_a_look_at_the_live_sandbox_takes_no_socket_away(rig: Rig, host: Host) -> None:
    host.sh("containerless manage rig -- check")
    with Load(host.address, rate=RATE) as load:
        sandbox_info(rig.inventory, "rig")
    answered(load, live(host)[0])


def test_after_a_crash_requests_are_answered_again(host: Host) -> None:
    pid = show(host, unit(host), "MainPID")[0]
    host.sh(f"kill -KILL {pid}")
    ask = "curl -sf -o /dev/null --unix-socket /run/containerless/rig/web.sock http://rig/"
    host.sh(f"timeout 30 sh -c 'until {ask}; do sleep 0.1; done'")
    assert show(host, unit(host), "NRestarts") == ["1"]
    assert show(host, unit(host, "web.proxy"), "ActiveState") == ["active"]


def test_two_instances_share_the_release_s_socket(rig: Rig, host: Host) -> None:
    rig.release("granian", app_release_scale={"web": 2, "worker": 0, "beat": 0}).check()
    units = [unit(host, name) for name in ("web", "web.2", "web.proxy", "web.proxy2")]
    assert [show(host, name, "ActiveState")[0] for name in units] == ["active"] * 4
    with Load(host.address, rate=RATE, asks=ASKS) as load:
        rig.rollback().check()
    assert load.failed() == []


def test_what_its_sandbox_refuses_is_learned(host: Host) -> None:
    """A run of its own makes a socket of its own, beside the one that is live, and takes it away."""
    before = live(host)
    done = host.sh("containerless learn rig web --json --path /health/ --seconds 2", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert (said["works"], said["why"], said["runs"]) == (True, "", 1)
    assert live(host) == before
    assert host.sh("ls -d /run/containerless/rig/999999", check=False).returncode != 0
