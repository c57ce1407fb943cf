# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host knows of an app: ledger, `active`, journal and the folders of its releases. Nobody else reads them."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t
from dataclasses import dataclass, field

from .._core import canonical, schemas
from .._core.errors import ContainerlessError
from .._core.names import ENVIRONMENT_NAME, RELEASE_ID, Layout
from . import files, journal, ledger, processes, sealed
from .journal import Journal, Ref

_HOST_OPTIONS: dict[str, t.Any] = {"keep": 5, "pinned": [], "timers": False}


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
    def instances(self) -> list[tuple[str, int]]:
        """(process, instance) of everything that runs as long as the release is live."""
        return processes.instances(self.manifest, self.config)

    @property
    def migrations(self) -> list[dict[str, t.Any]]:
        """Every migration of its code, in the order of the manifest; none without Django."""
        return t.cast("list[dict[str, t.Any]]", (self.manifest["django"] or {}).get("migrations", []))

    @property
    def timers(self) -> list[str]:
        return sorted(self.manifest["timers"])


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
        under_way = files.read(layout.journal)
        state = cls(
            layout=layout,
            entries=entries,
            journal=None if under_way is None else journal.from_document(canonical.loads(under_way, layout.journal)),
        )
        state.reread_active()
        return state

    def append(self, state: str, ref: Ref, *, run: str, who: str, why: str, now: str) -> None:
        """Add a ledger line and flush it. What stands behind the lines that count is cut off first: a torn line, or one
        whose flush failed.
        """
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
        good = sum(len(known.line()) for known in self.entries)
        fd = os.open(self.layout.ledger, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as handle:
            handle.truncate(good)
            handle.seek(good)
            handle.write(entry.line())
            handle.flush()
            os.fsync(fd)
        files.flush_directory(self.layout.var)
        self.entries.append(entry)

    def write_journal(self, entry: Journal) -> None:
        files.write(self.layout.journal, canonical.dumps(entry.document()), 0o600)
        self.journal = entry

    def clear_journal(self) -> None:
        files.remove(self.layout.origin)
        shutil.rmtree(self.layout.next_secrets, ignore_errors=True)
        files.remove(self.layout.journal)
        self.journal = None

    def write_active(self, ref: Ref | None) -> None:
        """The commit point: one flushed rename. What `active` was keeps a second name, for the way back."""
        if ref is None:
            files.remove(self.layout.active)
        else:
            document = schemas.check("active", {"schema": "containerless.active/v1", **ref.__dict__}, "active")
            if self.active is not None:
                files.second_name(self.layout.active, self.layout.origin)
            files.write(self.layout.active, canonical.dumps(document))
        self.active = ref

    def take_back_active(self, origin: Ref | None) -> None:
        """Undo `write_active` for a target; takes no space, so that a full disk can't stand in the way."""
        kept = files.read(self.layout.origin)
        if origin is not None and kept is not None and _active(canonical.loads(kept, self.layout.origin)) == origin:
            files.rename(self.layout.origin, self.layout.active)
            self.active = origin
        else:
            self.write_active(origin)

    def host_options(self) -> dict[str, t.Any]:
        """Return what is chosen for this host alone: `timers` (bool), `keep` (artifacts) and `pinned` (release ids)."""
        known = files.read(self.layout.host_options)
        return {**_HOST_OPTIONS, **(canonical.loads(known, self.layout.host_options) if known else {})}

    def write_host_options(self, **changes: t.Any) -> None:
        known = self.host_options()
        if {**known, **changes} != known or not os.path.exists(self.layout.host_options):
            files.write(self.layout.host_options, canonical.dumps({**known, **changes}))

    def reread_active(self) -> None:
        """Read the commit point again: a write that raised may have reached the disk all the same."""
        found = files.read(self.layout.active)
        self.active = None if found is None else _active(canonical.loads(found, self.layout.active))

    def last(self, ref: Ref) -> ledger.Entry | None:
        """Return the last ledger line of an activation."""
        return ledger.states(self.entries).get(ref.activation)

    def is_good(self, ref: Ref) -> bool:
        last = self.last(ref)
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

    def live(self) -> tuple[Ref, Stored]:
        """Return the active release. Raises ContainerlessError on a host without one."""
        stored = self.stored(self.active.release) if self.active else None
        if self.active is None or stored is None:
            raise ContainerlessError(f"{self.layout.app} has no active release on this host")
        return self.active, stored

    def units(self, release_id: str) -> dict[str, str]:
        """Return the unit texts of a staged release by their template names."""
        found = files.read_tree(f"{self.layout.release(release_id)}/units")
        return {name: text.decode() for name, text in found.items()}

    def readable_secrets(self) -> dict[str, str]:
        """Return the newest value of each secret that went live, as far as this host can read them."""
        return _readable_secrets(self.layout.secrets)

    def secrets_of(self, stored: Stored, given: t.Container[str]) -> dict[str, str]:
        """Return those that a release wants and nobody brings. Raises Unreadable for one of them, and no other one."""
        wanted = {name for name in stored.config["secrets"] if name not in given}
        return _read_secrets(self.layout.secrets, wanted.intersection(self.secret_names()))

    def secret_names(self) -> list[str]:
        return files.names(self.layout.secrets, ENVIRONMENT_NAME)

    def snapshot(self, release_id: str) -> dict[str, str]:
        """Return the values of the secrets that a release was good with; empty when it never was. Raises Unreadable."""
        return _read_secrets(self.layout.snapshot(release_id))

    def write_secrets(self, values: dict[str, str], release: str, *, good: bool) -> None:
        """Keep the secrets of a release that went live as the newest, and as its own when it is `good`."""
        seal = self._seals(release)
        _write_secrets(self.layout.secrets, values, seal=seal)
        if good:
            files.directory(os.path.dirname(self.layout.snapshot(release)), 0o700)
            _write_secrets(self.layout.snapshot(release), values, seal=seal)
        if seal:
            self._seal_others()

    def _seals(self, release: str) -> bool:
        """Say whether the configuration of a staged release has its secrets encrypted."""
        document = files.read(f"{self.layout.release(release)}/release.json")
        return bool(document and canonical.loads(document, "release.json")["config"].get("secrets_encrypted"))

    def _seal_others(self) -> None:
        """Seal what was written before that was asked for: no copy stays that anybody can read."""
        snapshots = os.path.dirname(self.layout.snapshot("1-" + "0" * 12))
        for folder in (self.layout.secrets, *(f"{snapshots}/{name}" for name in files.names(snapshots, RELEASE_ID))):
            for name in files.names(folder, ENVIRONMENT_NAME):
                data = files.read(f"{folder}/{name}") or b""
                if not sealed.is_sealed(data):
                    files.write(f"{folder}/{name}", sealed.seal(name, data.decode()), 0o600)

    def next_secrets(self) -> dict[str, str]:
        """Return the secrets of what is under way; one that a lost key took keeps no recovery from its end."""
        return _readable_secrets(self.layout.next_secrets)

    def write_next_secrets(self, values: dict[str, str], release: str) -> None:
        shutil.rmtree(self.layout.next_secrets, ignore_errors=True)
        _write_secrets(self.layout.next_secrets, values, seal=self._seals(release))


def _read_secrets(folder: str, names: t.Iterable[str] | None = None) -> dict[str, str]:
    names = files.names(folder, ENVIRONMENT_NAME) if names is None else names
    return {name: sealed.opened(f"{folder}/{name}", name, files.read(f"{folder}/{name}") or b"") for name in names}


def _readable_secrets(folder: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in files.names(folder, ENVIRONMENT_NAME):
        with contextlib.suppress(sealed.Unreadable):
            found.update(_read_secrets(folder, [name]))
    return found


def _write_secrets(folder: str, values: dict[str, str], *, seal: bool) -> None:
    """Have values in a folder, 0600, for root alone."""
    files.directory(folder, 0o700)
    for name, value in values.items():
        if not _holds(f"{folder}/{name}", name, value, seal=seal):
            files.write(f"{folder}/{name}", sealed.seal(name, value) if seal else value.encode(), 0o600)


def _holds(path: str, name: str, value: str, *, seal: bool) -> bool:
    """Say whether a file has a value, in the form that is asked for."""
    data = files.read(path)
    if data is None or sealed.is_sealed(data) != seal:
        return False
    try:
        return sealed.opened(path, name, data) == value
    except sealed.Unreadable:
        return False


def _active(document: dict[str, t.Any]) -> Ref:
    schemas.check("active", document, "active")
    return Ref(**{key: value for key, value in document.items() if key != "schema"})
