# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter status_table: what runs where, as lines of a table for a person."""

from __future__ import annotations

from typing import Any


def _state(app: dict[str, Any]) -> str:
    """Return what a person has to know first: what is down, what can't start again, what nobody confirmed yet."""
    if not app["release"]:
        return "-"
    down = sorted(name for name, shown in app["processes"].items() if not shown.startswith("active"))
    state = "running" if app["running"] else f"DOWN: {', '.join(down)}" if down else "not running"
    notes = ["WILL NOT START AGAIN"] if app["problems"] else []
    if app["under_way"]:
        wait = app["unconfirmed_for"]
        notes.append(f"unconfirmed, back in {wait} s" if wait else f"interrupted at {app['under_way']}")
    notes += [f"no. {', '.join(map(str, app['draining']))} draining"] if app["draining"] else []
    return "; ".join([state, *notes])


def _row(host: dict[str, Any]) -> tuple[str, ...]:
    app = host["app_release_status"]["app"]
    name = host["inventory_hostname"]
    return (name, app["release"] or "nothing", str(app["activation"] or "-"), app["signed_by"] or "-", _state(app))


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
