# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a sandbox as lines of 80 columns, for a person. Pure."""

from __future__ import annotations

import typing as t

WIDTH = 80
_COLUMNS = (24, 20, 20, 13)
_LEARNED = (10, 29, 12, 22, 6)
_LEARNED_HEADS = ("process", "was refused", "errno", "by", "needed")
_HEADS = ("directive", "asked for", "systemd applies", "from inside")


def lines(known: t.Mapping[str, t.Any]) -> list[str]:
    """Return the lines of a unit."""
    head = f"{known['unit']}: profile {known['profile'] or 'none of ours'}, exposure {known['exposure']}"
    rows = [_row(_HEADS), *(_row(_cells(item)) for item in known["directives"])]
    notes = [f"opted out of {item['directive']}: {item['reason']}" for item in known["opt_out"]]
    notes += [f"WEAK: {item['directive']}: {item['why']}" for item in known["weak"]]
    notes += [f"not looked at from inside: {known['not_probed']}"] if known["not_probed"] else []
    return [_cut(line, WIDTH) for line in (head, *rows, *notes)]


def learned(known: t.Mapping[str, t.Any]) -> list[str]:
    """Return the lines of what was learned of a process: what to set is never cut."""
    what = " ".join(" ".join(known["command"]).split()) or known["process"]
    rows = [_learned_row(_LEARNED_HEADS)] if known["refused"] else []
    rows += [_learned_row(_learned_cells(item)) for item in known["refused"]]
    said = [f"  {line}" for line in known["said"]]
    outcome = "works in its sandbox" if known["works"] else f"does not work: {known['why']}"
    return [_cut(f"{known['release']}, {what}", WIDTH), outcome, *rows, *_to_set(known), *said]


def _to_set(known: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    if known["works_with"]:
        yield f"It works with this, and not with less (measured, {known['runs']} runs):"
    elif not known["works"] and known["explained"]:
        yield f"It works now and then: run it again ({known['runs']} runs)."
    elif not known["works"]:
        yield from dict.fromkeys(f"{item['directive']}: {item['why']}" for item in known["refused"] if item["why"])
        yield f"Nothing that could be tried makes it work ({known['runs']} runs). It said at last:"
    by_option: dict[str, list[t.Any]] = {}
    for item in known["works_with"]:
        by_option.setdefault(item["option"], []).extend(
            item["value"] if isinstance(item["value"], list) else [item["value"]]
        )
    for option, values in by_option.items():
        yield f"{option}:"
        yield from (f"  - {_yaml(value)}" for value in values)
    if known["works_with"] and known["said"]:
        yield "Without it, it says:"


def _yaml(value: t.Any) -> str:
    """Return an item of a list as YAML; an opt-out with the reason that somebody has to write."""
    if not isinstance(value, dict):
        return str(value)
    allow = f", allow: [{', '.join(value['allow'])}]" if "allow" in value else ""
    return f"{{directive: {value['directive']}{allow}, reason: say why}}"


def _learned_cells(item: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    what = f"{item['call']} {item['subject']}".strip()
    return item["process"], what, item["errno"], item["directive"], "yes" if item["needed"] else ""


def _learned_row(cells: t.Sequence[str]) -> str:
    return " ".join(_cut(cell, width).ljust(width) for cell, width in zip(cells, _LEARNED)).rstrip()


def _cells(item: t.Mapping[str, str]) -> tuple[str, str, str, str]:
    return item["directive"], item["asked"], item["applied"], item["inside"]


def _row(cells: t.Sequence[str]) -> str:
    return " ".join(_cut(cell, width).ljust(width) for cell, width in zip(cells, _COLUMNS)).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "~"
