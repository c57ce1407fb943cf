# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process that dies with a file written and not yet named leaves nothing behind once it was recovered from."""

from __future__ import annotations

import os
import signal
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import leftovers
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired

from .host import Host
from .runs import Crash, assert_whole, boot, empty, release


def die_before_rename(monkeypatch: pytest.MonkeyPatch, at: int, act: t.Callable[[], object]) -> bool:
    """End the process before its n-th rename; say whether there was one."""
    rename, count = os.rename, 0

    def counted(*args: t.Any, **kwargs: t.Any) -> None:
        nonlocal count
        count += 1
        if count > at:
            raise Crash
        rename(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", counted)
        try:
            act()
        except Crash:
            return True
    return False


def asides(host: Host) -> list[str]:
    found = [os.path.join(folder, name) for folder, *two in os.walk(host.layout.root) for name in two[0] + two[1]]
    return [path for path in found if path.endswith(".new") or os.path.basename(path).startswith(".")]


@pytest.mark.exhaustive
def test_no_rename_that_did_not_come_leaves_its_file(
    host: Host, wanted: dict[str, Desired], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = 0
    for at in range(200):
        empty(host)
        release(host, wanted["1.0"])
        if not die_before_rename(monkeypatch, at, lambda: release(host, wanted["2.0"])):
            assert left > 30
            return
        left += bool(asides(host))
        boot(host)
        assert asides(host) == []
        assert_whole(host, wanted["1.0"].release_id, wanted["2.0"].release_id)
    pytest.fail("it never ends")


def test_what_others_own_stays(host: Host) -> None:
    layout = host.layout
    theirs = [
        f"{layout.units}/containerless-shop_two-web@1.service.new",
        f"{layout.units}/nginx.service.new",
        f"{layout.static}/logo.new",
        f"{layout.data}/upload.new",
        f"{layout.trees}/{'a' * 64}",
    ]
    ours = [f"{layout.var}/journal.new", f"{layout.etc}/secrets/KEY.new", f"{layout.trees}/.{'b' * 64}.7"]
    for path in theirs + ours:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    leftovers.sweep(layout)
    assert [path for path in theirs + ours if os.path.exists(path)] == theirs


def arrived(layout: Layout, number: int = 0) -> str:
    path = f"{layout.sent}{number:032x}"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(b"tar")
    return path


def test_an_artifact_goes_with_the_process_that_read_it(host: Host) -> None:
    path, child = arrived(host.layout), os.fork()
    if not child:
        with leftovers.claimed(path):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    leftovers.sweep(host.layout)
    assert not os.path.exists(path)


def test_an_artifact_stays_while_somebody_has_it_or_may_take_it_up(host: Host) -> None:
    """Another run of the app may hold the lock for which this one waits."""
    path = arrived(host.layout)
    leftovers.sweep(host.layout)
    with leftovers.claimed(path):
        leftovers.sweep(host.layout)
        assert Path(path).read_bytes() == b"tar"
    fresh, forgotten = arrived(host.layout, 1), arrived(host.layout, 2)
    os.utime(forgotten, (time.time() - 90,) * 2)
    leftovers.sweep(host.layout)
    assert [os.path.exists(each) for each in (path, fresh, forgotten)] == [False, True, False]


def test_what_another_app_or_somebody_else_has_there_stays(host: Host) -> None:
    path = arrived(host.layout)
    begin = os.path.dirname(path)
    theirs = [f"{begin}/containerless-shop_two-{'0' * 32}", f"{path}.tar", f"{begin}/containerless-shop-{'a' * 32}"]
    for each in theirs[:2]:
        os.link(path, each)
    os.utime(path, (0, 0))
    os.symlink(theirs[1], theirs[2])
    os.mkfifo(f"{begin}/containerless-shop-{'b' * 32}")
    os.utime(f"{begin}/containerless-shop-{'b' * 32}", (0, 0))
    leftovers.sweep(host.layout)
    assert [each for each in theirs if os.path.lexists(each)] == theirs
    assert sorted(os.listdir(begin)) == sorted(map(os.path.basename, [*theirs, f"containerless-shop-{'b' * 32}"]))


def test_what_is_not_there_is_claimed_by_nobody(host: Host) -> None:
    with leftovers.claimed(f"{host.layout.sent}{'0' * 32}"):
        leftovers.sweep(host.layout)
