# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import InvalidDocument
from ansible_collections.containerless.django.plugins.module_utils._release import ledger

from ..documents import SHA


def write(*events: tuple[int, str, str]) -> list[ledger.Entry]:
    entries: list[ledger.Entry] = []
    for activation, release, state in events:
        entries.append(
            ledger.append(
                entries,
                time="2026-11-22T12:00:00Z",
                state=state,
                activation=activation,
                release=f"{release}-0123456789ab",
                content_id=SHA,
                run="r1",
                who="ops",
                why="",
            )
        )
    return entries


def data(entries: list[ledger.Entry]) -> bytes:
    return b"".join(entry.line() for entry in entries)


def shipped(activation: int, release: str, *then: str) -> list[tuple[int, str, str]]:
    return [(activation, release, state) for state in ("staged", "active", *then)]


def back(activation: int, release: str, left: tuple[int, str]) -> list[tuple[int, str, str]]:
    """A rollback, in the order of its lines."""
    return [*shipped(activation, release, "good"), (*left, "rolled_back")]


STORY = write(*shipped(1, "v1", "good"), *shipped(2, "v2", "good"), *shipped(3, "v3", "failed"))


def test_what_was_written_is_read_back() -> None:
    entries, good = ledger.parse(data(STORY))
    assert entries == STORY
    assert good == len(data(STORY))


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_torn_last_line_is_not_counted(cut: int) -> None:
    whole = data(STORY)
    entries, good = ledger.parse(whole[:-cut])
    assert entries == STORY[:-1]
    assert good == len(data(STORY[:-1]))


@pytest.mark.parametrize("line", range(len(STORY) - 1))
def test_an_edited_or_removed_line_is_noticed(line: int) -> None:
    lines = data(STORY).splitlines(keepends=True)
    edited = lines[line].replace(b'"who":"ops"', b'"who":"eve"')
    with pytest.raises(InvalidDocument, match="ledger line"):
        ledger.parse(b"".join([*lines[:line], edited, *lines[line + 1 :]]))
    with pytest.raises(InvalidDocument, match="ledger line"):
        ledger.parse(b"".join(lines[:line] + lines[line + 1 :]))


def test_a_cut_ledger_has_another_head() -> None:
    assert ledger.head(STORY) != ledger.head(STORY[:-1])
    assert ledger.head([]) == ledger.GENESIS


def test_activations_are_counted_on() -> None:
    assert ledger.next_activation([]) == 1
    assert ledger.next_activation(STORY) == 4


TARGETS = [
    # story, active, expected release of the target
    ([], 1, None),
    (shipped(1, "v1", "good"), 1, None),
    (shipped(1, "v1", "good") + shipped(2, "v2", "good"), 2, "v1"),
    (shipped(1, "v1", "good") + shipped(2, "v2", "good") + shipped(3, "v3", "failed"), 2, "v1"),
    (shipped(1, "v1", "failed") + shipped(2, "v2", "good"), 2, None),
    (shipped(1, "v1", "good") + shipped(2, "v2", "rolled_back") + shipped(3, "v3", "good"), 3, "v1"),
    # a second rollback goes further back, never forward to what was left
    (
        shipped(1, "v1", "good") + shipped(2, "v2", "good") + shipped(3, "v3", "good") + back(4, "v2", (3, "v3")),
        4,
        "v1",
    ),
    (
        shipped(1, "v1", "good") + shipped(2, "v2", "good") + shipped(3, "v3", "good") + back(4, "v1", (3, "v3")),
        4,
        None,
    ),
    # and other secrets of what it went back to open no way forward
    (
        shipped(1, "v1", "good")
        + shipped(2, "v2", "good")
        + shipped(3, "v3", "good")
        + back(4, "v1", (3, "v3"))
        + shipped(5, "v1", "good"),
        5,
        None,
    ),
    # what was released once more is what was live before
    (
        shipped(1, "v1", "good") + shipped(2, "v2", "good") + shipped(3, "v1", "good") + shipped(4, "v3", "good"),
        4,
        "v1",
    ),
    (
        shipped(1, "v1", "good")
        + shipped(2, "v2", "good")
        + shipped(3, "v1", "good")
        + shipped(4, "v3", "good")
        + back(5, "v1", (4, "v3")),
        5,
        "v2",
    ),
    # one that nobody confirmed is taken back, which is no rollback of what was good
    (
        shipped(1, "v1", "good")
        + shipped(2, "v2", "good")
        + shipped(3, "v1", "good")
        + shipped(4, "v3", "rolled_back")
        + shipped(5, "v4", "good"),
        5,
        "v1",
    ),
    # a later start that failed (a wrong secret) does not take away that it was good
    (shipped(1, "v1", "good") + shipped(2, "v1", "failed") + shipped(3, "v2", "good"), 3, "v1"),
    # the same release activated twice (a rotated secret) is one place in the order
    (shipped(1, "v1", "good") + shipped(2, "v2", "good") + shipped(3, "v2", "good"), 3, "v1"),
    # left by a rollback, shipped again and good again: a target again
    (
        shipped(1, "v1", "good")
        + shipped(2, "v2", "good")
        + back(3, "v1", (2, "v2"))
        + shipped(4, "v2", "good")
        + shipped(5, "v3", "good"),
        5,
        "v2",
    ),
]


@pytest.mark.parametrize(("story", "active", "expected"), TARGETS)
def test_rollback_target(story: list[tuple[int, str, str]], active: int, expected: str | None) -> None:
    target = ledger.rollback_target(write(*story), active)
    assert (target.release if target else None) == (f"{expected}-0123456789ab" if expected else None)


def test_what_came_after_a_release_was_good_for_the_last_time() -> None:
    entries = write(*shipped(1, "a", "good"), *shipped(2, "b", "good"), *shipped(3, "a", "good"), *shipped(4, "c"))
    a, b, c = (f"{name}-0123456789ab" for name in "abc")
    assert [ledger.since_good(entries, release) for release in (a, b, c)] == [{c}, {a, c}, {a, b, c}]
