# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a sandbox as lines of 80 columns, for a person. Pure."""

from __future__ import annotations

import typing as t

WIDTH = 80
_COLUMNS = (24, 20, 20, 13)
_HEADS = ("directive", "asked for", "systemd applies", "from inside")


def lines(known: t.Mapping[str, t.Any]) -> list[str]:
    """Return the lines of a unit."""
    head = f"{known['unit']}: profile {known['profile'] or 'none of ours'}, exposure {known['exposure']}"
    rows = [_row(_HEADS), *(_row(_cells(item)) for item in known["directives"])]
    notes = [f"opted out of {item['directive']}: {item['reason']}" for item in known["opt_out"]]
    notes += [f"WEAK: {item['directive']}: {item['why']}" for item in known["weak"]]
    notes += [f"not looked at from inside: {known['not_probed']}"] if known["not_probed"] else []
    return [_cut(line, WIDTH) for line in (head, *rows, *notes)]


def _cells(item: t.Mapping[str, str]) -> tuple[str, str, str, str]:
    return item["directive"], item["asked"], item["applied"], item["inside"]


def _row(cells: t.Sequence[str]) -> str:
    return " ".join(_cut(cell, width).ljust(width) for cell, width in zip(cells, _COLUMNS)).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "~"
