# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A test record can't be forged or reused: what is wrong with one is said in one sentence."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _tested
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Document, Repository
from ansible_collections.containerless.django.plugins.plugin_utils._signing import Signer

from ..module_utils.ssh_keys import Keys
from .conftest import Artifact

NOW = "2026-12-01T12:00:00Z"
CLASS = "0123456789ab"
PLATFORM = "debian12"
CONFIG: dict[str, t.Any] = {
    "env": {"DJANGO_SETTINGS_MODULE": "shop.settings", "SHOP_HOSTS": "shop.example.org"},
    "secrets": ["SECRET_KEY"],
    "secrets_as": "credentials",
    "scale": {"web": 2},
    "sandbox": {"profile": "strict", "bind_read_only": [], "limits": {"memory_max": "512M"}},
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = Keys(tmp_path_factory.mktemp("keys"))
    made.make("ann")
    made.make("eve")
    return made


@pytest.fixture
def signers(keys: Keys) -> list[str]:
    return [keys.fill("ann@x <ann>")]


@pytest.fixture
def tested(repository: Repository, artifact: Artifact, keys: Keys) -> Repository:
    """Return a store whose artifact has a record that ann signed."""
    artifact.publish(repository)
    repository.put_record(artifact.record)
    Signer(keys.path("ann")).sign_record(repository, artifact.content_id, artifact.record_name)
    return repository


def counting(
    place: Repository,
    artifact: Artifact,
    signers: list[str],
    *,
    known: str = CLASS,
    now: str = NOW,
    level: str = "default",
    platform: str = PLATFORM,
) -> Document:
    wanted = _tested.Wanted(level, known, platform)
    return _tested.counting(place, artifact.content_id, wanted, signers=signers, time=now)


def at(place: Repository, key: str) -> Path:
    return Path(str(place.store.folder), key)


def test_a_record_counts(tested: Repository, artifact: Artifact, signers: list[str]) -> None:
    assert counting(tested, artifact, signers) == artifact.record
    assert counting(tested, artifact, []) == artifact.record


def test_without_a_record_there_is_none(repository: Repository, artifact: Artifact) -> None:
    artifact.publish(repository)
    with pytest.raises(
        ContainerlessError,
        match=r"^artifact \w{12} has no test record; .*or say why not with app_release_untested_reason$",
    ):
        counting(repository, artifact, [])


def test_a_record_of_another_artifact_is_refused(
    tested: Repository, tmp_path: Path, artifact: Artifact, signers: list[str]
) -> None:
    """Not even with its signature, and not when it calls itself one of this artifact."""
    other = Artifact(b"another tar", tmp_path)
    other.publish(tested)
    for key in (
        *tested.store.list(tested.keys.records(artifact.content_id)),
        *tested.store.list(tested.keys.signatures(artifact.content_id)),
    ):
        copied = at(tested, key.replace(artifact.content_id, other.content_id))
        copied.parent.mkdir(exist_ok=True)
        copied.write_bytes(at(tested, key).read_bytes())
    with pytest.raises(ContainerlessError, match="is the record of another artifact, level, configuration or system"):
        counting(tested, other, signers)
    place = at(tested, tested.keys.record(other.content_id, artifact.record_name))
    place.write_bytes(canonical.dumps({**artifact.record, "content_id": other.content_id}))
    with pytest.raises(
        ContainerlessError, match=r"its test record .*: the document is not the one that SHA256:\S+ sig"
    ):
        counting(tested, other, signers)


def test_a_record_by_another_key_is_refused(
    repository: Repository, artifact: Artifact, keys: Keys, signers: list[str]
) -> None:
    artifact.publish(repository)
    repository.put_record(artifact.record)
    with pytest.raises(ContainerlessError, match=r"its test record .*: there is no signature"):
        counting(repository, artifact, signers)
    Signer(keys.path("eve")).sign_record(repository, artifact.content_id, artifact.record_name)
    with pytest.raises(ContainerlessError, match=r"its test record .*: SHA256:\S+ is not among app_signers"):
        counting(repository, artifact, signers)


@pytest.mark.parametrize(("now", "refused"), [("2999-11-22T11:59:59Z", False), ("2999-11-22T12:00:00Z", True)])
def test_a_record_expires(tested: Repository, artifact: Artifact, signers: list[str], now: str, refused: bool) -> None:
    if not refused:
        assert counting(tested, artifact, signers, now=now)
        return
    with pytest.raises(
        ContainerlessError, match=r"^the test record of artifact \w{12} expired at 2999-11-22T12:00:00Z;"
    ):
        counting(tested, artifact, signers, now=now)


@pytest.mark.parametrize(
    "edit", [{"expires": "2999-12-31T00:00:00Z"}, {"checks": []}, {"machine": {"backend": "qemu"}}, {"time": NOW}]
)
def test_an_edited_record_is_refused(
    tested: Repository, artifact: Artifact, signers: list[str], edit: dict[str, t.Any]
) -> None:
    place = at(tested, tested.keys.record(artifact.content_id, artifact.record_name))
    merged = {**artifact.record, **edit, "machine": {**artifact.record["machine"], **edit.get("machine", {})}}
    place.write_bytes(canonical.dumps(merged))
    with pytest.raises(
        ContainerlessError, match=r"its test record .*: the document is not the one that SHA256:\S+ sig"
    ):
        counting(tested, artifact, signers)


def test_a_record_of_another_configuration_is_refused(
    tested: Repository, artifact: Artifact, signers: list[str]
) -> None:
    with pytest.raises(
        ContainerlessError, match=r"was tested with another configuration \(class 0123456789ab, this one is f{12}\)"
    ):
        counting(tested, artifact, signers, known="f" * 12)
    # Nor does it help to give it another name.
    name = f"default-{'f' * 12}-debian12"
    at(tested, tested.keys.record(artifact.content_id, name)).write_bytes(canonical.dumps(artifact.record))
    with pytest.raises(ContainerlessError, match="is the record of another artifact, level, configuration or system"):
        counting(tested, artifact, signers, known="f" * 12)


def test_a_thorough_test_is_a_test_and_not_the_other_way_round(repository: Repository, artifact: Artifact) -> None:
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    repository.put_record(artifact.record)
    assert _tested.untested(repository, index_id, "default", NOW) == []
    assert _tested.untested(repository, index_id, "full", NOW) == [artifact.content_id]
    with pytest.raises(ContainerlessError, match="has no test record"):
        counting(repository, artifact, [], level="full")
    full = {**artifact.record, "level": "full", "expires": "2999-12-31T00:00:00Z"}
    repository.put_record(full)
    assert counting(repository, artifact, []) == full


@pytest.mark.parametrize("signed_by_eve", [False, True])
def test_a_record_that_does_not_count_hides_none_that_does(
    tested: Repository, artifact: Artifact, keys: Keys, signers: list[str], signed_by_eve: bool
) -> None:
    full = {**artifact.record, "level": "full", "expires": "2999-12-31T00:00:00Z"}
    tested.put_record(full)
    name = artifact.record_name.replace("default", "full")
    if signed_by_eve:
        Signer(keys.path("eve")).sign_record(tested, artifact.content_id, name)
    assert counting(tested, artifact, signers) == artifact.record
    with pytest.raises(ContainerlessError, match="is not among app_signers" if signed_by_eve else "no signature"):
        counting(tested, artifact, signers, level="full")
    at(tested, tested.keys.record(artifact.content_id, name)).write_bytes(b"{")
    assert counting(tested, artifact, signers) == artifact.record


@pytest.mark.parametrize("bad", [{"passed": False}, {"expires": NOW}])
def test_only_a_passed_record_that_is_still_good_counts_for_an_upload(
    repository: Repository, artifact: Artifact, bad: dict[str, t.Any]
) -> None:
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    repository.put_record({**artifact.record, **bad})
    assert _tested.untested(repository, index_id, "default", NOW) == [artifact.content_id]
    with pytest.raises(ContainerlessError, match="failed its test|expired at"):
        counting(repository, artifact, [])


# change -> whether it is another class
CHANGES: list[tuple[dict[str, t.Any], bool]] = [
    ({"env": {**CONFIG["env"], "SHOP_HOSTS": "staging.example.org"}}, False),
    ({"env": {**CONFIG["env"], "SHOP_CACHE": "redis"}}, True),
    ({"env": {**CONFIG["env"], "DJANGO_SETTINGS_MODULE": "shop.other"}}, True),
    ({"secrets": ["SECRET_KEY", "TOKEN"]}, True),
    ({"secrets_as": "env"}, True),
    ({"scale": {"web": 4}}, False),
    ({"scale": {"worker": 0}}, True),
    ({"sandbox": {**CONFIG["sandbox"], "limits": {"memory_max": "1G"}}}, False),
    ({"sandbox": {**CONFIG["sandbox"], "unenforced": [{"directive": "MemoryMax", "reason": "cgroups v1"}]}}, False),
    ({"sandbox": {**CONFIG["sandbox"], "media": {"group": "www-data", "dirs": ["media"]}}}, False),
    ({"users": {"worker": "shop-worker"}}, True),
    ({"sandbox": {**CONFIG["sandbox"], "bind_read_only": ["/run/postgresql"]}}, True),
    ({"domain": "staging.example.org"}, False),
]


@pytest.mark.parametrize(("change", "other"), CHANGES)
def test_what_may_be_missing_or_closed_makes_another_class(change: dict[str, t.Any], other: bool) -> None:
    assert (_tested.config_class({**CONFIG, **change}) != _tested.config_class(CONFIG)) is other


def test_a_record_of_another_system_is_refused(tested: Repository, artifact: Artifact, signers: list[str]) -> None:
    with pytest.raises(
        ContainerlessError,
        match=r"^artifact \w{12} was tested on debian12, and this host is debian13; .*app_test_hosts, or say why not",
    ):
        counting(tested, artifact, signers, platform="debian13")
    # One artifact has a record of each system; neither stands in for the other, whatever it is called.
    machine = {**artifact.record["machine"], "image": "debian13", "systemd": 257}
    tested.put_record({**artifact.record, "machine": machine})
    assert counting(tested, artifact, [], platform="debian13")["machine"] == machine
    assert counting(tested, artifact, signers) == artifact.record
    name = artifact.record_name.replace(PLATFORM, "rhel9")
    at(tested, tested.keys.record(artifact.content_id, name)).write_bytes(canonical.dumps(artifact.record))
    with pytest.raises(ContainerlessError, match="is the record of another artifact, level, configuration or system"):
        counting(tested, artifact, signers, platform="rhel9")


def test_another_systemd_is_worth_a_word_and_another_kernel_is_not(artifact: Artifact) -> None:
    host = {"platform": "debian12", "systemd": 252, "kernel": "6.1.0-41"}
    assert _tested.differs(artifact.record, host) == ""
    said = _tested.differs(artifact.record, {**host, "systemd": 254})
    assert said.endswith("was tested with systemd 252, this host has systemd 254")
