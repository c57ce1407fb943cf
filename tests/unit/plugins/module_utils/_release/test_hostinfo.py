# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import platform
import re
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release import files, hostinfo, systemd
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired, Policy
from ansible_collections.containerless.django.plugins.module_utils._release.engine import Engine
from ansible_collections.containerless.django.plugins.module_utils._release.state import State
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import Artifact, Host, desired


@pytest.fixture
def live(host: Host, artifacts: dict[str, Artifact], group: str) -> Desired:
    """Release 1.0, so that it is live."""
    wanted = desired(artifacts["1.0"], group)
    engine = Engine(host.layout, Systemd(host.layout, host), run="r1", who="ops", why="first", policy=Policy(drain=0))
    with engine.locked():
        engine.release(wanted)
    return wanted


def running(host: Host) -> bool:
    return hostinfo.running(State.read(host.layout), Systemd(host.layout, host))


def test_pythons_of_this_machine_answer_for_themselves() -> None:
    found = hostinfo.pythons(systemd.run)
    for soabi, path in found.items():
        rc, out, _err = systemd.run([path, "-IS", "-c", "import sysconfig; print(sysconfig.get_config_var('SOABI'))"])
        assert (rc, out.strip()) == (0, soabi)
        assert os.path.realpath(path) == path


def test_an_interpreter_that_does_not_run_or_is_not_cpython_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [
        "/usr/bin/python3",
        "/usr/bin/python3.7",
        "/usr/bin/python3.8",
        "/usr/bin/python3-config",
        "/usr/bin/python3.9",
    ]
    monkeypatch.setattr(hostinfo.glob, "glob", lambda pattern: paths if pattern.startswith("/usr/bin") else [])
    monkeypatch.setattr(hostinfo.os, "access", lambda _path, _mode: True)
    monkeypatch.setattr(
        hostinfo.os.path, "realpath", lambda path: path.replace("/usr/bin/python3.9", "/usr/bin/python3")
    )
    answers = {
        "/usr/bin/python3": (0, "cpython-39-x86_64-linux-gnu cpython\n", ""),
        "/usr/bin/python3.7": (0, "pypy37 pypy\n", ""),
        "/usr/bin/python3.8": (127, "", "broken"),
    }
    assert hostinfo.pythons(lambda argv: answers[argv[0]]) == {"cpython-39-x86_64-linux-gnu": "/usr/bin/python3"}


def test_facts_of_this_machine(host: Host) -> None:
    found = hostinfo.host(Systemd(host.layout, host))
    assert found["machine"] == platform.machine()
    assert found["libc"] in {"glibc", "musl"}
    assert re.fullmatch(r"\d+\.\d+", found["libc_version"])
    assert {"gzip", "identity"} <= set(found["encodings"]) <= {"gzip", "identity", "zstd"}
    assert found["systemd"] == 252
    assert re.fullmatch(r"[a-z]+\d*", found["platform"])


OS_RELEASES = [
    ('ID=debian\nVERSION_ID="12"\n', "debian12"),
    ('NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\n', "ubuntu24"),
    ("ID=arch\n", "arch"),
    ("", "linux"),
]


@pytest.mark.parametrize(("text", "expected"), OS_RELEASES)
def test_platform(host: Host, monkeypatch: pytest.MonkeyPatch, text: str, expected: str) -> None:
    monkeypatch.setattr(files, "read", lambda _path: text.encode())
    assert hostinfo.host(Systemd(host.layout, host))["platform"] == expected


def test_an_app_that_is_not_there(host: Host) -> None:
    report = hostinfo.report(host.layout, Systemd(host.layout, host))
    assert report == {
        "app": "shop",
        "release": None,
        "activation": None,
        "content_id": None,
        "signed_by": None,
        "sandbox": None,
        "running": False,
        "problems": [],
        "processes": {},
        "draining": [],
        "under_way": None,
        "unconfirmed_for": None,
        "timers": False,
        "pinned": [],
        "releases": [],
        "ledger_head": "0" * 64,
    }
    assert hostinfo.trees(host.layout) == []


def test_an_app_that_is_live(host: Host, live: Desired) -> None:
    report = hostinfo.report(host.layout, Systemd(host.layout, host))
    assert (report["release"], report["activation"], report["running"]) == (live.release_id, 1, True)
    up = dict.fromkeys(("web", "worker"), "active (running), 0 restarts")
    assert report["processes"] == {**up, "timer.cleanup": "inactive (dead)"}
    assert report["problems"] == []
    (only,) = report["releases"]
    assert (only["state"], only["active"], only["who"], only["why"]) == ("good", True, "ops", "first")


def no_worker(host: Host) -> None:
    host.shown["containerless-shop-worker@1.service"] = {"ActiveState": "activating", "SubState": "auto-restart"}


BREAKS: list[t.Callable[[Host], object]] = [
    no_worker,
    lambda host: os.unlink(host.layout.web_socket),
    lambda host: files.link("7/web.sock", host.layout.web_socket),
    lambda host: host.stop_all(),
    lambda host: os.rename(host.layout.etc, f"{host.layout.etc}.gone"),
]


@pytest.mark.parametrize("damage", range(len(BREAKS)))
def test_running_means_all_of_it(host: Host, live: Desired, damage: int) -> None:
    assert running(host)
    BREAKS[damage](host)
    assert not running(host)


def test_observe(host: Host, live: Desired) -> None:
    def observe(content_id: str, secrets: dict[str, str]) -> tuple[bool, tuple[str, ...]]:
        found = hostinfo.observe(State.read(host.layout), Systemd(host.layout, host), content_id, secrets)
        assert (found.live, found.running) == (live.release_id, True)
        return found.has_tree, found.stale_secrets

    assert observe(live.content_id, live.secrets) == (True, ())
    assert observe("e" * 64, {"SECRET_KEY": "another", "B": "new", "A": "new"}) == (False, ("A", "B", "SECRET_KEY"))
    assert observe(live.content_id, {}) == (True, ())


def test_only_whole_trees_are_counted(host: Host, live: Desired) -> None:
    for name in (f".{'e' * 64}.77", "README", "E" * 64):
        os.makedirs(f"{host.layout.trees}/{name}")
    assert hostinfo.trees(host.layout) == [live.content_id]
