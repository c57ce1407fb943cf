# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The actions about a store, run by ansible-playbook on real folders."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.containerless.django.plugins.module_utils._artifact import identity
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.plugin_utils import _signing
from ansible_collections.containerless.django.plugins.plugin_utils._repository import record_name
from ansible_collections.containerless.django.plugins.plugin_utils._signing import Signer

from ..module_utils.ssh_keys import Keys
from ..plugin_utils.conftest import Artifact, artifact, other, repository  # noqa: F401
from ..plugin_utils.test_release_config import OPTIONS

if t.TYPE_CHECKING:
    from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository

ACTIONS = (
    "published_artifact",
    "published_artifact_info",
    "test_overlay",
    "test_record",
    "test_record_info",
    "test_report",
)
ROOM = "ansible_collections.containerless.django.plugins"
CHECKS = [{"name": "healthy", "passed": True, "detail": "answered"}]
MACHINE = {"image": "debian12", "systemd": 252, "python": "3.11", "backend": "nspawn"}
CONFIG = {"env": {"SHOP_HOSTS": "x"}, "secrets": ["SECRET_KEY"], "secrets_as": "credentials", "sandbox": {}}

Result = dict[str, t.Any]


class Task(t.NamedTuple):
    """One task of the play: what it calls, and whether in check mode."""

    action: str
    args: dict[str, t.Any]
    check: bool = False


