# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.containerless.django.plugins.filter.release_batches import FilterModule as Batches
from ansible_collections.containerless.django.plugins.filter.release_verdict import FilterModule as Verdict
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _fleet

# hosts, sizes -> sizes of the batches
BATCHES: list[tuple[int, list[Any], list[int]]] = [
    (0, [1], []),
    (1, [5], [1]),
    (5, [1], [1, 1, 1, 1, 1]),
    (5, [2], [2, 2, 1]),
    (5, ["2"], [2, 2, 1]),
    (5, [1, 2], [1, 2, 2]),
    (5, ["100%"], [5]),
    (5, ["200%"], [5]),
    (4, ["50%"], [2, 2]),
    (5, ["50%"], [2, 2, 1]),
    (5, ["1%"], [1, 1, 1, 1, 1]),
    (10, [1, "25%", "100%"], [1, 2, 7]),
    (10, [1, "30%"], [1, 3, 3, 3]),
]


@pytest.mark.parametrize(("number", "sizes", "batches"), BATCHES)
def test_batches(number: int, sizes: list[Any], batches: list[int]) -> None:
    hosts = [f"h{number}" for number in range(number)]
    made = _fleet.batches(hosts, sizes)
    assert [len(batch) for batch in made] == batches
    assert [host for batch in made for host in batch] == hosts
    assert Batches().filters()["release_batches"](hosts, sizes) == made


@pytest.mark.parametrize("sizes", [[], [0], [-1], ["0%"], ["half"], ["5 %"], [1, ""], [None], [True], [1.5], ["1\n"]])
def test_sizes_that_are_none_are_refused_by_their_option(sizes: list[Any]) -> None:
    with pytest.raises(ContainerlessError, match="app_release_batches"):
        _fleet.batches(["h"], sizes)
    with pytest.raises(AnsibleFilterError, match="app_release_batches"):
        Batches().filters()["release_batches"](["h"], sizes)


def known(staged: dict[str, Any] | None = None, **said: Any) -> dict[str, Any]:
    """Return the variables of a host: what its stage gave, and what it said of its activation."""
    found: dict[str, Any] = {"inventory_hostname": "h"}
    if staged is not None:
        found["__app_release_staged"] = staged
    if said:
        found["ansible_facts"] = {_fleet.FACT: {"why": "", "evidence": {}, **said}}
    return found


STAGED = {"staged": True, "run": "r1", "changed": True}
NEW: dict[str, Any] = known()
IDLE = known({"changed": False})
FAILED = known({"failed": True, "msg": "not enough disk"})
AWAY = known({"unreachable": True, "msg": "no route"})
WAITS = known(STAGED)
GOOD = known(STAGED, run="r1", good=True)
BAD = known(STAGED, run="r1", good=False, why="answered 500")
OLD = known(STAGED, run="r0", good=False, why="long ago")
EMPTY = {**WAITS, "ansible_facts": None}

# hosts, who was asked (None: all) -> who is bad
VERDICTS: list[tuple[dict[str, dict[str, Any]], list[str] | None, list[str]]] = [
    ({}, None, []),
    ({"a": GOOD}, None, []),
    ({"a": GOOD, "b": GOOD}, None, []),
    ({"a": GOOD, "b": BAD}, None, ["b"]),
    ({"b": BAD, "a": BAD}, None, ["a", "b"]),
    # nothing changes there, or the run has not come to it
    ({"a": GOOD, "b": IDLE, "c": NEW}, None, []),
    # the first batch is asked before anybody answered
    ({"a": WAITS, "b": WAITS}, [], []),
    ({"a": GOOD, "b": WAITS}, ["a"], []),
    ({"a": GOOD, "b": WAITS}, ["a", "b"], ["b"]),
    ({"a": GOOD, "b": WAITS}, None, ["b"]),
    ({"a": GOOD, "b": EMPTY}, None, ["b"]),
    # a bad word counts whoever was asked
    ({"a": GOOD, "b": BAD}, ["a"], ["b"]),
    # what it said in another run is no answer
    ({"a": OLD}, None, ["a"]),
    ({"a": OLD, "b": GOOD}, ["b"], []),
    # one that could not be staged stops all, also before the first batch
    ({"a": WAITS, "b": FAILED}, [], ["b"]),
    ({"a": GOOD, "b": AWAY}, None, ["b"]),
]


@pytest.mark.parametrize(("hosts", "asked", "bad"), VERDICTS)
def test_verdict(hosts: dict[str, dict[str, Any]], asked: list[str] | None, bad: list[str]) -> None:
    found = _fleet.verdict(hosts, asked)
    assert (found["good"], found["bad"]) == (not bad, bad)
    assert [part.split(": ")[0] for part in found["why"].split("; ") if part] == bad
    others = {**hosts, "z": BAD}
    assert Verdict().filters()["release_verdict"](list(hosts), others, asked) == found


def test_a_verdict_says_what_each_host_said() -> None:
    hosts = {"d": FAILED, "c": AWAY, "b": BAD, "a": WAITS, "e": known({"failed": True})}
    assert _fleet.verdict(hosts)["why"] == (
        "a: it did not say that it is live; b: answered 500; c: no route; d: not enough disk; e: could not be staged"
    )
