# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter status_table: what runs where, as lines of a table for a person."""

from __future__ import annotations

from typing import Any


def _row(host: dict[str, Any]) -> tuple[str, ...]:
    app = host["app_release_status"]["app"]
    down = sorted(name for name, shown in app["processes"].items() if not shown.startswith("active"))
    state = (
        "running"
        if app["running"]
        else f"DOWN: {', '.join(down)}"
        if down
        else "not running"
        if app["release"]
        else "-"
    )
    signed_by = app["signed_by"] or "-"
    return (host["inventory_hostname"], app["release"] or "nothing", str(app["activation"] or "-"), signed_by, state)


def status_table(hosts: list[dict[str, Any]]) -> list[str]:
    """Return one line a host: name, release, activation, signature, state; hosts that could not be read say so."""
    rows = [
        _row(host)
        if "app" in (host.get("app_release_status") or {})
        else (host["inventory_hostname"], "unknown", "-", "-", "not read")
        for host in hosts
    ]
    table = [("host", "release", "no.", "signed by", "state"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


class FilterModule:
    """Filters of the status playbook."""

    def filters(self) -> dict[str, Any]:
        return {"status_table": status_table}