@pytest.fixture
def play(tmp_path: Path) -> t.Callable[..., list[Result]]:
    """Return what runs tasks on the control node and returns their results; errors are results too."""

    def run(*tasks: Task) -> list[Result]:
        saved = tmp_path / "results.json"
        names = [f"result_{number}" for number, _ in enumerate(tasks)]
        steps: list[dict[str, t.Any]] = [
            {
                f"containerless.django.{task.action}": task.args,
                "check_mode": task.check,
                "diff": True,
                "ignore_errors": True,
                "register": name,
            }
            for name, task in zip(names, tasks, strict=True)
        ]
        content = "{{ [" + ", ".join(names) + "] | to_json }}"
        steps.append({"ansible.builtin.copy": {"content": content, "dest": str(saved)}, "diff": False})
        book = tmp_path / "play.yml"
        book.write_text(
            json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": steps}])
        )
        collections = next(p for p in map(Path, sys.path) if (p / "ansible_collections/containerless").is_dir())
        environ = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections)}
        argv = [Path(sys.executable).parent / "ansible-playbook", book]
        done = subprocess.run(argv, env=environ, cwd=tmp_path, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return t.cast("list[Result]", json.loads(saved.read_text()))

    return run


@pytest.fixture
def built(repository: Repository, artifact: Artifact) -> str:  # noqa: F811
    artifact.publish(repository)
    index_id = repository.put_index(artifact.index)
    repository.set_channel("built-1a2b3c4d", repository.pointer(index_id))
    return index_id


def url(place: Repository) -> str:
    return f"file://{place.store.folder}"


def upload(source: Repository, target: Repository, *, check: bool = False, **args: t.Any) -> Task:
    places = {"project": "shop", "source": url(source), "source_channel": "built-1a2b3c4d", "store": url(target)}
    return Task("published_artifact", {**places, **args}, check)


def recorded(place: Repository, content_id: str, *, check: bool = False, **args: t.Any) -> Task:
    facts = {"project": "shop", "store": url(place), "content_id": content_id, "checks": CHECKS, "machine": MACHINE}
    facts["config"] = CONFIG
    return Task("test_record", {**facts, **args}, check)


def _spec(documented: dict[str, t.Any]) -> dict[str, t.Any]:
    return {
        name: {
            ("options" if key == "suboptions" else key): (_spec(value) if key == "suboptions" else value)
            for key, value in option.items()
            if key != "description"
        }
        for name, option in documented.items()
    }


def _options(documented: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the options of a module, those of its fragments among them."""
    found: dict[str, t.Any] = {}
    for fragment in documented.get("extends_documentation_fragment", []):
        shared = importlib.import_module(f"{ROOM}.doc_fragments.{fragment.rpartition('.')[2]}")
        found |= yaml.safe_load(shared.ModuleDocFragment.DOCUMENTATION)["options"]
    found |= documented["options"]
    return found


@pytest.mark.parametrize("name", ACTIONS)
def test_what_is_documented_is_what_is_checked(name: str) -> None:
    module = importlib.import_module(f"{ROOM}.modules.{name}")
    action = importlib.import_module(f"{ROOM}.action.{name}")
    # What is kept out of logs is no part of a document.
    checked = {
        option: {key: value for key, value in known.items() if key != "no_log"}
        for option, known in action.ActionModule.SPEC.items()
    }
    assert _spec(_options(yaml.safe_load(module.DOCUMENTATION))) == checked


Play = t.Callable[..., list[Result]]


def test_a_record_is_written_once(
    play: Play,
    repository: Repository,  # noqa: F811
    artifact: Artifact,  # noqa: F811
    built: str,
) -> None:
    failed = [*CHECKS, {"name": "static", "passed": False, "detail": "status 404"}]
    planned, broken, empty, never, written, again, differs = play(
        recorded(repository, artifact.content_id, check=True),
        recorded(repository, artifact.content_id, checks=failed),
        recorded(repository, artifact.content_id, checks=[]),
        recorded(repository, artifact.content_id, valid_for=0),
        recorded(repository, artifact.content_id),
        recorded(repository, artifact.content_id),
        recorded(repository, artifact.content_id, config={**CONFIG, "env": {}}),
    )
    assert planned["changed"]
    assert broken["msg"].endswith("gets no test record, check static failed: status 404")
    assert empty["msg"].endswith("gets no test record, no check was made")
    assert never["msg"] == "app_test_valid_for is 0; it is days, at least 1"
    assert written["changed"]
    assert (again["changed"], again["record"]) == (False, written["record"])
    assert differs["changed"]
    assert list(repository.records(artifact.content_id).values()) == sorted(
        (written["record"], differs["record"]), key=record_name
    )


def test_an_upload_changes_something_once(
    play: Play,
    repository: Repository,  # noqa: F811
    other: Repository,  # noqa: F811
    artifact: Artifact,  # noqa: F811
    built: str,
) -> None:
    refused, planned, done, again, elsewhere = play(
        upload(repository, other),
        upload(repository, other, require_test_record=False, check=True),
        upload(repository, other, require_test_record=False),
        upload(repository, other, require_test_record=False),
        upload(repository, other, require_test_record=False, channel="staging"),
    )
    assert refused["msg"].startswith(f"artifact {artifact.content_id} in app_build_store file://")
    assert refused["msg"].endswith("run the test playbook, or set app_upload_require_test_record: false")
    assert planned["created"] == [other.keys.manifest(artifact.content_id), other.keys.index(built)]
    assert planned["diff"] == {"before": "", "after": f"production: 1.0.0.g1a2b3c4d (index {built})\n"}
    assert done == {**planned, "changed": True}
    assert other.channel("production") == other.pointer(built)
    assert (again["changed"], again["created"], again["moved"]) == (False, [], False)
    assert (elsewhere["changed"], elsewhere["created"], elsewhere["moved"]) == (True, [], True)

    repository.put_record(artifact.record)
    tested, moved = play(upload(repository, other), upload(repository, other))
    assert tested["created"] == [other.keys.record(artifact.content_id, artifact.record_name)]
    assert (tested["moved"], moved["changed"]) == (False, False)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    made = Keys(tmp_path)
    made.make("ann")
    made.make("eve")
    return made


@pytest.mark.usefixtures("built")
def test_an_upload_asks_for_signatures(
    play: Play,
    repository: Repository,  # noqa: F811
    other: Repository,  # noqa: F811
    artifact: Artifact,  # noqa: F811
    keys: Keys,
) -> None:
    signers: dict[str, t.Any] = {"signers": [keys.fill("ann@x <ann>")]}
    key: dict[str, t.Any] = {"signing_key": keys.path("ann")}
    Signer(keys.path("eve")).sign_artifact(repository, artifact.content_id)
    foreign, planned = play(
        upload(repository, other, require_test_record=False, **signers),
        upload(repository, other, require_test_record=False, check=True, **signers),
    )
    for refused in (foreign, planned):
        assert f"its manifest: {keys.fingerprint('eve')} is not among app_signers" in refused["msg"]
    assert list(other.store.folder.iterdir()) == []  # type: ignore[union-attr]

    Signer(keys.path("ann")).sign_artifact(repository, artifact.content_id)
    unsigned, told, recorded_, unsigned_record, plan, signed, again, done, nothing = play(
        upload(repository, other, check=True),
        upload(repository, other, check=True, **signers),
        recorded(repository, artifact.content_id),
        upload(repository, other, **signers),
        recorded(repository, artifact.content_id, check=True, **key),
        recorded(repository, artifact.content_id, **key),
        recorded(repository, artifact.content_id, **key),
        upload(repository, other, **signers),
        upload(repository, other, **signers),
    )
    assert unsigned["signed_by"][artifact.content_id].endswith(" (not checked)")
    assert told["signed_by"] == {artifact.content_id: "ann@x"}
    assert recorded_["changed"]
    assert "its test record (default-" in unsigned_record["msg"]
    assert [plan["changed"], signed["changed"], again["changed"]] == [True, True, False]
    assert done["signed_by"] == {artifact.content_id: "ann@x"}
    assert len([key for key in done["created"] if "/signatures/" in key]) == 5
    assert not nothing["changed"]


def test_nothing_built_is_an_error_but_a_plan_in_check_mode(
    play: Play,
    repository: Repository,  # noqa: F811
    other: Repository,  # noqa: F811
) -> None:
    (no_channel,) = play(upload(repository, other))
    assert "run the build playbook first" in no_channel["msg"]
    shutil.rmtree(repository.store.folder)  # type: ignore[arg-type]
    planned, refused = play(upload(repository, other, check=True), upload(repository, other))
    assert (planned["changed"], planned["msg"]) == (True, "shop is not built yet; what is built would be uploaded")
    assert "correct app_build_store" in refused["msg"]
    assert not repository.store.folder.exists()  # type: ignore[union-attr]


def test_what_is_offered_is_read(
    play: Play,
    repository: Repository,  # noqa: F811
    artifact: Artifact,  # noqa: F811
    built: str,
) -> None:
    repository.put_record(artifact.record)
    here = {"store": url(repository)}
    there = {"store": "file:///never/made", "channel": "production"}
    wanted = ({"channel": "built-1a2b3c4d"}, {"version": "1.0.0.g1a2b3c4d"}, {"index_id": built, "channel": "none"})
    unknown = ({"channel": "production"}, {"version": "2.0"}, {"index_id": "f" * 64}, {"channel": "", "index_id": ""})
    asked: list[dict[str, t.Any]] = [{**here, **by} for by in (*wanted, *unknown)] + [
        there,
        {**there, "missing_ok": True},
    ]
    results = play(*(Task("published_artifact_info", {"project": "shop", **args}) for args in asked))
    for found in results[:3]:
        assert found["found"]
        assert (found["index_id"], found["version"], found["commit"]) == (built, "1.0.0.g1a2b3c4d", "a" * 40)
        assert found["manifests"] == {artifact.content_id: artifact.manifest}
        assert found["records"] == {artifact.content_id: {artifact.record_name: artifact.record}}
        assert found["platforms"] == {artifact.content_id: "debian12"}
    assert [result["found"] for result in results[3:6]] == [False] * 3
    assert results[6]["msg"] == "one of index_id, version and channel must be given"
    assert "app_store file:///never/made is not a folder" in results[7]["msg"]
    assert results[8]["found"] is False


def test_an_artifact_goes_to_a_file_and_no_second_one(
    play: Play,
    repository: Repository,  # noqa: F811
    artifact: Artifact,  # noqa: F811
    built: str,
    tmp_path: Path,
) -> None:
    file = tmp_path / "shop.tar.gz"
    newer = Artifact(b"newer", tmp_path, version="9.9")
    newer.publish(repository)
    repository.set_channel("built-newer", repository.pointer(repository.put_index(newer.index)))
    told: dict[str, t.Any] = {"store": str(file), "require_test_record": False}
    planned, first, again, second = play(
        upload(repository, repository, check=True, **told),
        upload(repository, repository, **told),
        upload(repository, repository, **told),
        upload(repository, repository, source_channel="built-newer", **told),
    )
    assert [result.get("changed", False) for result in (planned, first, again)] == [True, True, False]
    assert second["msg"] == (
        f"app_store {file} holds another artifact, of version {artifact.version}; name another file"
    )
    assert file.read_bytes() == artifact.blob.read_bytes()


def test_a_file_is_no_place_for_two_variants(
    play: Play,
    repository: Repository,  # noqa: F811
    artifact: Artifact,  # noqa: F811
    tmp_path: Path,
) -> None:
    python = {**artifact.manifest["python"], "soabi": "cpython-399-x86_64-linux-gnu"}
    two = Artifact(b"two", tmp_path)
    two.manifest = {**two.manifest, "python": python}
    for each in (artifact, two):
        each.publish(repository)
    index = identity.make_index([artifact.manifest, two.manifest])
    repository.set_channel("built-1a2b3c4d", repository.pointer(repository.put_index(index)))
    (result,) = play(upload(repository, repository, store=f"{tmp_path}/shop.tar.gz", require_test_record=False))
    assert "is one artifact, and shop " in result["msg"]
    assert result["msg"].endswith("has 2 variants; build one platform for it (app_build_platforms)")
    assert not list(tmp_path.glob("shop.tar.gz*"))


FAR = {"time": "2026-01-01T00:00:00Z", "expires": "9999-01-01T00:00:00Z"}


def known(place: Repository, content_id: str, **args: t.Any) -> Task:
    """Ask for what was tested."""
    told = {"project": "shop", "store": url(place), "artifacts": [{"content_id": content_id, "platform": "debian12"}]}
    return Task("test_record_info", {**told, "config": OPTIONS, **args})


@pytest.mark.usefixtures("built")
def test_what_nobody_tested_gets_no_signature(
    play: Play,
    repository: Repository,  # noqa: F811
    artifact: Artifact,  # noqa: F811
    keys: Keys,
) -> None:
    key: dict[str, t.Any] = {"signing_key": keys.path("ann")}
    signers = [keys.fill("ann@x <ann>")]
    # Somebody who can write to the store has written a record there.
    (first,) = play(recorded(repository, artifact.content_id))
    forged = {**first["record"], **FAR}
    place = Path(str(repository.store.folder), repository.keys.record(artifact.content_id, record_name(forged)))
    place.write_bytes(canonical.dumps(forged))
    Signer(keys.path("eve")).sign_record(repository, artifact.content_id, record_name(forged))
    planned, tested, again = play(
        recorded(repository, artifact.content_id, check=True, **key),
        recorded(repository, artifact.content_id, **key),
        recorded(repository, artifact.content_id, **key),
    )
    assert [planned["changed"], tested["changed"], again["changed"]] == [True, True, False]
    found = repository.record(artifact.content_id, record_name(forged))
    assert found == tested["record"] == again["record"]
    assert found is not None
    assert found["expires"] < FAR["expires"]
    # The same with what ann herself has signed, edited since, and said to be of a time to come.
    place.write_bytes(canonical.dumps({**forged, "time": "9998-01-01T00:00:00Z"}))
    edited, unchanged = play(
        recorded(repository, artifact.content_id, **key),
        recorded(repository, artifact.content_id, check=True, **key),
    )
    assert (edited["changed"], unchanged["changed"]) == (True, False)
    assert edited["record"]["expires"] < FAR["expires"]
    assert _tested_by(repository, artifact, signers)


def _tested_by(place: Repository, artifact: Artifact, signers: list[str]) -> bool:  # noqa: F811
    """Say whether a signature of the record that is there is good."""
    (name,) = place.records(artifact.content_id)
    return bool(_signing.check_record(place, artifact.content_id, name, signers))


@pytest.mark.usefixtures("built")
def test_a_new_key_signs_what_an_old_one_has_signed(
    play: Play,
    repository: Repository,  # noqa: F811
    artifact: Artifact,  # noqa: F811
    keys: Keys,
) -> None:
    (first,) = play(recorded(repository, artifact.content_id))
    older = {**first["record"], "time": "2026-01-01T00:00:00Z"}
    repository.put_record(older, whatever=True)
    Signer(keys.path("ann")).sign_record(repository, artifact.content_id, record_name(older))
    (signed,) = play(recorded(repository, artifact.content_id, earlier=True, signing_key=keys.path("eve")))
    assert (signed["changed"], signed["record"]) == (True, older)
    for name in ("ann", "eve"):
        assert _tested_by(repository, artifact, [keys.fill(f"{name}@x <{name}>")])


@pytest.mark.usefixtures("built")
def test_what_none_of_the_signers_has_signed_was_not_tested(
    play: Play,
    repository: Repository,  # noqa: F811
    artifact: Artifact,  # noqa: F811
    keys: Keys,
) -> None:
    signers = {"signers": [keys.fill("ann@x <ann>")]}
    (nothing,) = play(known(repository, artifact.content_id))
    key = keys.path("ann")
    forged, trusted, checked, _signed, counts = play(
        recorded(repository, artifact.content_id, config=nothing["config"], signing_key=keys.path("eve")),
        known(repository, artifact.content_id),
        known(repository, artifact.content_id, **signers),
        recorded(repository, artifact.content_id, config=nothing["config"], signing_key=key),
        known(repository, artifact.content_id, **signers),
    )
    assert trusted["records"] == [forged["record"]]
    (untested,) = checked["untested"]
    assert f"{keys.fingerprint('eve')} is not among app_signers" in untested["why"]
    assert (len(counts["records"]), counts["untested"]) == (1, [])


@pytest.mark.usefixtures("built")
def test_a_report_says_why_it_compares_with_nothing(
    play: Play,
    repository: Repository,  # noqa: F811
    artifact: Artifact,  # noqa: F811
    root: Path,
    tmp_path: Path,
) -> None:
    told = {"project": "shop", "store": url(repository), "content_id": artifact.content_id, "stages": []}
    told |= {"dest": str(tmp_path), "template": str(root / "roles/app_test/templates/report.html.j2")}
    absent = url(repository).replace("file://", "file:///none")
    for previous, why in (
        ({}, "app_test_previous_store is empty"),
        ({"previous_store": url(repository), "previous_channel": "typo"}, "has no channel typo of shop"),
        ({"previous_store": absent}, "has no channel production of shop"),
    ):
        (made,) = play(Task("test_report", {**told, **previous}))
        page = Path(made["html"]).read_text(encoding="utf-8")
        assert page.count(why) == 2
        assert page.count("against no earlier artifact") == 2
