# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import resource
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import InvalidDocument
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import files, journal
from ansible_collections.containerless.django.plugins.module_utils._release.journal import Ref
from ansible_collections.containerless.django.plugins.module_utils._release.state import State

from ..documents import JOURNAL, MANIFEST, RELEASE, SHA

OLD = Ref(activation=1, release="1.0-0123456789ab", content_id=SHA)
NEW = Ref(activation=2, release="2.0-0123456789ab", content_id=SHA)
ENTRY = journal.from_document(JOURNAL)


@pytest.fixture
def state(layout: Layout) -> State:
    os.makedirs(layout.var)
    return State.read(layout)


def append(state: State, *events: str, ref: Ref = NEW) -> None:
    for event in events:
        state.append(event, ref, run="r1", who="ops", why="", now="2026-11-22T12:00:00Z")


def test_a_host_without_the_app_knows_nothing(layout: Layout) -> None:
    state = State.read(layout)
    assert (state.entries, state.active, state.journal, state.readable_secrets()) == ([], None, None, {})
    assert state.stored(OLD.release) is None
    assert not os.path.exists(layout.var)


def test_what_was_written_is_read_back(state: State) -> None:
    append(state, "staged", "active")
    state.write_journal(ENTRY)
    state.write_active(NEW)
    assert State.read(state.layout) == state
    state.clear_journal()
    state.write_active(None)
    assert State.read(state.layout) == state
    assert sorted(os.listdir(state.layout.var)) == ["ledger.jsonl"]


@pytest.mark.parametrize(("path", "mode"), [("ledger", 0o600), ("journal", 0o600), ("active", 0o644)])
def test_modes(state: State, path: str, mode: int) -> None:
    append(state, "staged")
    state.write_journal(ENTRY)
    state.write_active(NEW)
    assert os.stat(getattr(state.layout, path)).st_mode & 0o7777 == mode


def test_a_torn_line_is_cut_off_by_the_next_one(state: State) -> None:
    append(state, "staged", "active")
    whole = Path(state.layout.ledger).read_bytes()
    for torn in (b"{", whole.splitlines(keepends=True)[-1][:-1] * 3):
        Path(state.layout.ledger).write_bytes(whole + torn)
        again = State.read(state.layout)
        assert again.entries == state.entries
        append(again, "good")
        assert State.read(state.layout).entries == again.entries
        assert Path(state.layout.ledger).read_bytes() == whole + again.entries[-1].line()


def test_a_line_that_finds_no_room_is_an_error_and_the_next_one_fits(state: State) -> None:
    append(state, "staged", "active")
    known = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(state.layout.ledger).st_size + 20, known[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            append(state, "good")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, known)
    append(state, "rolled_back")
    assert State.read(state.layout).entries == state.entries
    assert [entry.state for entry in state.entries] == ["staged", "active", "rolled_back"]


def test_a_line_that_was_not_flushed_was_never_said(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    append(state, "staged", "active")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", late)
        with pytest.raises(OSError, match="No space"):
            append(state, "good")
    append(state, "rolled_back")
    assert [entry.state for entry in State.read(state.layout).entries] == ["staged", "active", "rolled_back"]


def test_good_is_the_last_word_on_an_activation(state: State) -> None:
    said = []
    for event in ("staged", "active", "good", "rolled_back"):
        append(state, event)
        said.append(state.is_good(NEW))
    assert said == [False, False, True, False]
    assert not state.is_good(OLD)


EDITED: list[tuple[str, t.Callable[[bytes], bytes]]] = [
    ("ledger", lambda data: data.replace(b"ops", b"eve", 1)),
    ("active", lambda data: data.replace(b'"activation":2', b'"activation":3 ')),
    ("active", lambda data: data.replace(b"/v1", b"/v2")),
    ("journal", lambda data: data[:-1]),
    ("journal", lambda data: data.replace(b'"commit"', b'"dance"')),
]


@pytest.mark.parametrize(("name", "edit"), EDITED)
def test_an_edited_file_is_refused(state: State, name: str, edit: t.Callable[[bytes], bytes]) -> None:
    append(state, "staged", "active")
    state.write_journal(ENTRY)
    state.write_active(NEW)
    path = Path(getattr(state.layout, name))
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(InvalidDocument, match=name):
        State.read(state.layout)


@pytest.mark.parametrize("name", ["active", "journal"])
def test_an_empty_file_is_not_a_missing_one(state: State, name: str) -> None:
    Path(getattr(state.layout, name)).write_bytes(b"")
    with pytest.raises(InvalidDocument, match=name):
        State.read(state.layout)


def test_a_staged_release_is_read_with_its_units(state: State) -> None:
    contents = {
        "release.json": canonical.dumps(RELEASE),
        "manifest.json": canonical.dumps(MANIFEST),
        "units/web@.service": b"text",
        "units/web@.service.d/50-sandbox.conf": b"more",
    }
    os.makedirs(state.layout.etc)
    files.replace_folder(state.layout.release(NEW.release), contents)
    stored = state.stored(NEW.release)
    assert stored is not None
    assert (stored.content_id, stored.instances) == (canonical.digest(MANIFEST), [("web", 1), ("worker", 1)])
    assert stored.timers == ["cleanup"]
    assert stored.config == RELEASE["config"]
    assert state.units(NEW.release) == {"web@.service": "text", "web@.service.d/50-sandbox.conf": "more"}
    for missing in ("release.json", "manifest.json"):
        files.replace_folder(state.layout.release(NEW.release), {k: v for k, v in contents.items() if k != missing})
        assert state.stored(NEW.release) is None


def test_secrets_are_read_by_name(state: State) -> None:
    os.makedirs(state.layout.secrets)
    for name, value in (("B", "two\n"), ("A", "\u00fc")):
        files.write(f"{state.layout.secrets}/{name}", value.encode(), 0o600)
    assert list(state.readable_secrets().items()) == [("A", "\u00fc"), ("B", "two\n")]


def test_half_a_secret_is_not_read(state: State) -> None:
    os.makedirs(state.layout.secrets)
    Path(state.layout.secrets, "A.new").write_bytes("\u00fc".encode()[:1])
    assert state.readable_secrets() == {}


def test_a_journal_of_another_kind_is_never_written(state: State) -> None:
    with pytest.raises(InvalidDocument):
        state.write_journal(dataclasses.replace(ENTRY, kind="dance"))
    assert not os.path.exists(state.layout.journal)
