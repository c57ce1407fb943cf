# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The release action, run by ansible-playbook on a real store, up to where a host would be touched."""

from __future__ import annotations

import json
import re
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.containerless.django.plugins.action import release as action_module
from ansible_collections.containerless.django.plugins.plugin_utils import _fleet
from ansible_collections.containerless.django.plugins.plugin_utils._signing import Signer

from ..module_utils.ssh_keys import Keys
from ..plugin_utils.conftest import Artifact, artifact, repository  # noqa: F401
from ..plugin_utils.test_release_offer import HOST, index_id  # noqa: F401
from ..plugin_utils.test_units import CONFIG
from .test_release_by_tool import DIGEST, Args, Host, host  # noqa: F401
from .test_store_actions import Play, Task, play  # noqa: F401

if t.TYPE_CHECKING:
    from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository

Whole = t.Callable[..., Args]


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
TIMERS: list[tuple[Args, tuple[str, bool, bool]]] = [
    ({**ALL_OF_THEM, "inventory_hostname": "a"}, ("first", False, True)),
    ({**ALL_OF_THEM, "inventory_hostname": "b"}, ("first", True, False)),
    (ONLY_B, ("first", False, False)),
    (ONLY_B, ("first", True, True)),
    (ONLY_B, ("all", False, True)),
    (ONLY_B, ("none", True, False)),
]


@pytest.mark.parametrize(("known", "timers"), TIMERS)
def test_a_run_with_a_limit_leaves_timers_where_they_are(
    host: Host,  # noqa: F811
    whole: Whole,
    known: Args,
    timers: tuple[str, bool, bool],
) -> None:
    choice, has, then = timers
    host.says({"changed": False})
    whole(known, phase="stage", timers=choice, observed=seen(timers=has))
    assert host.asked["params"]["timers"] is then


def seen(**app: t.Any) -> Args:
    """Return what a host with the tool says of itself."""
    return {"host": HOST, "trees": [], "tool": DIGEST, "app": app}


@pytest.fixture
def whole(host: Host, repository: Repository, index_id: str, root: Path) -> Whole:  # noqa: F811
    """Return what runs the action with all that a release needs, but sends nothing."""

    def run(known: Args | None = None, without: str = "", **more: t.Any) -> Args:
        told = release(f"file://{repository.store.folder}", index_id, root).args
        told = {**told, "untested_reason": "x", "observed": seen(), **more}
        action = host.action({name: value for name, value in told.items() if name != without})
        action._send = lambda *_args: {"artifact": "/tmp/x", "encoding": "gzip"}  # type: ignore[method-assign]
        return action.run(task_vars=known or {})

    return run


# What the phases of a first release say, as the engine does.
PHASES: dict[str, Args] = {
    "staged": {
        "staged": True,
        "plan": {"action": "release"},
        "signed_by": "ann@x",
        "recovered": "undo",
        "steps": [["unpack", 1.0]],
        "migrated": [],
        "exposure": {"web": 0.2},
        "notes": ["no peer"],
    },
    "activated": {"steps": [["migrate", 2.0]], "migrated": ["shop.0001"], "exposure": {}, "notes": []},
    "confirmed": {"steps": [["confirm", 0.1]], "migrated": [], "exposure": {}, "notes": [], "ledger_head": "ab"},
}
IDS = {"changed": True, "run": "r1", "release": "1.0-0123456789ab", "previous": None, "activation": 1, "recovered": ""}
TOGETHER = {
    **IDS,
    "plan": {"action": "release"},
    "signed_by": "ann@x",
    "recovered": "undo",
    "steps": [["unpack", 1.0], ["migrate", 2.0], ["confirm", 0.1]],
    "migrated": ["shop.0001"],
    "exposure": {"web": 0.2},
    "notes": ["no peer"],
    "ledger_head": "ab",
}


def answers(host: Host, **change: Args) -> None:  # noqa: F811
    """Have the tool of the host answer each phase."""
    cases = []
    for state, said in PHASES.items():
        (host.folder / state).write_text(json.dumps({**IDS, **said, **change.get(state, {})}), "utf-8")
        cases.append(f"grep -q '\"state\": \"{state}\"' '{host.folder}/asked' && cat '{host.folder}/{state}'")
    host.has_tool("; ".join(cases) + "; :")


def test_all_phases_in_one_say_what_each_of_them_did(host: Host, whole: Whole) -> None:  # noqa: F811
    answers(host)
    done = whole()
    assert done == {**TOGETHER, "staged": True, "warnings": ["no peer"]}
    assert (host.asked["params"]["state"], host.asked["params"]["run"]) == ("confirmed", "r1")


def test_a_phase_that_fails_is_the_last_one(host: Host, whole: Whole) -> None:  # noqa: F811
    answers(host, activated={"failed": True, "msg": "answered 500", "evidence": {"step": "health"}})
    done = whole()
    assert (done["failed"], done["msg"], done["evidence"]) == (True, "answered 500", {"step": "health"})
    assert (host.asked["params"]["state"], done["steps"]) == ("activated", [["unpack", 1.0], ["migrate", 2.0]])


def test_nothing_to_do_is_no_phase_more(host: Host, whole: Whole) -> None:  # noqa: F811
    host.says({**IDS, "changed": False})
    assert whole()["changed"] is False
    assert host.asked["params"]["state"] == "staged"


@pytest.mark.parametrize("missing", ["store", "config", "templates", "sandbox_templates"])
def test_what_is_missing_to_stage_is_named(host: Host, whole: Whole, missing: str) -> None:  # noqa: F811
    with pytest.raises(AnsibleActionFail, match=f"missing to stage a release: {missing}$"):
        whole(without=missing)
    with pytest.raises(AnsibleActionFail, match="missing to stage a release: store, config, "):
        host.run()


def test_the_last_phase_of_the_role_says_what_all_of_them_did(host: Host) -> None:  # noqa: F811
    answers(host)
    action = host.action({"phase": "activate", "run": "r1"})
    said = action.run(task_vars={})["ansible_facts"]
    known = {_fleet.STAGED: {**IDS, **PHASES["staged"], "warnings": ["no peer"]}, "ansible_facts": said}
    # What another run left there is not of this one; a notification asks what was migrated.
    for run, expected in (("r1", TOGETHER), ("r2", {**IDS, **PHASES["confirmed"]})):
        confirm = host.action({"phase": "confirm", "run": run, "verdict": {"good": True}})
        assert confirm.run(task_vars=known) == expected


def test_what_is_sent_is_for_its_app_and_for_root_alone(
    host: Host,  # noqa: F811
    repository: Repository,  # noqa: F811
    index_id: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetch = repository.fetch_blob

    def readable(content_id: str, dest: Path, encodings: list[str]) -> str:
        encoding = fetch(content_id, dest, encodings)
        dest.chmod(0o644)
        return encoding

    monkeypatch.setattr(type(repository), "fetch_blob", lambda _self, *args: readable(*args))
    sent: list[tuple[str, int]] = []
    action = host.action({})
    action._vars, action._layout = {}, action_module.Layout("shop")

    def transfer(here: str, there: str) -> str:
        sent.append((there, Path(here).stat().st_mode & 0o777))
        return there

    action._transfer_file = transfer  # type: ignore[method-assign, assignment]
    content_id = repository.index(index_id)["variants"][0]["content_id"]
    told = action._send(repository, content_id, ["gzip"])
    ((there, mode),) = sent
    assert (told["artifact"], mode) == (there, 0o600)
    assert re.fullmatch("/tmp/containerless-shop-[0-9a-f]{32}", there)
