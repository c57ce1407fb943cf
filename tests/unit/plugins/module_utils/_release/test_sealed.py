# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import files, sealed
from ansible_collections.containerless.django.plugins.module_utils._release.state import State, Stored

from .host import Artifact, Host, desired
from .runs import assert_whole, interrupt, release

RELEASE, NEXT = "1.0-0123456789ab", "2.0-0123456789ab"


class Creds:
    """A stand-in for systemd-creds, which needs a host's key: turns texts around, and remembers what it was told."""

    def __init__(self) -> None:
        self.argvs: list[list[str]] = []
        self.key = b"one"

    def __call__(self, argv: t.Sequence[str], data: bytes) -> tuple[int, bytes, bytes]:
        self.argvs.append(list(argv))
        if argv[1] == "encrypt":
            return 0, self.key + b":" + data[::-1], b""
        key, _, value = data.partition(b":")
        return (0, value[::-1], b"") if key == self.key else (1, b"", b"a warning\nDecryption failed\n")


@pytest.fixture
def creds(monkeypatch: pytest.MonkeyPatch) -> Creds:
    one = Creds()
    for name in ("seal", "opened"):
        monkeypatch.setattr(getattr(sealed, name), "__defaults__", (one,))
    return one


@pytest.fixture
def state(layout: Layout) -> State:
    files.directory(layout.var)
    files.directory(layout.etc)
    return State.read(layout)


def staged(state: State, release: str, *, sealed: bool) -> Stored:
    """Have a release with a secret on the disk."""
    document = {"config": {"secrets": ["KEY"], "secrets_encrypted": sealed}}
    files.directory(state.layout.release(release))
    files.write(f"{state.layout.release(release)}/release.json", canonical.dumps(document))
    return Stored(release, document, {}, "")


def on_disk(layout: Layout) -> dict[str, bytes]:
    return {
        str(path.relative_to(layout.etc)): path.read_bytes()
        for path in Path(layout.etc).rglob("*")
        if path.is_file() and path.name != "release.json"
    }


def test_what_is_not_sealed_is_read_as_it_is() -> None:
    assert sealed.opened("/x/KEY", "KEY", b"value\n") == "value\n"


def test_nothing_readable_reaches_the_disk_or_an_argv(state: State, creds: Creds) -> None:
    staged(state, RELEASE, sealed=True)
    state.write_next_secrets({"KEY": "correct-horse"}, RELEASE)
    state.write_secrets(state.next_secrets(), RELEASE, good=True)
    assert len(on_disk(state.layout)) == 3
    assert all(sealed.is_sealed(data) and b"correct" not in data for data in on_disk(state.layout).values())
    assert not any("correct-horse" in word for argv in creds.argvs for word in argv)
    assert all("--name=KEY" in argv for argv in creds.argvs)
    assert state.readable_secrets() == state.snapshot(RELEASE) == {"KEY": "correct-horse"}


def test_a_value_that_stays_is_not_written_again(state: State, creds: Creds) -> None:
    staged(state, RELEASE, sealed=True)
    for _ in range(2):
        state.write_secrets({"KEY": "correct-horse"}, RELEASE, good=False)
    assert [argv[1] for argv in creds.argvs].count("encrypt") == 1


def test_turning_it_on_leaves_no_copy_behind_and_off_makes_it_readable(state: State, creds: Creds) -> None:
    staged(state, RELEASE, sealed=False)
    staged(state, NEXT, sealed=True)
    state.write_secrets({"KEY": "correct-horse", "OLD": "battery"}, RELEASE, good=True)
    state.write_secrets({"KEY": "correct-horse"}, NEXT, good=True)
    assert len(on_disk(state.layout)) == 5
    assert all(sealed.is_sealed(data) for data in on_disk(state.layout).values())
    assert state.snapshot(RELEASE)["OLD"] == "battery"
    state.write_secrets({"KEY": "correct-horse"}, RELEASE, good=False)
    assert on_disk(state.layout)["secrets/KEY"] == b"correct-horse"


def test_a_release_that_is_only_staged_opens_nothing(state: State, creds: Creds) -> None:
    staged(state, RELEASE, sealed=True)
    staged(state, NEXT, sealed=False)
    state.write_secrets({"KEY": "correct-horse"}, RELEASE, good=True)
    assert all(sealed.is_sealed(data) for data in on_disk(state.layout).values())


def test_a_lost_key_is_one_sentence_and_the_next_release_writes_anew(state: State, creds: Creds) -> None:
    stored = staged(state, RELEASE, sealed=True)
    state.write_secrets({"KEY": "correct-horse", "DROPPED": "battery"}, RELEASE, good=False)
    state.write_next_secrets({"KEY": "correct-horse"}, RELEASE)
    creds.key = b"another"
    assert state.next_secrets() == {}
    sentence = (
        r"secrets/KEY can't be decrypted with this host's key /var/lib/systemd/credential.secret \(Decryption failed\)"
    )
    with pytest.raises(ContainerlessError, match=sentence):
        state.secrets_of(stored, {})
    assert state.readable_secrets() == {}
    assert state.secrets_of(stored, {"KEY": "brought"}) == {}
    assert state.secret_names() == ["DROPPED", "KEY"]
    state.write_secrets({"KEY": "brought"}, RELEASE, good=False)
    assert state.readable_secrets() == {"KEY": "brought"}


def test_a_host_without_the_tool_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ContainerlessError, match="app_release_secrets_encrypted needs systemd-creds"):
        sealed.require()


def test_a_recovery_that_can_not_read_a_secret_does_not_keep_out_who_brings_it(
    host: Host, artifacts: dict[str, Artifact], group: str, creds: Creds, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (desired(artifacts[version], group, secrets_encrypted=True) for version in ("1.0", "2.0"))
    release(host, one)
    interrupt(host, two, "start", monkeypatch, overlap="hold")
    host.reboot()
    creds.key = b"another"
    outcome = release(host, two)
    assert (outcome.recovered, outcome.release) == ("undo", two.release_id)
    assert "can't be decrypted" in outcome.warnings[0]
    assert_whole(host, two.release_id)
