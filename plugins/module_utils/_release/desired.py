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
    """What steers a run and is no part of a release. Times in whole seconds. It stands in the journal of its run.

    drain: between the confirmation and the end of the old web process. watch: after the flip, with at most
    `watch_errors` per cent of bad answers. confirm_timeout: for the confirmation after the watch. lock_wait: for
    another run. keep: distinct artifacts. timers: whether the artifact's timers run on this host.
    """

    drain: int = 30
    watch: int = 0
    watch_errors: int = 10
    confirm_timeout: int = 60
    lock_wait: int = 0
    migrations: str = "expand"
    overlap: str = "overlap"
    keep: int = 5
    timers: bool = False
    accept_newer_schema: bool = False
    reverse_migrations: bool = False
    secrets: str = "newest"
    allow_older: bool = True

    def __post_init__(self) -> None:
        for name in ("drain", "watch", "lock_wait"):
            if getattr(self, name) < 0:
                raise ContainerlessError(f"app_release_{name} is seconds and can't be negative")
        for name in ("confirm_timeout", "keep"):
            if getattr(self, name) < 1:
                raise ContainerlessError(f"app_release_{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.watch_errors <= 100:
            raise ContainerlessError(f"app_release_watch_errors is {self.watch_errors}; it is a share of 0 to 100 %")


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
    """What a run did. `steps` are (name, seconds), `warnings` sentences for a person."""

    changed: bool = False
    release: str | None = None
    activation: int | None = None
    previous: str | None = None
    recovered: str = ""
    migrated: list[str] = field(default_factory=list)
    reversed: list[str] = field(default_factory=list)
    exposure: dict[str, float] = field(default_factory=dict)
    steps: list[tuple[str, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ledger_head: str = GENESIS
