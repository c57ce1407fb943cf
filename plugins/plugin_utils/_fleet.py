# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What several hosts of one run have to agree on: batches, and one verdict for all of them. Pure.

Ansible's own words for failure do not fit: a rescue runs on the hosts that are left, and `serial` leaves the batches
before as they are. So hosts say what happened to them, and each of them reads what all have said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..module_utils._core.errors import ContainerlessError

#: Name of the fact in which a host says how it fared.
FACT = "containerless_verdict"
#: Name of the variable in which the role has what staging said.
STAGED = "__app_release_staged"
_SIZE = re.compile(r"([1-9][0-9]*)(%?)")


def batches(hosts: Sequence[str], sizes: Iterable[Any]) -> list[list[str]]:
    """Split hosts by sizes, a number or a share such as "50%"; the last size repeats. Raises ContainerlessError."""
    given = [_SIZE.fullmatch(str(size)) for size in sizes]
    if not given or None in given:
        raise ContainerlessError('app_release_batches must be numbers or shares of the hosts, such as [1, "50%"]')
    counts = [
        max(1, len(hosts) * int(size[1]) // 100) if size[2] else int(size[1]) for size in given if size is not None
    ]
    made: list[list[str]] = []
    left = list(hosts)
    while left:
        count = counts[min(len(made), len(counts) - 1)]
        made.append(left[:count])
        left = left[count:]
    return made


def verdict(hosts: Mapping[str, Mapping[str, Any]], asked: Iterable[str] | None = None) -> dict[str, Any]:
    """Return {"good": bool, "why": text} for the variables of all hosts of a run.

    Each host has `__app_release_staged`, unless the run has not come to it, and then the fact of its activation; of the
    hosts in `asked` (all of them for None) one that says nothing is a bad one, such as an unreachable one. A host where
    nothing changes has nothing to say.
    """
    asked = list(hosts) if asked is None else list(asked)
    bad: dict[str, str] = {}
    for name, known in hosts.items():
        staged = known.get(STAGED)
        if staged is None:
            continue
        said = (known.get("ansible_facts") or {}).get(FACT) or {}
        if staged.get("failed") or staged.get("unreachable"):
            bad[name] = str(staged.get("msg", "could not be staged"))
        elif staged.get("staged") and said.get("run") == staged.get("run"):
            if not said["good"]:
                bad[name] = said["why"]
        elif staged.get("staged") and name in asked:
            bad[name] = "it did not say that it is live"
    why = "; ".join(f"{name}: {text}" for name, text in sorted(bad.items()))
    return {"good": not bad, "why": why, "bad": sorted(bad)}
