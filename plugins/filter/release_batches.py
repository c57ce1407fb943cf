# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter release_batches: which hosts get a release one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _fleet


def release_batches(hosts: Sequence[str], sizes: Sequence[Any]) -> list[list[str]]:
    """Return the hosts in batches."""
    try:
        return _fleet.batches(hosts, sizes)
    except ContainerlessError as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    """Filters of the role app_release."""

    def filters(self) -> dict[str, Any]:
        return {"release_batches": release_batches}
