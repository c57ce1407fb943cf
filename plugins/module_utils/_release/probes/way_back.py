# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print by which calls of `migrate` Django takes given migrations back and nothing else. Changes nothing.

Argument: [[app, name], ...]. Answer:
{"calls": [[app, name or "zero"], ...], "left": those that no call takes back alone, "more": what would go with those,
"stuck": those that have no way back}

Runs in the environment of the code that knows them: its graph decides, and names of migrations tell no order. Handed
over as text, so it holds neither of the two characters that systemd-run may read otherwise.
"""

from __future__ import annotations

import json
import os
import sys
import typing as t

#: (app, name), and what `migrate` goes back to: None is before all of the app.
Key = tuple[str, str]
Target = tuple[str, t.Optional[str]]


def way_back(executor: t.Any, wanted: set[Key]) -> dict[str, list[t.Any]]:
    """Ask the executor of the database for its plan of each call, which is the one that `migrate` goes by."""
    recorded = set(executor.recorder.applied_migrations())
    calls: list[Target] = []
    planned: list[t.Any] = []
    more: set[Key] = set()
    for target in _targets(executor.loader, wanted):
        # Each after those before it.
        plan = [migration for migration, _backwards in executor.migration_plan([*calls, target])]
        also = (_keys(plan) & recorded) - wanted
        if also:
            more |= also
        elif len(plan) > len(planned):
            calls.append(target)
            planned = plan
    left = wanted - _keys(planned)
    stuck = {(one.app_label, one.name) for one in planned if not all(step.reversible for step in one.operations)}
    return {
        "calls": [[app, name or "zero"] for app, name in calls],
        "left": sorted(map(list, left)),
        "more": sorted(map(list, more)) if left else [],
        "stuck": sorted(map(list, stuck)),
    }


def _keys(plan: list[t.Any]) -> set[Key]:
    """Return what Django calls unapplied after a plan: of a squashed migration, all that it replaces."""
    own: set[Key] = {(one.app_label, one.name) for one in plan}
    return own | {(app, name) for one in plan for app, name in one.replaces}


def _targets(loader: t.Any, wanted: set[Key]) -> t.Iterator[Target]:
    """Yield what stays applied right below the wanted ones, app by app."""
    for key in sorted(wanted & set(loader.graph.nodes)):
        below = sorted(node.key for node in loader.graph.node_map[key].parents if node.key[0] == key[0])
        if not below:
            yield key[0], None
        for app, name in below:
            # `migrate` takes the beginning of a name for the name, and refuses one that is the beginning of two.
            meant = [known for known in loader.disk_migrations if known[0] == app and known[1].startswith(name)]
            if (app, name) not in wanted and (app, name) in loader.applied_migrations and len(meant) == 1:
                yield app, name


def main() -> None:
    # Settings may print, and the answer stands alone.
    answer, sys.stdout = sys.stdout, sys.stderr
    sys.path.insert(0, os.getcwd())
    import django
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    django.setup()
    wanted: set[Key] = {(app, name) for app, name in json.loads(sys.argv[1])}
    json.dump(way_back(MigrationExecutor(connection), wanted), answer)


if __name__ == "__main__":
    main()
