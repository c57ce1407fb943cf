# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reason of a failure, collected before the evidence is undone, with every known secret masked."""

from __future__ import annotations

import typing as t

from .._core.errors import ContainerlessError

MASK = "********"


def mask(value: t.Any, secrets: t.Iterable[str]) -> t.Any:
    """Replace every known secret value (4 characters and longer) in strings, lists and dicts."""
    known = sorted((secret for secret in secrets if len(secret) >= 4), key=len, reverse=True)
    return _mask(value, known)


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


class ReleaseFailed(ContainerlessError):
    """A release that was undone. `evidence` holds step, answer and journal lines; `outcome` what is live now."""

    def __init__(self, message: str, evidence: dict[str, t.Any]) -> None:
        super().__init__(message)
        self.evidence = evidence
