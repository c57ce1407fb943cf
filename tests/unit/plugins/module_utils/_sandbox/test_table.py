# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.containerless.django.plugins.module_utils._sandbox import table

KNOWN: dict[str, Any] = {
    "unit": "shop.service",
    "profile": "strict",
    "exposure": "0.2",
    "directives": [
        {"directive": "PrivateTmp", "asked": "yes", "applied": "yes", "inside": "holds"},
        {"directive": "SystemCallFilter", "asked": "@system-service " * 20, "applied": "", "inside": ""},
    ],
    "opt_out": [{"directive": "MemoryDenyWriteExecute", "reason": "old cffi"}],
    "weak": [{"directive": "MemoryMax", "why": "memory.max is not there"}],
    "not_probed": "",
}


def test_a_unit_in_eighty_columns() -> None:
    assert table.lines(KNOWN) == [
        "shop.service: profile strict, exposure 0.2",
        "directive                asked for            systemd applies      from inside",
        "PrivateTmp               yes                  yes                  holds",
        "SystemCallFilter         @system-service @sy~",
        "opted out of MemoryDenyWriteExecute: old cffi",
        "WEAK: MemoryMax: memory.max is not there",
    ]


def test_no_line_is_longer() -> None:
    lines = table.lines({**KNOWN, "unit": "x" * 200, "not_probed": "y" * 200})
    assert max(map(len, lines)) == 80
    assert lines[-1].startswith("not looked at from inside: yyy")
