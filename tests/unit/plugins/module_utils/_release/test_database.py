# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release import database


def migration(name: str, kind: str = "expand", *replaces: str) -> dict[str, t.Any]:
    return {"app": "shop", "name": name, "replaces": [["shop", replaced] for replaced in replaces], "class": kind}


ONE, TWO = migration("1"), migration("2", "breaking")
SQUASH = migration("1_squashed_2", "unknown", "1", "2")

# what it is, migrations of the manifest, applied -> pending, risky, newer
COMPARISONS: list[tuple[str, list[dict[str, t.Any]], str, str, str, str]] = [
    ("nothing known, nothing applied", [], "", "", "", ""),
    ("a fresh database takes everything", [ONE, TWO], "", "1 2", "", ""),
    ("all applied", [ONE, TWO], "1 2", "", "", ""),
    ("a breaking one is pending", [ONE, TWO], "1", "2", "2", ""),
    ("an unknown one is as bad", [ONE, migration("2", "unknown")], "1", "2", "2", ""),
    ("an expanding one is not", [ONE, migration("2")], "1", "2", "", ""),
    ("the database is ahead", [ONE], "1 2", "", "", "2"),
    ("both ways at once", [ONE, migration("3")], "1 2", "3", "", "2"),
    ("only a squash is shipped, its parts are applied", [SQUASH], "1 2", "", "", ""),
    ("only a squash is shipped, it is applied", [SQUASH], "1 2 1_squashed_2", "", "", ""),
    ("only a squash is shipped, on a fresh database", [SQUASH], "", "1_squashed_2", "", ""),
    ("squash and parts, parts applied", [ONE, TWO, SQUASH], "1 2", "", "", ""),
    ("squash and parts, all applied", [ONE, TWO, SQUASH], "1 2 1_squashed_2", "", "", ""),
    ("an old artifact that knows only the parts", [ONE, TWO], "1 2 1_squashed_2", "", "", "1_squashed_2"),
]
SQUASHES = [
    ("Django goes on with the parts", [ONE, TWO, SQUASH], "1", "2", "2", ""),
    ("Django leaves the parts out", [ONE, TWO, SQUASH, migration("3")], "", "1_squashed_2 3", "", ""),
]


def names(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(("shop", name) for name in text.split())


@pytest.mark.parametrize(
    ("migrations", "applied", "pending", "risky", "newer"),
    [pytest.param(*row, id=what) for what, *row in COMPARISONS + SQUASHES],
)
def test_compare(migrations: list[dict[str, t.Any]], applied: str, pending: str, risky: str, newer: str) -> None:
    found = database.compare(migrations, names(applied))
    assert found.pending == names(pending)
    assert tuple(key for key, _kind in found.risky) == names(risky)
    assert found.newer == names(newer)
    assert found.fresh == (not applied)


def test_the_same_name_in_another_app_is_another_migration() -> None:
    found = database.compare([{**ONE, "app": "store"}], [("shop", "1")])
    assert (found.pending, found.newer) == ((("store", "1"),), (("shop", "1"),))


def test_a_refusal_names_migration_class_and_option() -> None:
    found = database.compare([ONE, TWO], names("1"))
    with pytest.raises(ContainerlessError, match=r"shop\.2 \(breaking\).*app_release_migrations=maintenance .*=accept"):
        database.refuse_risky(found, accept=False)
    database.refuse_risky(found, accept=True)
    database.refuse_risky(database.compare([ONE, TWO], []), accept=False)


def test_a_database_that_is_ahead_is_refused_by_name() -> None:
    found = database.compare([ONE], names("1 2"))
    with pytest.raises(ContainerlessError, match=r"does not know shop\.2;.*app_release_rollback_accept_newer_schema"):
        database.refuse_newer(found, accept=False)
    database.refuse_newer(found, accept=True)
    database.refuse_newer(database.compare([ONE, TWO], names("1")), accept=False)


def test_a_database_that_is_behind_is_refused_by_name() -> None:
    database.refuse_pending(database.compare([migration("0001")], names("0001")))
    with pytest.raises(database.Refused, match=r"the database lacks shop\.0002"):
        database.refuse_pending(database.compare([migration("0001"), migration("0002")], names("0001")))
