# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is tested where: each variant of a version on a machine of its own, or on the hosts that somebody gives."""

from __future__ import annotations

import typing as t

from ..module_utils._artifact import identity
from ..module_utils._core.errors import ContainerlessError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Document = dict[str, t.Any]
Case = dict[str, t.Any]


def on_machines(index: Document, platforms: Mapping[str, str]) -> list[Case]:
    """Return each variant with its platform and the name of a machine that is made for it."""
    return [
        {**variant, "platform": platforms[variant["content_id"]], "machine": f"test-{variant['content_id'][:8]}"}
        for variant in index["variants"]
    ]


def on_hosts(index: Document, platforms: Mapping[str, str], hosts: Mapping[str, Document]) -> list[Case]:
    """Return variants with the host that each is tested on: the first of those with the same system.

    `hosts` are what release_info says of them. Raises for a host that no variant fits, and a variant that fits none.
    """
    cases: dict[tuple[str, str], Case] = {}
    for name, host in hosts.items():
        try:
            variant = identity.choose_variant(index, host)
        except ContainerlessError as exc:
            raise ContainerlessError(f"app_test_hosts names {name} ({host['platform']}): {exc}") from None
        case = {**variant, "platform": host["platform"], "machine": name}
        cases.setdefault((variant["content_id"], host["platform"]), case)
    tested = {content_id for content_id, _platform in cases}
    left = [variant for variant in index["variants"] if variant["content_id"] not in tested]
    if left:
        wanted = ", ".join(f"{platforms[variant['content_id']]} ({variant['soabi']})" for variant in left)
        raise ContainerlessError(
            f"app_test_hosts names no host for the variant {wanted} of {index['project']} {index['version']};"
            " add one, or build fewer platforms (app_build_platforms)"
        )
    return list(cases.values())
