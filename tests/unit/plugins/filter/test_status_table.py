# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.containerless.django.plugins.filter.status_table import FilterModule, status_table

UP = "active (running), 0 restarts"
QUIET: dict[str, Any] = {"problems": [], "draining": [], "under_way": None, "unconfirmed_for": None}
LIVE = {
    **QUIET,
    "release": "2.0-0123456789ab",
    "activation": 3,
    "signed_by": "ann@example.org",
    "running": True,
    "processes": {"web": UP, "worker": UP},
}
NONE = {**QUIET, "release": None, "activation": None, "signed_by": None, "running": False, "processes": {}}
DOWN = {
    **LIVE,
    "running": False,
    "processes": {"web": "failed (failed), 9 restarts", "beat": "activating (auto-restart)"},
}

# name, variables of the host -> cells
ROWS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("live", {"app_release_status": {"app": LIVE}}, ["2.0-0123456789ab", "3", "ann@example.org", "running"]),
    ("never", {"app_release_status": {"app": NONE}}, ["nothing", "-", "-", "-"]),
    ("down", {"app_release_status": {"app": DOWN}}, ["2.0-0123456789ab", "3", "ann@example.org", "DOWN: beat, web"]),
    (
        "cut",
        {"app_release_status": {"app": {**LIVE, "running": False}}},
        ["2.0-0123456789ab", "3", "ann@example.org", "not running"],
    ),
    *(
        (
            word,
            {"app_release_status": {"app": {**LIVE, **known}}},
            ["2.0-0123456789ab", "3", "ann@example.org", f"running; {text}"],
        )
        for word, known, text in (
            ("upgraded", {"problems": ["python3.11 is gone"]}, "WILL NOT START AGAIN"),
            ("waits", {"under_way": "watch", "unconfirmed_for": 42}, "unconfirmed, back in 42 s"),
            ("cut", {"under_way": "start", "unconfirmed_for": 0}, "interrupted at start"),
            ("drains", {"draining": [1, 2]}, "no. 1, 2 draining"),
        )
    ),
    ("away", {}, ["unknown", "-", "-", "not read"]),
    ("failed", {"app_release_status": {"failed": True, "msg": "no"}}, ["unknown", "-", "-", "not read"]),
    ("null", {"app_release_status": None}, ["unknown", "-", "-", "not read"]),
]


@pytest.mark.parametrize(("name", "host", "cells"), ROWS)
def test_row(name: str, host: dict[str, Any], cells: list[str]) -> None:
    _head, line = status_table([{"inventory_hostname": name, **host}])
    assert line.split() == " ".join([name, *cells]).split()


def test_columns_are_aligned_and_no_line_ends_with_a_blank() -> None:
    table = status_table([{"inventory_hostname": name, **host} for name, host, _cells in ROWS])
    assert len(table) == len(ROWS) + 1
    start = table[0].index("release")
    assert {line[start - 1] for line in table} == {" "}
    assert " " not in {line[start] for line in table}
    assert [line for line in table if line != line.rstrip()] == []


def test_no_hosts_are_a_head_line() -> None:
    assert status_table([]) == ["host  release  no.  signed by  state"]


def test_the_filter_has_the_name_of_its_documentation() -> None:
    assert FilterModule().filters() == {"status_table": status_table}
