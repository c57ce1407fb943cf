# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run is given and what it gives back: plain data."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._core import canonical
from .._core.errors import ContainerlessError
from .ledger import GENESIS


@dataclass(frozen=True)
class Policy:
    """What steers a run and is no part of a release. Times in seconds."""

    drain: float = 30.0
    lock_wait: float = 0.0
    accept_migrations: bool = False
    accept_newer_schema: bool = False
    allow_older: bool = True

    def __post_init__(self) -> None:
        if self.drain < 0 or self.lock_wait < 0:
            raise ContainerlessError("app_release_drain and app_release_lock_wait are seconds and can't be negative")


@dataclass(frozen=True)
class Desired:
    """A release as the control node hands it over."""

    release_id: str
    document: dict[str, t.Any]
    manifest: dict[str, t.Any]
    units: dict[str, str]
    boot_unit: str
    interpreter: str
    secrets: dict[str, str] = field(repr=False, default_factory=dict)
    blob: str = ""
    encoding: str = "gzip"
    #: Who signed the artifact, for people: it was checked on the control node, or the text says that it was not.
    signed_by: str = "unsigned"

    @property
    def content_id(self) -> str:
        return canonical.digest(self.manifest)

    @property
    def config(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", self.document["config"])


@dataclass
class Outcome:
    """What a run did. `steps` are (name, seconds)."""

    changed: bool = False
    release: str | None = None
    activation: int | None = None
    previous: str | None = None
    recovered: str = ""
    migrated: list[str] = field(default_factory=list)
    exposure: dict[str, float] = field(default_factory=dict)
    steps: list[tuple[str, float]] = field(default_factory=list)
    ledger_head: str = GENESIS
