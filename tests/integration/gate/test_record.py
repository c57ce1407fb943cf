# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release asks for a signed record of a test: what is presented instead is refused in one sentence."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository, record_name
from ansible_collections.containerless.django.plugins.plugin_utils._signing import Signer
from ansible_collections.containerless.django.plugins.plugin_utils._store import open_store
from ansible_collections.containerless.django.tests.rig import APP, Played, Rig, core
from ansible_collections.containerless.django.tests.unit.plugins.module_utils.documents import TEST_RECORD
from ansible_collections.containerless.django.tests.unit.plugins.module_utils.ssh_keys import Keys
from conftest import said

Play = Callable[..., Played]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = Keys(tmp_path_factory.mktemp("keys"))
    made.make("ann")
    made.make("eve")
    return made


@pytest.fixture
def store(tmp_path: Path, keys: Keys) -> Repository:
    """Return a copy of the rig's store, whose artifact ann has signed."""
    shutil.copytree(core.store("debian12"), tmp_path / "store")
    place = Repository(open_store((tmp_path / "store").as_uri()), APP)
    Signer(keys.path("ann")).sign_artifact(place, content_id(place))
    return place


@pytest.fixture
def release(rig: Rig, store: Repository, keys: Keys) -> Play:
    def run(**extra: Any) -> Played:
        signed = {"app_store": f"file://{store.store.folder}", "app_signers": [keys.fill("ann@x <ann>")]}
        return rig.release("v1", **{"app_release_untested_reason": "", **signed, **extra})

    return run


def content_id(place: Repository) -> str:
    pointer = place.channel("v1")
    assert pointer
    return str(place.index(pointer["index_id"])["variants"][0]["content_id"])


def config_class(store: Repository, release: Play) -> str:
    """Return the class of the rig's configuration, from what is said of a record of another one."""
    store.put_record({**TEST_RECORD, "content_id": content_id(store), "config_class": "f" * 12})
    found = re.search(r"another configuration \(class f{12}, this one is ([0-9a-f]{12})\)", said(release()))
    assert found
    return found[1]


def test_only_a_record_that_fits_and_is_signed_counts(store: Repository, release: Play, keys: Keys) -> None:
    assert f"artifact {content_id(store)[:12]} has no test record; run the test playbook" in said(release())
    record = {**TEST_RECORD, "content_id": content_id(store), "config_class": config_class(store, release)}
    elsewhere = {**record, "machine": {**record["machine"], "image": "debian13", "systemd": 257}}
    store.put_record(elsewhere)
    assert f"artifact {content_id(store)[:12]} was tested on debian13, and this host is debian12" in said(release())
    store.put_record(record)
    assert "is refused for its test record" in said(release())
    Signer(keys.path("eve")).sign_record(store, record["content_id"], record_name(record))
    assert re.search(r"its test record .*: SHA256:\S+ is not among app_signers", said(release()))

    expired = {**record, "time": "2026-11-23T00:00:00Z", "expires": "2026-11-24T00:00:00Z"}
    store.put_record(expired)
    Signer(keys.path("ann")).sign_record(store, record["content_id"], record_name(record))
    assert re.search(r"the test record of artifact \w{12} expired at 2026-11-24T00:00:00Z", said(release()))
    place = Path(str(store.store.folder), store.keys.record(record["content_id"], record_name(record)))
    place.write_bytes(canonical.dumps({**expired, "expires": "2999-01-01T00:00:00Z"}))
    assert re.search(r"its test record .*: the document is not the one that SHA256:\S+ signed", said(release()))

    place.unlink()
    store.put_record({**record, "time": "2026-11-25T00:00:00Z"})
    Signer(keys.path("ann")).sign_record(store, record["content_id"], record_name(record))
    release().check()


def test_the_reason_of_a_release_without_a_record_stands_in_the_ledger(rig: Rig, release: Play) -> None:
    refused = said(release(app_release_require_test_record=False))
    assert "false without a reason; give it in app_release_untested_reason, it goes into the ledger" in refused
    release(app_release_untested_reason="a typo", env={"RIG_COLOUR": "red"}).check()
    history = json.loads(rig.hosts[0].sh(f"containerless history {APP} --json").stdout)
    assert history[-1]["why"] == "untested: a typo"
