# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host knows of an app: ledger, `active`, journal and the folders of its releases. Nobody else reads them."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from .._core import canonical, schemas
from .._core.names import ENVIRONMENT_NAME, Layout
from . import files, journal, ledger
from .journal import Journal, Ref


@dataclass(frozen=True)
class Stored:
    """A release as it was staged on this host."""

    release_id: str
    document: dict[str, t.Any]
    manifest: dict[str, t.Any]
    content_id: str
    signed_by: str = "unknown"

    @property
    def config(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", self.document["config"])

    @property
    def processes(self) -> list[str]:
        return sorted(self.manifest["processes"])


@dataclass
class State:
    """Ledger, active and journal of one app, read once under its lock and kept in step with what is written."""

    layout: Layout
    entries: list[ledger.Entry] = field(default_factory=list)
    active: Ref | None = None
    journal: Journal | None = None

    @classmethod
    def read(cls, layout: Layout) -> State:
        """Read everything. Raises InvalidDocument for an edited file; a torn last ledger line is ignored."""
        entries, _good = ledger.parse(files.read(layout.ledger) or b"")
        active = files.read(layout.active)
        under_way = files.read(layout.journal)
        return cls(
            layout=layout,
            entries=entries,
            active=None if active is None else _active(canonical.loads(active, layout.active)),
            journal=None if under_way is None else journal.from_document(canonical.loads(under_way, layout.journal)),
        )

    def append(self, state: str, ref: Ref, *, run: str, who: str, why: str, now: str) -> None:
        """Add a ledger line and flush it; a torn last line is cut off first."""
        entry = ledger.append(
            self.entries,
            time=now,
            state=state,
            activation=ref.activation,
            release=ref.release,
            content_id=ref.content_id,
            run=run,
            who=who,
            why=why,
        )
        _, good = ledger.parse(files.read(self.layout.ledger) or b"")
        fd = os.open(self.layout.ledger, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(fd, good)
            os.pwrite(fd, entry.line(), good)
            os.fsync(fd)
        finally:
            os.close(fd)
        files.flush_directory(self.layout.var)
        self.entries.append(entry)

    def write_journal(self, entry: Journal) -> None:
        files.write(self.layout.journal, canonical.dumps(entry.document()), 0o600)
        self.journal = entry

    def clear_journal(self) -> None:
        files.remove(self.layout.journal)
        self.journal = None

    def write_active(self, ref: Ref | None) -> None:
        """The commit point: one flushed rename."""
        if ref is None:
            files.remove(self.layout.active)
        else:
            document = schemas.check("active", {"schema": "containerless.active/v1", **ref.__dict__}, "active")
            files.write(self.layout.active, canonical.dumps(document))
        self.active = ref

    def is_good(self, ref: Ref) -> bool:
        last = ledger.states(self.entries).get(ref.activation)
        return last is not None and last.state == "good"

    def stored(self, release_id: str) -> Stored | None:
        """Return a staged release of this host, or None."""
        folder = self.layout.release(release_id)
        document, manifest = files.read(f"{folder}/release.json"), files.read(f"{folder}/manifest.json")
        if document is None or manifest is None:
            return None
        return Stored(
            release_id=release_id,
            document=schemas.check("release", canonical.loads(document, "release.json"), f"{folder}/release.json"),
            manifest=schemas.check("manifest", canonical.loads(manifest, "manifest.json"), f"{folder}/manifest.json"),
            content_id=canonical.sha256(manifest),
            signed_by=(files.read(f"{folder}/signed_by") or b"unknown").decode(),
        )

    def units(self, release_id: str) -> dict[str, str]:
        """Return the unit texts of a staged release by their template names."""
        found = files.read_tree(f"{self.layout.release(release_id)}/units")
        return {name: text.decode() for name, text in found.items()}

    def secrets(self) -> dict[str, str]:
        """Return the newest value of each secret that went live."""
        return files.read_folder(self.layout.secrets, ENVIRONMENT_NAME)

    def write_secrets(self, values: dict[str, str]) -> None:
        """Keep the secrets of a release that went live; 0600, in a folder that only root may open."""
        files.directory(self.layout.secrets, 0o700)
        known = self.secrets()
        for name, value in values.items():
            if known.get(name) != value:
                files.write(f"{self.layout.secrets}/{name}", value.encode(), 0o600)


def _active(document: dict[str, t.Any]) -> Ref:
    schemas.check("active", document, "active")
    return Ref(**{key: value for key, value in document.items() if key != "schema"})
