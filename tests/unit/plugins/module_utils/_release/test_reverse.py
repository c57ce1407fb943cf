# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired
from ansible_collections.containerless.django.plugins.module_utils._release.reverse import reverse
from ansible_collections.containerless.django.plugins.module_utils._release.state import State, Stored

from .host import Host
from .runs import release

NEWER = [("shop", "0002_grow"), ("blog", "0001_initial")]


@pytest.fixture
def target(host: Host, wanted: dict[str, Desired]) -> Stored:
    """Release 1.0 and 2.0 above it; return the older one."""
    for version in ("1.0", "2.0"):
        release(host, wanted[version])
    found = State.read(host.layout).stored(wanted["1.0"].release_id)
    assert found is not None
    return found


def test_each_app_is_taken_back_by_the_live_code_in_its_sandbox(
    host: Host, target: Stored, wanted: dict[str, Desired]
) -> None:
    tree = host.layout.tree(wanted["2.0"].content_id)
    host.calls.clear()
    reverse(host.layout, host, State.read(host.layout), target, NEWER)
    calls = [call for call in host.calls if call[0] == "systemd-run"]
    assert [call[call.index("sh", call.index("--")) + 1 :] for call in calls] == [
        [f"{tree}/venv/bin/python", f"{tree}/app/manage.py", "migrate", app, name, "--noinput"]
        for app, name in (("blog", "zero"), ("shop", "0001_initial"))
    ]
    assert all("--property=NoNewPrivileges=yes" in call and "--pipe" in call for call in calls)


def test_the_first_app_that_fails_ends_it_with_the_last_lines_of_its_output(host: Host, target: Stored) -> None:
    told: list[list[str]] = []

    def fails(argv: list[str]) -> tuple[int, str, str]:
        told.append(argv)
        return 1, "".join(f"line {number}\n" for number in range(20)), "IrreversibleError"

    host.managed = fails
    with pytest.raises(
        ContainerlessError, match=r"^taking back the migrations of blog to zero failed: line 9\n"
    ) as caught:
        reverse(host.layout, host, State.read(host.layout), target, NEWER)
    assert str(caught.value).endswith("line 19\nIrreversibleError")
    assert len(told) == 1


def test_nothing_newer_is_nothing_to_do(host: Host, target: Stored) -> None:
    host.calls.clear()
    reverse(host.layout, host, State.read(host.layout), target, [])
    assert host.calls == []
