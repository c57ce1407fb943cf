# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter sandbox_options: the options of role app_sandbox, checked, as its template takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _sandbox


def sandbox_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template is rendered with."""
    try:
        return _sandbox.options(given)
    except ContainerlessError as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    """Filters of the role app_sandbox."""

    def filters(self) -> dict[str, Any]:
        return {"sandbox_options": sandbox_options}
