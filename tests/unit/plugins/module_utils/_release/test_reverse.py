# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release import database, reverse
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired
from ansible_collections.containerless.django.plugins.module_utils._release.state import State

from .host import Host
from .runs import release

NEWER = [("shop", "0002_grow"), ("blog", "0001_initial")]
CALLS = [("blog", "zero"), ("shop", "0001_initial")]


@pytest.fixture(autouse=True)
def _released(host: Host, wanted: dict[str, Desired]) -> None:
    """Release 1.0 and 2.0 above it."""
    for version in ("1.0", "2.0"):
        release(host, wanted[version])
    host.applied = [("blog", "0001_initial"), *(host.applied or [])]
    host.calls.clear()


def plan(host: Host, newer: list[database.Migration]) -> list[database.Migration]:
    return reverse.plan(host.layout, host, State.read(host.layout), newer)


def test_the_live_code_is_asked_in_its_sandbox_for_the_way_back(host: Host, wanted: dict[str, Desired]) -> None:
    assert plan(host, NEWER) == CALLS
    (call,) = host.calls
    command = call[call.index("--") + 1 :]
    assert command[:2] == [f"{host.layout.tree(wanted['2.0'].content_id)}/venv/bin/python", "-c"]
    assert "--property=NoNewPrivileges=yes" in call
    assert "--pipe" in call


def test_each_call_is_done_by_the_live_code_in_its_sandbox(host: Host, wanted: dict[str, Desired]) -> None:
    tree = host.layout.tree(wanted["2.0"].content_id)
    reverse.reverse(host.layout, host, State.read(host.layout), CALLS)
    assert [call[call.index("sh", call.index("--")) + 1 :] for call in host.calls] == [
        [f"{tree}/venv/bin/python", f"{tree}/app/manage.py", "migrate", app, name, "--noinput"] for app, name in CALLS
    ]
    assert all("--property=NoNewPrivileges=yes" in call and "--pipe" in call for call in host.calls)


def test_the_first_call_that_fails_ends_it_with_the_last_lines_of_its_output(host: Host) -> None:
    told: list[list[str]] = []

    def fails(argv: list[str]) -> tuple[int, str, str]:
        told.append(argv)
        return 1, "".join(f"line {number}\n" for number in range(20)), "IrreversibleError"

    host.managed = fails
    with pytest.raises(
        ContainerlessError, match=r"^taking back the migrations of blog to zero failed: line 9\n"
    ) as caught:
        reverse.reverse(host.layout, host, State.read(host.layout), CALLS)
    assert str(caught.value).endswith("line 19\nIrreversibleError")
    assert len(told) == 1


def test_what_the_old_release_needs_is_not_taken_back_with_it(host: Host) -> None:
    with pytest.raises(
        database.Refused,
        match=r"taking back shop\.0001_initial would take back shop\.0002_grow too, which that release",
    ):
        plan(host, [("shop", "0001_initial")])


# what the live code's Django says -> words
NO_WAY_BACK = [
    ({"left": [("shop", "x")]}, r"can't take back shop\.x by itself; nothing was undone: set app_release_rollback_acc"),
    ({"calls": [("shop", "1")], "stuck": [("shop", "y")]}, r"shop\.y can't be taken back \(IrreversibleError\); noth"),
]


@pytest.mark.parametrize(("said", "words"), NO_WAY_BACK)
def test_what_has_no_way_back_is_refused_by_name(
    host: Host, said: dict[str, list[database.Migration]], words: str
) -> None:
    host.way_back = lambda _wanted: {"calls": [], "left": [], "more": [], "stuck": [], **said}
    with pytest.raises(database.Refused, match=words):
        plan(host, NEWER)


@pytest.mark.parametrize(("rc", "why"), [(1, "failed"), (0, "gave no answer")])
def test_a_live_code_that_can_not_be_asked_is_no_way_back(
    host: Host, rc: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_script", lambda _command: (rc, "", "no database"))
    with pytest.raises(ContainerlessError, match=f"takes migrations back {why}: no database$"):
        plan(host, NEWER)
