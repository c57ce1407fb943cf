# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release import ledger, retention
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired
from ansible_collections.containerless.django.plugins.module_utils._release.ledger import Entry
from ansible_collections.containerless.django.plugins.module_utils._release.state import State

from .host import Artifact, Host, desired
from .runs import assert_whole, engine, go_on, release, rollback, stage


def written(events: str) -> list[Entry]:
    """Return the ledger of words such as `a:good`: release a, each word of another activation, its tree named alike.

    `a1` and `a2` are releases of the same tree; `back` is good by a rollback, which closes the one before it.
    """
    entries: list[Entry] = []

    def add(number: int, name: str, state: str) -> None:
        entries.append(
            ledger.append(
                entries,
                time="2026-11-22T12:00:00Z",
                state=state,
                activation=number,
                release=f"{name}-0123456789ab",
                content_id=name[0] * 64,
                run="r1",
                who="ops",
                why="",
            )
        )

    before = ""
    for number, word in enumerate(events.split(), start=1):
        name, state = word.split(":")
        for event in ("staged", "active", "good") if state in ("good", "back") else ("staged", state):
            add(number, name, event)
        if state == "back":
            add(number - 1, before, "rolled_back")
        before = name
    return entries


# ledger, active activation, keep, pinned -> what stays
KEPT = [
    ("", None, 5, "", ""),
    ("a:good", 1, 1, "", "a"),
    ("a:good b:good c:good d:good", 4, 1, "", "c d"),
    ("a:good b:good c:good d:good", 4, 2, "", "c d"),
    ("a:good b:good c:good d:good", 4, 3, "", "b c d"),
    ("a:good b:good c:good d:good", 4, 9, "", "a b c d"),
    ("a:good b:good c:good d:good", 4, 1, "a", "a c d"),
    # those that failed or were never judged take no place and stay not
    ("a:good b:failed c:good d:failed e:refused f:staged", 3, 1, "", "a c"),
    ("a:good b:failed", 1, 2, "b", "a"),
    # one tree is one place, whatever configurations it had
    ("a:good b1:good b2:good b3:good c:good", 5, 2, "", "b1 b2 b3 c"),
    ("a:good b1:good c1:good c2:good", 4, 2, "", "b1 c1 c2"),
    # after a rollback: what is live, what is before it, and the newest ones
    ("a:good b:good c:good b:back", 4, 1, "", "a b"),
    ("a:good b:good c:good b:back", 4, 2, "", "a b c"),
    # what was released once more: what was live before it stays
    ("a:good b:good c:good b:good", 4, 1, "", "b c"),
    # what is live was never called good
    ("a:good b:good c:active", 3, 1, "", "b c"),
    # nothing is live any more
    ("a:good b:good", None, 1, "", "b"),
]


@pytest.mark.parametrize("case", KEPT, ids=range(len(KEPT)))
def test_kept(case: tuple[str, int | None, int, str, str]) -> None:
    events, active, keep, pinned, stays = case
    entries = written(events)
    named = {f"{name}-0123456789ab" for name in pinned.split()}
    assert retention.kept(entries, active, keep, named) == {f"{name}-0123456789ab" for name in stays.split()}


PLACES = ("trees", "served", "releases", "snapshots", "static")
VERSIONS = ("1.0", "2.0", "3.0")


@pytest.fixture
def three(host: Host, wanted: dict[str, Desired]) -> dict[str, Desired]:
    """Release three versions; the last one is live."""
    for version in VERSIONS:
        release(host, wanted[version], migrations="accept", keep=1)
        host.drain()
    return wanted


def there(host: Host) -> dict[str, set[str]]:
    """Return the versions of which something is there, by place."""
    layout = host.layout
    trees = {}
    for name in os.listdir(layout.trees):
        path = Path(layout.trees, name, "app/manage.py")
        trees[name] = path.read_text("utf-8") if path.exists() else "half"
    served = os.listdir(f"{layout.srv}/served")
    return {
        "trees": set(trees.values()),
        "served": {trees.get(name, "left") for name in served},
        "releases": {name.split("-")[0] for name in os.listdir(layout.etc) if "-" in name},
        "snapshots": {name.split("-")[0] for name in os.listdir(f"{layout.etc}/snapshots")},
        "static": {name[:-4] for name in os.listdir(layout.static) if name != "site.css"},
    }


def prune(host: Host, **policy: t.Any) -> list[str]:
    one = engine(host, **policy)
    with one.locked():
        foreseen = one.prunable()
        gone = one.prune()
    assert foreseen == [name for name in gone if "-" in name]
    return gone


