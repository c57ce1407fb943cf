# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter unknown_variables: names that look like options of our roles and are none, each with the nearest real one.

Argument specs check what they know; a misspelled optional variable would pass them in silence.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable
from pathlib import Path

import yaml

_ROLES = Path(__file__).parents[2] / "roles"


@functools.cache
def _known() -> frozenset[str]:
    """Return every variable of every role: argument specs, defaults, and what a role registers."""
    found: set[str] = set()
    for role in _ROLES.iterdir():
        specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text("utf-8"))["argument_specs"]
        for entry in specs.values():
            found.update(entry.get("options") or {})
        found.update(yaml.safe_load((role / "defaults/main.yml").read_text("utf-8")) or {})
        for tasks in (role / "tasks").glob("*.yml"):
            found.update(re.findall(r"register: (app_\w+)", tasks.read_text("utf-8")))
    return frozenset(found)


def unknown_variables(names: Iterable[str]) -> list[str]:
    """Return a text for each unknown name of ours, such as "app_release_drian (did you mean app_release_drain?)"."""
    roles = "|".join(sorted(role.name for role in _ROLES.iterdir()))
    ours = {name for name in names if re.match(rf"({roles})_", name)}
    # What app_machine tells about a host stands in the inventory that it writes.
    unknown = sorted(name for name in ours - _known() if not re.match(r"app_machine_(http|ssh|facts)$", name))
    return [f"{name}{_nearest(name)}" for name in unknown]


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, sorted(_known()), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


class FilterModule:
    """Filters of the playbooks' first play."""

    def filters(self) -> dict[str, object]:
        return {"unknown_variables": unknown_variables}
