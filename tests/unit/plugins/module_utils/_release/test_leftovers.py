# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process that dies with a file written and not yet named leaves nothing behind once it was recovered from."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
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