def test_a_release_that_is_not_kept_goes_with_all_that_it_had(host: Host, three: dict[str, Desired]) -> None:
    assert set(there(host)["trees"]) == set(VERSIONS)
    assert prune(host) == sorted([three["1.0"].release_id, three["1.0"].content_id])
    assert there(host) == {place: {"2.0", "3.0"} for place in PLACES}
    assert prune(host) == []
    assert rollback(host, accept_newer_schema=True).release == three["2.0"].release_id
    assert_whole(host, three["2.0"].release_id)


def test_what_is_pinned_stays(host: Host, three: dict[str, Desired]) -> None:
    state = State.read(host.layout)
    state.write_host_options(pinned=[three["1.0"].release_id])
    assert prune(host) == []
    state.write_host_options(pinned=[])
    assert three["1.0"].release_id in prune(host)


def test_a_tree_stays_as_long_as_a_release_of_it_does(
    host: Host, three: dict[str, Desired], artifacts: dict[str, Artifact], group: str
) -> None:
    other = desired(artifacts["2.0"], group, env={"A": "1"})
    for one in (other, three["2.0"], three["3.0"]):
        release(host, one, keep=1, migrations="accept")
    host.drain()
    gone = prune(host)
    assert other.release_id in gone
    assert other.content_id not in gone
    assert other.content_id in os.listdir(host.layout.trees)
    assert_whole(host, three["3.0"].release_id)


def test_what_is_under_way_and_what_it_may_go_back_to_stay(host: Host, three: dict[str, Desired]) -> None:
    stage(host, three["1.0"], keep=1)
    for verb in ("hold", "activate"):
        go_on(host, verb)
        one = engine(host, run="r0")
        with one.locked():
            one.prune()
        assert there(host)["trees"] >= {"1.0", "3.0"}
    go_on(host, "confirm")
    assert_whole(host, three["1.0"].release_id)


def test_what_still_answers_stays(host: Host, three: dict[str, Desired]) -> None:
    host.later.clear()
    release(host, three["1.0"], keep=1, drain=3600)
    release(host, three["3.0"], keep=1, drain=3600)
    release(host, three["1.0"], keep=1, drain=3600)
    release(host, three["2.0"], migrations="accept", keep=1, drain=3600)
    prune(host)
    assert there(host)["trees"] == set(VERSIONS)
    host.drain()
    prune(host)
    assert there(host)["trees"] == {"1.0", "2.0"}


@pytest.mark.parametrize("function", ["rmtree", "rename"])
def test_a_crash_anywhere_leaves_no_half_tree_and_the_next_run_takes_the_rest(
    host: Host, three: dict[str, Desired], monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    place: t.Any = shutil if function == "rmtree" else os
    real, left = getattr(place, function), [0]

    def cut(path: str, *args: t.Any, **more: t.Any) -> None:
        left[0] -= 1
        if not left[0] and function == "rmtree":
            # As far as a process comes: one file of it is gone.
            name = next(os.path.join(folder, names[0]) for folder, _, names in os.walk(path) if names)
            os.unlink(name)
        if not left[0]:
            raise KeyboardInterrupt
        real(path, *args, **more)

    spare = f"{host.layout.root}/spare"
    copied = [host.layout.srv, host.layout.etc]
    for folder in copied:
        shutil.copytree(folder, f"{spare}/{os.path.basename(os.path.dirname(os.path.dirname(folder)))}", symlinks=True)
    crashes = 0
    for at in range(1, 20):
        left[0] = at
        with monkeypatch.context() as patched:
            patched.setattr(place, function, cut)
            try:
                prune(host)
            except KeyboardInterrupt:
                crashes += 1
            else:
                break
        whole = {name for name in os.listdir(host.layout.trees) if not name.startswith(".")}
        assert {three["2.0"].content_id, three["3.0"].content_id} <= whole
        for name in whole:
            assert os.path.exists(f"{host.layout.tree(name)}/app/manage.py")
        prune(host)
        assert there(host) == {place: {"2.0", "3.0"} for place in PLACES}
        for folder in copied:
            shutil.rmtree(folder)
            shutil.copytree(
                f"{spare}/{os.path.basename(os.path.dirname(os.path.dirname(folder)))}", folder, symlinks=True
            )
    assert crashes == (4 if function == "rmtree" else 1)
    assert_whole(host, three["3.0"].release_id)
