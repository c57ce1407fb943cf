# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The release action asks the tool of a host, a real program behind a real shell, or has a module run there."""

from __future__ import annotations

import json
import subprocess
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible_collections.containerless.django.plugins.action import release
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.modules import release_on_host
from ansible_collections.containerless.django.plugins.plugin_utils._release_spec import SPEC

SECRET = "only-the-vault-knows-0123456789"
DIGEST = "0123456789abcdef"
#: What the tool says where a test does not care.
SAID: dict[str, t.Any] = {"changed": True, "release": "1.0-0123456789ab"}

Args = dict[str, t.Any]


class Host:
    """A host in a folder; its name holds a blank, as no shell may split it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.command = folder / "a tool" / DIGEST / "command"
        self.pipelining = True
        self.told: list[str] = []
        self.modules: list[Args] = []
        self.answers: Args = {"changed": True, "by": "module"}
        monkeypatch.setattr(release, "_tool", lambda: DIGEST)
        monkeypatch.setattr(
            release.tool, "command_of", lambda _layout, digest: str(self.command.parents[1] / digest / "command")
        )

    def has_tool(self, script: str) -> None:
        """Have a tool that keeps what it is asked, and then does as the script says."""
        self.command.parent.mkdir(parents=True)
        kept = f"printf '%s\\n' \"$@\" > '{self.folder}/argv'; cat > '{self.folder}/asked'"
        self.command.write_text(f"#!/bin/sh\n{kept}\n{script}\n", "utf-8")
        self.command.chmod(0o755)

    def says(self, said: object) -> None:
        (self.folder / "said").write_text(json.dumps(said), "utf-8")
        self.has_tool(f"cat '{self.folder}/said'")

    @property
    def argv(self) -> list[str]:
        return (self.folder / "argv").read_text("utf-8").split("\n")[:-1]

    @property
    def asked(self) -> Args:
        return t.cast("Args", json.loads((self.folder / "asked").read_text("utf-8")))

    @property
    def was_asked(self) -> bool:
        return (self.folder / "asked").exists()

    def action(self, args: Args, *, check: bool = False) -> release.ActionModule:
        task = SimpleNamespace(args={"name": "shop", **args}, check_mode=check, async_val=0, action="release")
        connection = SimpleNamespace(is_pipelining_enabled=lambda: self.pipelining, _shell=SimpleNamespace(tmpdir=None))
        made = release.ActionModule(task, connection, SimpleNamespace(check_mode=check), None, None)  # type: ignore[arg-type]
        made._low_level_execute_command = self._shell  # type: ignore[method-assign, assignment]
        made._execute_module = self._module  # type: ignore[method-assign, assignment]
        return made

    def run(self, check: bool = False, **args: t.Any) -> Args:
        return self.action(args, check=check).run(task_vars={"inventory_hostname": "web1"})

    def _shell(self, command: str, in_data: bytes | None = None) -> Args:
        self.told.append(command)
        done = subprocess.run(["sh", "-c", command], input=in_data, capture_output=True, check=False)
        return {"rc": done.returncode, "stdout": done.stdout.decode(), "stderr": done.stderr.decode()}

    def _module(self, **call: t.Any) -> Args:
        self.modules.append(call)
        return dict(self.answers)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def arguments(host: Host, **args: t.Any) -> tuple[release.ActionModule, Args]:
    """Return an action whose `run` was not called, and its checked arguments."""
    made = host.action(args)
    made._vars, made._layout = {"inventory_hostname": "web1"}, release.Layout("shop")
    return made, made.validate_argument_spec(**SPEC)[1]  # type: ignore[no-untyped-call]


def test_the_tool_answers_and_no_module_is_sent(host: Host) -> None:
    host.says(SAID)
    done = host.run(state="rolled_back", to="1.0-0123456789ab", secrets={"KEY": SECRET}, reason="it is Friday")
    assert done == SAID
    assert host.modules == []
    assert host.argv == ["answer", "shop"]
    params = host.asked["params"]
    assert (params["state"], params["to"], params["reason"]) == ("rolled_back", "1.0-0123456789ab", "it is Friday")
    assert host.asked["check"] is False


def test_a_secret_is_in_the_request_alone(host: Host) -> None:
    host.says(SAID)
    host.run(state="rolled_back", secrets={"KEY": SECRET})
    assert host.asked["params"]["secrets"] == {"KEY": SECRET}
    assert len(host.told) == 1
    assert SECRET not in host.told[0]


def test_the_tool_is_told_all_that_the_module_takes(host: Host) -> None:
    """The module has defaults for what nobody gives; the tool reads what it is told."""
    host.says(SAID)
    host.run(state="pruned")
    assert set(host.asked["params"]) == set(yaml.safe_load(release_on_host.DOCUMENTATION)["options"])


@pytest.mark.parametrize("state", ["held", "activated", "renewed", "confirmed", "reverted"])
def test_a_later_phase_has_no_secret(host: Host, state: str) -> None:
    host.says(SAID)
    action, args = arguments(host, run="r1", secrets={"KEY": SECRET})
    action._on_host(args, state)
    assert (host.asked["params"]["state"], host.asked["params"]["secrets"]) == (state, {})
    assert host.asked["params"]["run"] == "r1"


def test_check_mode_is_told(host: Host) -> None:
    host.says(SAID)
    host.run(check=True, state="rolled_back")
    assert host.asked["check"] is True


def test_what_others_print_before_the_answer_is_none_of_it(host: Host) -> None:
    host.has_tool(f"echo 'Last login: today'; echo '{json.dumps(SAID)}'")
    assert host.run(state="pruned") == SAID


def test_a_failure_comes_back_whole_and_notes_become_warnings(host: Host) -> None:
    failed = {"failed": True, "msg": "answered 500", "evidence": {"step": "health"}, "notes": ["no peer"]}
    host.says(failed)
    assert host.run(state="pruned") == {**failed, "warnings": ["no peer"]}


def test_values_of_secrets_are_taken_out_of_what_comes_back(host: Host) -> None:
    host.says({"failed": True, "msg": f"no login with {SECRET}", "evidence": {"body": [SECRET], "status": 500}})
    done = host.run(state="rolled_back", secrets={"KEY": SECRET, "EMPTY": ""})
    assert SECRET not in json.dumps(done)
    assert done["msg"] == "no login with ********"
    assert done["evidence"]["status"] == 500


IDS = {"run": "0a251b2c3d4e", "release": "1.0-0123456789ab", "previous": "0.25-0123456789ab", "activation": 1}


@pytest.mark.parametrize("by", ["tool", "module"])
def test_a_secret_that_stands_in_an_id_is_no_reason_to_change_it(host: Host, by: str) -> None:
    """The next phase goes on with that id."""
    if by == "tool":
        host.says({**IDS, "msg": "port 25"})
    else:
        host.answers = {**IDS, "msg": "port 25"}
    secrets = {"PORT": "25", "FLAG": "1", "YEAR": "0123"}
    assert host.run(state="rolled_back", secrets=secrets) == {**IDS, "msg": "port 25"}


def test_a_module_gets_secrets_as_one_text(host: Host) -> None:
    """Of several values it would take each out of its whole answer."""
    host.run(state="rolled_back", secrets={"KEY": SECRET, "FLAG": "1"})
    host.run(state="pruned", secrets={"KEY": SECRET})
    told = [call["module_args"]["secrets"] for call in host.modules]
    assert (json.loads(told[0]), told[1]) == ({"KEY": SECRET, "FLAG": "1"}, "")


def test_what_a_module_says_that_broke_has_no_secret(host: Host) -> None:
    host.answers = {"failed": True, "msg": "MODULE FAILURE", "module_stderr": f"KeyError: {SECRET}"}
    assert SECRET not in json.dumps(host.run(state="rolled_back", secrets={"KEY": SECRET}))


@pytest.mark.parametrize("told", ["", "x" * 475])
def test_a_tool_that_breaks_tells_no_secret(host: Host, told: str) -> None:
    host.has_tool(f"echo 'KeyError: {SECRET} {told}' >&2; exit 1")
    said = host.run(state="rolled_back", secrets={"KEY": SECRET})["msg"].partition(" (rc 1): ")[2]
    assert said.endswith(f"* {told}".strip())
    assert SECRET[-10:] not in said


def run_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: Args, secrets: Args) -> Args:
    """Run the very module with an engine that says this, and return what it prints."""
    asked: list[Args] = []
    monkeypatch.setattr(release_on_host.request, "answer", lambda params, _check: asked.append(params) or dict(said))
    monkeypatch.setattr(basic.AnsibleModule, "_log_to_syslog", lambda _self, text: print(text))
    monkeypatch.setattr(basic, "has_journal", False)
    told: Args = {"name": "shop", "state": "staged", "run": "r1", "who": "me", "secrets": json.dumps(secrets)}
    told["_ansible_inject_invocation"] = True
    with patch_module_args(told), pytest.raises(SystemExit):
        release_on_host.main()
    assert asked[0]["secrets"] == secrets
    *logged, answer = capsys.readouterr().out.splitlines()
    assert any("NOT_LOGGING_PARAMETER" in line for line in logged)
    assert SECRET not in "".join(logged)
    return t.cast("Args", json.loads(answer))


def test_the_module_leaves_ids_alone_and_tells_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = {"KEY": SECRET, "PORT": "25", "FLAG": "1"}
    for failed in (False, True):
        said = {**IDS, "msg": f"no login with {SECRET}", "failed": failed, "evidence": {"body": [SECRET]}}
        done = run_module(monkeypatch, capsys, said, secrets)
        assert {name: done[name] for name in IDS} == IDS
        assert done["msg"] == "no login with ********"
        assert SECRET not in json.dumps(done)
        assert done["invocation"]["module_args"]["secrets"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def no_pipelining(host: Host) -> Args:
    host.says(SAID)
    host.pipelining = False
    return host.run(state="pruned")


def no_tool(host: Host) -> Args:
    return host.run(state="pruned")


def another_version(host: Host) -> Args:
    host.says(SAID)
    host.command.parent.rename(host.command.parents[1] / "fedcba9876543210")
    return host.run(state="pruned")


def not_to_be_run(host: Host) -> Args:
    host.says(SAID)
    host.command.chmod(0o644)
    return host.run(state="pruned")


def removal(host: Host) -> Args:
    host.says(SAID)
    return host.run(state="absent")


def brings_a_tool(host: Host) -> Args:
    host.says(SAID)
    action, args = arguments(host)
    return action._on_host(args, "staged", {"tool": {"digest": DIGEST, "packed": "UEs="}})


@pytest.mark.parametrize("way", [no_pipelining, no_tool, another_version, not_to_be_run, removal, brings_a_tool])
def test_a_module_is_sent_where_the_tool_can_not_answer(host: Host, way: t.Callable[[Host], Args]) -> None:
    assert way(host)["by"] == "module"
    assert not host.was_asked
    (call,) = host.modules
    assert call["module_name"] == "containerless.django.release_on_host"


NO_ANSWER = {
    "killed": ("echo half; kill -9 $$", "(rc -9): half"),
    "nothing": ("exit 0", "(rc 0): "),
    "reason": ("echo 'containerless: Permission denied' >&2; exit 1", "(rc 1): containerless: Permission denied"),
    "torn": ("printf '{\"changed\": tr'", '(rc 0): {"changed": tr'),
}


@pytest.mark.parametrize("case", NO_ANSWER)
def test_a_tool_without_an_answer_is_a_failure_and_nothing_is_tried_again(host: Host, case: str) -> None:
    """It may have acted."""
    script, words = NO_ANSWER[case]
    host.has_tool(script)
    done = host.run(state="pruned")
    assert done["failed"] is True
    assert done["msg"].endswith(f"command' gave no answer {words}")
    assert host.modules == []


def test_a_look_at_the_host_is_the_tool_s_too(host: Host) -> None:
    found = {"host": {"machine": "x86_64"}, "trees": [], "tool": DIGEST}
    host.says(found)
    action, args = arguments(host)
    assert action._observed(args) == found
    assert host.asked == {"params": {}, "check": False}
    host.command.unlink()
    assert action._observed(args)["by"] == "module"
    assert [call["module_name"] for call in host.modules] == ["containerless.django.release_info"]


def test_a_look_that_fails_ends_the_release(host: Host) -> None:
    host.has_tool("echo 'ledger line 3 does not follow' >&2; exit 1")
    action, args = arguments(host)
    with pytest.raises(ContainerlessError, match="ledger line 3 does not follow"):
        action._observed(args)
    assert host.modules == []
