# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter test_cases: which variant of a version is tested where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _test_cases


def cases(built: Mapping[str, Any], hosts: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return the variants, each with its system and machine, or the problem: a task that asserts says it plainly."""
    index, platforms = dict(built["index"]), built["platforms"]
    if hosts is None:
        return {"cases": _test_cases.on_machines(index, platforms), "problem": ""}
    seen = {one[one["ansible_loop_var"]]: dict(one["host"]) for one in hosts}
    try:
        return {"cases": _test_cases.on_hosts(index, platforms, seen), "problem": ""}
    except ContainerlessError as exc:
        return {"cases": [], "problem": str(exc)}


class FilterModule:
    """Filters of the role app_test."""

    def filters(self) -> dict[str, Any]:
        return {"test_cases": cases}
