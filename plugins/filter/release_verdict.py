# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter release_verdict: whether all hosts of a run took the release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..plugin_utils import _fleet


def release_verdict(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], asked: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return `good` and `why` for the named hosts."""
    return _fleet.verdict({name: hostvars[name] for name in hosts}, asked)


class FilterModule:
    """Filters of the role app_release."""

    def filters(self) -> dict[str, Any]:
        return {"release_verdict": release_verdict}
