# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The release action, run by ansible-playbook on a real store, up to where a host would be touched."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.plugin_utils._signing import Signer

from ..module_utils.ssh_keys import Keys
from ..plugin_utils.conftest import Artifact, artifact, repository  # noqa: F401
from ..plugin_utils.test_release_offer import HOST, index_id  # noqa: F401
from ..plugin_utils.test_units import CONFIG
from .test_release_by_tool import DIGEST, Args, Host, host  # noqa: F401
from .test_store_actions import Play, Task, play  # noqa: F401

if t.TYPE_CHECKING:
    from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    made = Keys(tmp_path)
    made.make("ann")
    made.make("eve")
    return made


def release(store: str, index: str, root: Path, *signers: str, check: bool = False, **more: t.Any) -> Task:
    args = {
        "name": "shop",
        "store": store,
        "index_id": index,
        "observed": {"host": HOST, "trees": [], "tool": ""},
        "config": {"domain": "shop.example.org", "sandbox": CONFIG["sandbox"]},
        "templates": str(root / "roles/app_release/templates"),
        "sandbox_templates": str(root / "roles/app_sandbox/templates"),
        "signers": list(signers),
        **more,
    }
    return Task("release", args, check)


def test_what_nobody_signed_who_may_is_refused_before_a_host_is_touched(
    play: Play,  # noqa: F811
    repository: Repository,  # noqa: F811
    index_id: str,  # noqa: F811
    root: Path,
    keys: Keys,
) -> None:
    content_id = repository.index(index_id)["variants"][0]["content_id"]
    ann, stores = keys.fill("ann@x <ann>"), {}
    for name in ("nobody", "eve", "ann"):
        if name != "nobody":
            Signer(keys.path(name)).sign_artifact(repository, content_id)
        stores[name] = f"file://{shutil.copytree(str(repository.store.folder), keys.folder / f'by-{name}')}"
    results = play(
        release(stores["nobody"], index_id, root, ann, check=True),
        release(stores["nobody"], index_id, root, ann),
        release(stores["eve"], index_id, root, ann),
        release(stores["eve"], index_id, root, "ann@x"),
        release(stores["ann"], index_id, root, ann),
        release(stores["nobody"], index_id, root),
    )
    refused = f"artifact {content_id[:12]} is refused for its manifest: "
    expected = [
        f"{refused}there is no signature",
        f"{refused}there is no signature",
        f"{refused}{keys.fingerprint('eve')} is not among app_signers",
        "app_signers line 1 is none of ALLOWED SIGNERS",
        # As far as the next question.
        f"artifact {content_id[:12]} has no test record",
        f"artifact {content_id[:12]} has no test record",
    ]
    for result, said in zip(results, expected, strict=True):
        assert result["msg"].startswith(said)


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_release_without_a_record_needs_a_reason(
    play: Play,  # noqa: F811
    repository: Repository,  # noqa: F811
    index_id: str,  # noqa: F811
    root: Path,
    reason: str,
) -> None:
    told = {"require_test_record": False, "untested_reason": reason}
    (result,) = play(release(repository.store.name.split()[1], index_id, root, check=True, **told))
    assert result["msg"] == (
        "app_release_require_test_record is false without a reason; give it in app_release_untested_reason,"
        " it goes into the ledger"
    )


ONLY_B = {"inventory_hostname": "b", "ansible_play_hosts_all": ["b"], "ansible_limit": "b"}
ALL_OF_THEM = {"ansible_play_hosts_all": ["a", "b"]}
# variables of the host, timers= and whether they run there -> whether they do then
TIMERS: list[tuple[Args, str, bool, bool]] = [
    ({**ALL_OF_THEM, "inventory_hostname": "a"}, "first", False, True),
    ({**ALL_OF_THEM, "inventory_hostname": "b"}, "first", True, False),
    (ONLY_B, "first", False, False),
    (ONLY_B, "first", True, True),
    (ONLY_B, "all", False, True),
    (ONLY_B, "none", True, False),
]


@pytest.mark.parametrize(("known", "choice", "has", "then"), TIMERS)
def test_a_run_with_a_limit_leaves_timers_where_they_are(
    host: Host,  # noqa: F811
    repository: Repository,  # noqa: F811
    index_id: str,  # noqa: F811
    root: Path,
    known: Args,
    choice: str,
    has: bool,
    then: bool,
) -> None:
    host.says({"changed": False})
    seen = {"host": HOST, "trees": [], "tool": DIGEST, "app": {"timers": has}}
    told = release(f"file://{repository.store.folder}", index_id, root).args
    told = {**told, "untested_reason": "x", "phase": "stage", "timers": choice, "observed": seen}
    action = host.action(told)
    action._send = lambda *_args: {"artifact": "/tmp/x", "encoding": "gzip"}  # type: ignore[method-assign]
    action.run(task_vars=known)
    assert host.asked["params"]["timers"] is then
