# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a release means for the schema of its database. Pure: the applied set is read elsewhere, in the sandbox."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core.errors import ContainerlessError

#: (app label, migration name)
Migration = tuple[str, str]


def label(migration: Migration) -> str:
    return ".".join(migration)


@dataclass(frozen=True)
class Comparison:
    """Migrations of a manifest against what a database has applied."""

    pending: tuple[Migration, ...]
    risky: tuple[tuple[Migration, str], ...]
    newer: tuple[Migration, ...]
    fresh: bool


def compare(migrations: list[dict[str, t.Any]], applied: t.Iterable[Migration]) -> Comparison:
    """Compare a manifest's migrations with the applied set.

    - pending: not applied. Of a squashed migration and its parts only those count that Django would run (its loader's
      replace_migrations): the parts when some of them are applied, the squashed one when none or all are.
    - risky: pending ones that are not `expand`; none on a fresh database, where no old code runs.
    - newer: applied ones that this artifact does not know.
    """
    done = set(applied)
    left_out = _left_out(migrations, done)
    pending, risky = [], []
    for item in migrations:
        key = (item["app"], item["name"])
        if key in done or key in left_out:
            continue
        pending.append(key)
        if done and item["class"] != "expand":
            risky.append((key, item["class"]))
    newer = sorted(done - known(migrations))
    return Comparison(tuple(pending), tuple(risky), tuple(newer), not done)


def known(migrations: t.Iterable[dict[str, t.Any]]) -> set[Migration]:
    """Return every migration that a manifest names, and those that it squashed."""
    found: set[Migration] = set()
    for item in migrations:
        found.add((item["app"], item["name"]))
        found.update((app, name) for app, name in item["replaces"])
    return found


def _left_out(migrations: list[dict[str, t.Any]], done: set[Migration]) -> set[Migration]:
    """Return the migrations that Django passes over: parts of a squash that it takes, or the squash itself."""
    found: set[Migration] = set()
    for item in migrations:
        parts = {(app, name) for app, name in item["replaces"]}
        key = (item["app"], item["name"])
        if not parts:
            continue
        applied = parts & done
        if key in done or not applied:
            found |= parts
        else:
            # All applied: nothing of either is left to run. Some applied: Django goes on with the parts.
            found.add(key)
    return found


class Refused(ContainerlessError):
    """The schema stands against it; the release itself was not judged."""


def refuse_risky(comparison: Comparison, accept: bool) -> None:
    """Raise when pending migrations would break what is live. `accept` is app_release_migrations=accept."""
    if comparison.risky and not accept:
        named = ", ".join(f"{label(key)} ({kind})" for key, kind in comparison.risky)
        raise Refused(
            f"refused: pending migrations would break the code that is live: {named};"
            " split them into an expanding and a later contracting release, or set app_release_migrations=maintenance"
            " (stop, migrate, start) or =accept (the old code goes on meanwhile)"
        )


def refuse_newer(comparison: Comparison, accept: bool) -> None:
    """Raise when the database is ahead of the release to go back to."""
    if comparison.newer and not accept:
        named = ", ".join(label(key) for key in comparison.newer)
        raise Refused(
            f"refused: the database is ahead of that release, which does not know {named};"
            " set app_release_rollback_accept_newer_schema=true if its code works on this schema, or"
            " app_release_rollback_reverse_migrations=true to take them back"
        )


def refuse_pending(comparison: Comparison) -> None:
    """Raise when the release to go back to needs what was taken back since."""
    if comparison.pending:
        named = ", ".join(label(key) for key in comparison.pending)
        raise Refused(
            f"refused: the database lacks {named}, which that release needs; release it again instead: that migrates"
        )


def refuse_one_way(*, left: list[Migration], more: list[Migration], stuck: list[Migration]) -> None:
    """Raise when `migrate` can't take back what is newer: nothing of it `left`, no `more` with it, none `stuck`."""
    named = {kind: ", ".join(map(label, keys)) for kind, keys in (("left", left), ("more", more), ("stuck", stuck))}
    if more:
        why = f"taking back {named['left']} would take back {named['more']} too, which that release needs"
    elif left:
        why = f"`migrate` of the live release can't take back {named['left']} by itself"
    elif stuck:
        why = f"{named['stuck']} can't be taken back (IrreversibleError)"
    else:
        return
    raise Refused(
        f"refused: {why}; nothing was undone: set app_release_rollback_accept_newer_schema=true and not"
        " app_release_rollback_reverse_migrations if its code works on this schema, or release a version that mends it"
    )
