# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of the engine on a host in a folder: to their end, cut in the middle, and what has to be true afterwards."""

from __future__ import annotations

import itertools
import os
import shutil
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import (
    files,
    health,
    hostinfo,
    journal,
    lease,
    ledger,
)
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired, Outcome, Policy
from ansible_collections.containerless.django.plugins.module_utils._release.engine import Engine
from ansible_collections.containerless.django.plugins.module_utils._release.state import State
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import Host

POLICY = Policy(drain=0)
RUNS = itertools.count(1)
CHECK = health.Check(path="/", host="shop.example.org")


class Crash(BaseException):
    """The end of a process in the middle of a step: no `except Exception` sees it, as none sees a SIGKILL."""


def engine(host: Host, why: str = "", run: str = "", **policy: t.Any) -> Engine:
    chosen = Policy(**{**POLICY.__dict__, **policy})
    run = run or f"r{next(RUNS)}"
    return Engine(host.layout, Systemd(host.layout, host), run=run, who="ops", why=why, policy=chosen)


def will_migrate(host: Host, wanted: Desired) -> None:
    known = [(item["app"], item["name"]) for item in wanted.manifest["django"]["migrations"]]
    host.pending = [key for key in known if key not in (host.applied or [])]


def release(host: Host, wanted: Desired, **policy: t.Any) -> Outcome:
    will_migrate(host, wanted)
    one = engine(host, **policy)
    with one.locked():
        return one.release(wanted)


def stage(host: Host, wanted: Desired, run: str = "r0", **policy: t.Any) -> Outcome:
    """Run the first phase."""
    will_migrate(host, wanted)
    one = engine(host, run=run, **policy)
    with one.locked():
        return one.stage(wanted)


def go_on(host: Host, *verbs: str, run: str = "r0") -> Outcome:
    """Run further phases of the same run, each in a call of its own, as the module does."""
    for verb in verbs:
        one = engine(host, run=run)
        with one.locked():
            outcome: Outcome = getattr(one, verb)()
    return outcome


def rollback(host: Host, to: str = "", **policy: t.Any) -> Outcome:
    one = engine(host, **policy)
    with one.locked():
        return one.rollback(to)


def recover(host: Host) -> str:
    """What the next run does once the lease is over."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lease, "left", lambda _boot, _deadline: 0)
        one = engine(host)
        with one.locked():
            return one.outcome.recovered


def boot(host: Host) -> str | None:
    """What the boot unit does: another boot, so no lease counts."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lease, "boot_id", lambda: "ffffffff-0000-0000-0000-000000000000")
        one = engine(host)
        with one.locked():
            return one.boot()


def states(layout: Layout) -> dict[int, str]:
    return {number: entry.state for number, entry in ledger.states(State.read(layout).entries).items()}


def assert_whole(host: Host, *releases: str, unconfirmed: int = 0) -> None:
    """One of the releases is live in every respect, and nothing else is there when the drains are over."""
    host.drain()
    state = State.read(host.layout)
    assert state.journal is None
    assert state.active is not None
    assert state.active.release in releases
    number = state.active.activation
    assert os.readlink(host.layout.web_socket) == f"{number}/web.sock"
    assert os.readlink(host.layout.previous_socket) == f"{number}/web.sock"
    assert os.readlink(host.layout.current) == f"trees/{state.active.content_id}"
    tree = host.layout.tree(state.active.content_id)
    assert files.read(f"{host.layout.static}/site.css") == files.read(f"{tree}/static/site.css")
    assert Systemd(host.layout, host).activations() == [number]
    assert list(host.webs) == [number]
    assert health.ask(host.layout.web_socket, CHECK).body == f"activation {number}"
    assert hostinfo.running(state, Systemd(host.layout, host))
    assert states(host.layout)[number] == "good"
    # One that no way led back from may have been followed by another.
    assert {state for one, state in states(host.layout).items() if one != unconfirmed} <= {
        "good",
        "failed",
        "refused",
        "rolled_back",
    }
    leftovers = [name for _, _, names in os.walk(host.layout.root) for name in names if name.endswith(".new")]
    assert leftovers == []
    assert not os.path.exists(host.layout.origin)
    assert not os.path.exists(host.layout.next_secrets)
    assert host.later == {}


class Power:
    """Counts every change of the host and ends the process before the one with this number."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch, at: int | None) -> None:
        self.count = 0
        self.at = at
        for place, name in (
            *((files, name) for name in ("write", "remove", "link", "second_name", "rename", "replace_folder")),
            (State, "append"),
        ):
            monkeypatch.setattr(place, name, self._guarded(getattr(place, name)))
        host.before = lambda argv: self.tick() if argv[:2] != ["systemctl", "show"] and argv[1] != "show" else None

    def _guarded(self, function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def guarded(*args: t.Any, **kwargs: t.Any) -> t.Any:
            self.tick()
            return function(*args, **kwargs)

        return guarded

    def tick(self) -> None:
        if self.count == self.at:
            raise Crash
        self.count += 1


def crash(host: Host, monkeypatch: pytest.MonkeyPatch, at: int, act: t.Callable[[], object]) -> bool:
    """Run until the n-th change; say whether there was one."""
    with monkeypatch.context() as patched:
        Power(host, patched, at)
        try:
            act()
        except Crash:
            return True
        finally:
            host.before = lambda _argv: None
    return False


def crashes(
    host: Host, monkeypatch: pytest.MonkeyPatch, act: t.Callable[[], object], reset: t.Callable[[], object]
) -> t.Iterator[int]:
    """Yield after each crash of `act`, from its first change to its last."""
    for at in range(500):
        reset()
        if not crash(host, monkeypatch, at, act):
            assert at > 20, "too few changes were counted"
            return
        yield at
    raise AssertionError("it never ends")


def empty(host: Host) -> None:
    host.reboot()
    for place in ("srv", "etc/containerless", "var"):
        shutil.rmtree(f"{host.layout.root}/{place}", ignore_errors=True)
    host.applied = []


def interrupt(host: Host, wanted: Desired, step: str, monkeypatch: pytest.MonkeyPatch, **policy: t.Any) -> None:
    """Release until a step's line stands in the journal."""
    write = State.write_journal

    def end(self: State, entry: journal.Journal) -> None:
        write(self, entry)
        if entry.step == step:
            raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(State, "write_journal", end)
        with pytest.raises(Crash):
            release(host, wanted, **policy)
