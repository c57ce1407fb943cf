# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter test_cases: which variant of a version is tested where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _test_cases


def cases(built: Mapping[str, Any], hosts: Sequence[Mapping[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Return the variants, each with its system and machine."""
    index, platforms = dict(built["index"]), built["platforms"]
    if hosts is None:
        return _test_cases.on_machines(index, platforms)
    try:
        return _test_cases.on_hosts(
            index, platforms, {seen[seen["ansible_loop_var"]]: dict(seen["host"]) for seen in hosts}
        )
    except ContainerlessError as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    """Filters of the role app_test."""

    def filters(self) -> dict[str, Any]:
        return {"test_cases": cases}
