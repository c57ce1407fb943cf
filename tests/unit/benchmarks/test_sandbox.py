# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.tests.benchmarks.sandbox import KINDS, without

DROP_IN = """\
[Service]
PrivateUsers=yes
ExecPaths=/usr
# PrivateUsers= is a comment here.
MemoryMax=512M
MemoryDenyWriteExecute=yes
SystemCallFilter=~@privileged
"""


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        ("mounts", ["ExecPaths=/usr"]),
        ("filters of calls", ["MemoryDenyWriteExecute=yes", "SystemCallFilter=~@privileged"]),
        ("user and network", ["PrivateUsers=yes"]),
        ("control group", ["MemoryMax=512M"]),
    ],
)
def test_a_kind_of_directives_is_left_out_and_nothing_else(kind: str, gone: list[str]) -> None:
    kept = without(DROP_IN, KINDS[kind]).splitlines()
    assert [line for line in DROP_IN.splitlines() if line not in kept] == gone
