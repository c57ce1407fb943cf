# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be served after a cut, by where in the story and in the disk's log it came."""

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.tests.campaigns import cuts
from ansible_collections.containerless.django.tests.campaigns.base import Base

BASE = Base(key="", old="v1", new="v2", kvm=False)
RELEASE = cuts.Film(
    "release",
    tuple(
        cuts.Point("release", number, name, requests)
        for number, (name, requests) in enumerate(
            [
                ("staged/begin", 0),
                ("activated/commit", 10),
                ("activated/commit active", 14),
                ("confirmed/confirm", 20),
                ("confirmed/confirm ledger", 25),
                ("confirmed/finish journal removed", 30),
            ]
        )
    ),
)
ROLLBACK = cuts.Film(
    "rollback",
    (
        cuts.Point("rollback", 0, "rolled_back/commit", 5),
        cuts.Point("rollback", 1, "rolled_back/commit active", 9),
    ),
)


@pytest.mark.parametrize(
    ("film", "number", "wanted"),
    [
        (RELEASE, 0, "v1"),
        (RELEASE, 2, "v1"),
        (RELEASE, 3, "v1"),
        (RELEASE, 4, "v2"),
        (ROLLBACK, 0, "v2"),
        (ROLLBACK, 1, "v1"),
    ],
)
def test_a_release_counts_from_its_confirmation_on_and_a_rollback_from_its_commit(
    film: cuts.Film, number: int, wanted: str
) -> None:
    assert film.wanted(BASE, number) == wanted


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        pytest.param(3, {"v1"}, id="before-anything"),
        pytest.param(13, {"v1"}, id="committed"),
        pytest.param(18, {"v1"}, id="not-yet-confirming"),
        pytest.param(19, {"v1", "v2"}, id="the-ledger-may-be-there"),
        pytest.param(23, {"v1", "v2"}, id="still"),
        pytest.param(24, {"v2"}, id="the-flush-that-confirms"),
        pytest.param(99, {"v2"}, id="long-after"),
    ],
)
def test_between_two_points_either_may_be_served(request_: int, wanted: set[str]) -> None:
    assert RELEASE.wanted_after(BASE, request_) == wanted


def test_machines_boot_around_the_commit_and_the_confirmation() -> None:
    assert cuts.samples(RELEASE, [2, 9, 13, 15, 19, 24, 28, 29]) == [9, 13, 19, 24, 29]
    assert cuts.samples(ROLLBACK, [2, 7, 8, 12]) == [7, 8, 12]


@pytest.mark.parametrize(
    ("name", "step"),
    [("staged/begin", "begin"), ("activated/commit active", "commit"), ("confirmed/confirm #2", "confirm")],
)
def test_a_point_names_the_step_of_the_journal(name: str, step: str) -> None:
    assert cuts.Point("release", 0, name, 0).step == step
