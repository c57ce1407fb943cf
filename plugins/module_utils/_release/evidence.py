# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reason of a failure, collected before the evidence is undone, with every known secret masked."""

from __future__ import annotations

import json
import typing as t

from .._core.errors import ContainerlessError
from .health import HealthError

MASK = "********"
#: What of an answer we made ourselves: a secret such as 2024 stands in an id by chance, and a later phase needs the id.
_OURS = (
    *("run", "release", "previous", "activation", "ledger_head"),
    *("plan", "steps", "recovered", "migrated", "reversed", "pruned"),
)


def mask(value: t.Any, secrets: t.Iterable[str]) -> t.Any:
    """Replace every known secret (4 characters and longer) in strings, lists and dicts, as logs write it too."""
    known = {form for secret in secrets for form in _forms(secret) if len(form) >= 4}
    return _mask(value, sorted(known, key=len, reverse=True))


def mask_answer(said: dict[str, t.Any], secrets: t.Iterable[str]) -> dict[str, t.Any]:
    """Mask the texts of an answer to the control node, and never its ids."""
    return {**mask(said, secrets), **{name: said[name] for name in _OURS if name in said}}


def _forms(secret: str) -> t.Iterator[str]:
    """A secret as it is, and as repr, JSON and HTML pages write it; the long lines of one that has several."""
    yield from (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    import html  # what goes well masks nothing

    yield html.escape(secret)
    yield from (line for line in secret.splitlines() if len(line) >= 8)


def _mask(value: t.Any, known: list[str]) -> t.Any:
    if isinstance(value, str):
        for secret in known:
            value = value.replace(secret, MASK)
        return value
    if isinstance(value, dict):
        return {key: _mask(item, known) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mask(item, known) for item in value]
    return value


def collect(
    exc: Exception, step: str, journal: t.Callable[[], dict[str, str]], secrets: t.Iterable[str]
) -> dict[str, t.Any]:
    """Return step, reason, last answer and journal lines of a failure, masked. `journal` reads lines by unit."""
    found: dict[str, t.Any] = {"step": step, "reason": str(exc)}
    if isinstance(exc, HealthError):
        found.update(status=exc.answer.status, body=exc.answer.body)
    try:
        found["journal"] = journal()
    except Exception as missing:  # noqa: BLE001 - evidence that can't be had must not stop the undoing
        found["journal"] = {"evidence": f"not to be had: {missing}"}
    masked = t.cast("dict[str, t.Any]", mask(found, list(secrets)))
    # Cut into lines last: a secret of several lines is looked for as a whole.
    return {**masked, "journal": {name: text.splitlines() for name, text in masked["journal"].items()}}


class ReleaseFailed(ContainerlessError):
    """A release that was undone. `evidence` holds step, answer and journal lines; `outcome` what is live now."""

    def __init__(self, message: str, evidence: dict[str, t.Any]) -> None:
        super().__init__(message)
        self.evidence = evidence
