# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a test released goes; what anything else released is never touched."""

from __future__ import annotations

import os
import re
import threading
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release import files
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Policy
from ansible_collections.containerless.django.plugins.module_utils._release.engine import Engine
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd
from ansible_collections.containerless.django.plugins.module_utils._test import guest

from .._release.conftest import artifacts, group, host, layout  # noqa: F401
from .._release.host import Artifact, Host, desired

LEASE = "containerless-shop-test"


@pytest.fixture
def release(host: Host, artifacts: dict[str, Artifact], group: str) -> t.Callable[..., Systemd]:  # noqa: F811
    """Return what releases a version for a reason."""

    def run(version: str, why: str) -> Systemd:
        one = Systemd(host.layout, host)
        engine = Engine(host.layout, one, run="r1", who="ops", why=why, policy=Policy(drain=0))
        with engine.locked():
            engine.release(desired(artifacts[version], group))
        return one

    return run


def test_a_test_begins_on_an_empty_host_and_leaves_one(host: Host, release: t.Callable[..., Systemd]) -> None:  # noqa: F811
    one = Systemd(host.layout, host)
    assert not guest.welcome(host.layout, one, 60)
    assert host.later[LEASE][0] == 60
    release("1.0", f"{guest.WHY}; untested: it is tested now")
    assert guest.see_off(host.layout, one, keep=False)
    assert not os.path.exists(host.layout.var)
    assert not os.path.exists(host.layout.srv)
    assert LEASE not in host.later


def test_what_an_interrupted_test_left_goes_before_the_next_one(
    host: Host,  # noqa: F811
    release: t.Callable[..., Systemd],
) -> None:
    one = release("1.0", guest.WHY)
    assert guest.welcome(host.layout, one, 60)
    assert (one.activations(), os.path.exists(host.layout.data)) == ([], False)


@pytest.mark.parametrize("keep", [True, False])
def test_the_client_of_level_full_ends_with_its_test(
    host: Host,  # noqa: F811
    release: t.Callable[..., Systemd],
    keep: bool,
) -> None:
    one = release("1.0", guest.WHY)
    load = guest.client(host.layout)
    host.up[load] = 0.0
    guest.see_off(host.layout, one, keep=keep)
    assert load not in host.up
    # One that a killed test has left would hold the name, and ask the next one's release.
    one = release("1.0", guest.WHY)
    host.up[load] = 0.0
    guest.welcome(host.layout, one, 60)
    assert load not in host.up
    (_seconds, argv) = host.later[LEASE]
    assert f".stop({load!r})" in argv[-1]


def test_a_guest_stays_when_it_is_told_to(host: Host, release: t.Callable[..., Systemd]) -> None:  # noqa: F811
    one = Systemd(host.layout, host)
    guest.welcome(host.layout, one, 60)
    release("1.0", guest.WHY)
    assert not guest.see_off(host.layout, one, keep=True)
    assert (one.activations(), LEASE in host.later) == ([1], False)


@pytest.mark.parametrize("reasons", [("",), ("untested: a typo",), (guest.WHY, "ship"), ("ship", guest.WHY)])
def test_an_app_that_is_no_guest_is_never_touched(
    host: Host,  # noqa: F811
    release: t.Callable[..., Systemd],
    reasons: tuple[str, ...],
) -> None:
    for version, why in zip(("1.0", "2.0"), reasons):
        one = release(version, why)
    refused = r"^shop is on this host by other releases .* app_test_hosts"
    with pytest.raises(ContainerlessError, match=refused):
        guest.welcome(host.layout, one, 60)
    with pytest.raises(ContainerlessError, match=refused):
        guest.see_off(host.layout, one, keep=False)
    assert len(one.activations()) == len(reasons)
    assert LEASE not in host.later


@pytest.mark.parametrize("lease", [0, -5])
def test_a_lease_is_seconds(host: Host, release: t.Callable[..., Systemd], lease: int) -> None:  # noqa: F811
    one = release("1.0", guest.WHY)
    with pytest.raises(ContainerlessError, match=f"^app_test_lease is {lease}; it is seconds, at least 1$"):
        guest.welcome(host.layout, one, lease)
    assert one.activations() == [1]


def test_data_without_a_ledger_is_somebody_s(host: Host) -> None:  # noqa: F811
    os.makedirs(host.layout.data)
    with pytest.raises(ContainerlessError, match="is on this host by other releases"):
        guest.welcome(host.layout, Systemd(host.layout, host), 60)
    assert os.path.isdir(host.layout.data)
    # A test that was interrupted before it released anything leaves no data.
    assert guest.is_guest([], has_data=False)


def test_a_test_that_was_interrupted_before_its_first_line_is_a_guest_too(host: Host) -> None:  # noqa: F811
    one = Systemd(host.layout, host)
    guest.welcome(host.layout, one, 60)
    os.makedirs(host.layout.data)
    assert guest.welcome(host.layout, one, 60)
    assert not os.path.exists(host.layout.data)
    os.makedirs(host.layout.data)
    host.later.clear()
    with pytest.raises(ContainerlessError, match="is on this host by other releases"):
        guest.see_off(host.layout, one, keep=False)


def test_a_run_that_is_still_at_work_ends_before_what_it_left_goes(
    host: Host,  # noqa: F811
    release: t.Callable[..., Systemd],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = release("1.0", guest.WHY)
    removed = threading.Thread(target=guest.see_off, args=(host.layout, one), kwargs={"keep": False})
    with files.lock(host.layout.lock, "run r2", 0):
        removed.start()
        removed.join(0.3)
        assert os.path.isdir(host.layout.srv)
    removed.join(10)
    assert not os.path.exists(host.layout.srv)
    release("1.0", guest.WHY)
    monkeypatch.setattr(guest, "_PATIENCE", 0)
    with files.lock(host.layout.lock, "run r2", 0):
        refused = re.escape(f"another release holds {host.layout.lock} (run r2)")
        with pytest.raises(ContainerlessError, match=refused):
            guest.welcome(host.layout, one, 60)
    assert one.activations() == [1]
