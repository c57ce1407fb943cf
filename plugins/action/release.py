# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The release action: store on this side, transaction on the host, and few trips between them."""

from __future__ import annotations

import functools
import getpass
import json
import platform
import shlex
import tempfile
import uuid
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils._core.errors import ContainerlessError
from ..module_utils._core.names import Layout
from ..module_utils._release import evidence, tool
from ..plugin_utils import _fleet, _release_config, _release_offer, _tested
from ..plugin_utils._release_spec import SPEC, STEERING
from ..plugin_utils._repository import Repository
from ..plugin_utils._store import open_store
from ..plugin_utils._units import Templates

_ROOMS = Path(__file__).parent.parent / "module_utils"
#: What a phase that brings nothing says of it.
_NOTHING_SENT: dict[str, Any] = {"desired": {}, "artifact": "", "encoding": "gzip", "tool": {}}
#: What the shell says of a command that is not there.
_MISSING = 127
#: Of these each phase has its own part.
_PARTS = ("steps", "migrated", "reversed", "notes", "warnings")
#: What an earlier phase says that the last one does not know; its warnings were shown.
_EARLIER = ("steps", "migrated", "notes", "exposure", "recovered", "signed_by", "plan")
_ON_HOST = "containerless.django.release_on_host"
_INFO = "containerless.django.release_info"
#: What a phase is called on the host.
_STATES = {"hold": "held", "activate": "activated", "renew": "renewed", "confirm": "confirmed"}


@functools.cache
def _tool() -> str:
    return tool.digest_of(str(_ROOMS))


def _joined(before: dict[str, Any], done: dict[str, Any]) -> dict[str, Any]:
    """Return what two phases of one run say together: each knows its own part alone."""
    parts = {name: [*before.get(name, []), *done.get(name, [])] for name in _PARTS if name in before or name in done}
    kept = {name: before[name] for name in ("exposure", "recovered") if before.get(name)}
    return {**before, **done, **parts, **kept}


def _values(request: dict[str, Any]) -> list[str]:
    return [str(value) for value in (request.get("secrets") or {}).values()]


class ActionModule(ActionBase):
    """Sends the artifact if its tree is missing, and runs one module a phase."""

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._vars = task_vars or {}
        _, args = self.validate_argument_spec(**SPEC)
        try:
            self._layout = Layout(args["name"])
            if args["state"] != "present":
                return self._on_host(args, args["state"])
            return self._phase(args)
        except ContainerlessError as exc:
            raise AnsibleActionFail(str(exc)) from None

    # Phases.

    def _phase(self, args: dict[str, Any]) -> dict[str, Any]:
        if args["phase"] == "stage":
            return self._stage(args)
        if args["phase"] == "activate":
            return self._said(args, self._on_host(args, "activated"))
        if args["phase"] == "confirm":
            return self._confirm(args)
        if args["phase"] != "all":
            return self._on_host(args, _STATES[args["phase"]])
        return self._all(args)

    def _all(self, args: dict[str, Any]) -> dict[str, Any]:
        result = self._stage(args)
        for state in ("activated", "confirmed"):
            if result.get("failed") or not result.get("staged"):
                return result
            done = self._on_host({**args, "run": result["run"]}, state)
            result = _joined(result, done)
        return result

    def _stage(self, args: dict[str, Any]) -> dict[str, Any]:
        missing = [name for name in ("store", "config", "templates", "sandbox_templates") if args[name] is None]
        if missing:  # `required_if` knows one condition, and these are two: phase and state
            raise ContainerlessError(f"missing to stage a release: {', '.join(missing)}")
        config = _release_config.make({**args["config"], "secrets": args["secrets"]})
        if not args["index_id"]:
            if self._task.check_mode:
                return {
                    "changed": True,
                    "msg": f"{self._layout.app}: nothing is published yet; it would be built, tested and released",
                }
            raise ContainerlessError(
                f"channel {args['channel']!r} of {args['store']} names no release of {self._layout.app};"
                " upload one first"
            )
        info = args["observed"] or self._observed(args)
        repository = Repository(open_store(args["store"]), self._layout.app)
        offer = _release_offer.make(
            repository,
            index_id=args["index_id"],
            host=info["host"],
            layout=self._layout,
            config=config,
            templates=Templates(release=Path(args["templates"]), sandbox=Path(args["sandbox_templates"])),
            signers=args["signers"],
        )
        note = self._check_tested(repository, offer, info["host"], args)
        sent = {}
        if offer.content_id not in info["trees"]:
            repository.check_readable(offer.content_id, info["host"]["encodings"])
            if not self._task.check_mode:
                sent = self._send(repository, offer.content_id, info["host"]["encodings"])
        extra = {"desired": offer.desired(), **sent}
        if info["tool"] != _tool():
            extra["tool"] = dict(zip(("digest", "packed"), tool.pack(str(_ROOMS)), strict=True))
        if args["timers"] == "first" and self._vars.get("ansible_limit"):
            # The first host of the play need not be that of the group: each goes on as it did.
            extra["timers"] = info["app"]["timers"]
        result = self._on_host(args, "staged", extra)
        if note:
            result["warnings"] = [*result.get("warnings", []), note]
        # In a run that is none of check mode, this is the look at all hosts before any of them is touched.
        if self._play_context.check_mode and result.get("changed"):
            self._tell(result["release"], result["plan"])
        return result

    @staticmethod
    def _check_tested(
        repository: Repository, offer: _release_offer.Offer, host: dict[str, Any], args: dict[str, Any]
    ) -> str:
        """Raise when no test record counts here and nobody said why; return in which way the test was elsewhere."""
        if args["untested_reason"].strip():
            return ""
        if not args["require_test_record"]:
            raise ContainerlessError(
                "app_release_require_test_record is false without a reason; give it in app_release_untested_reason,"
                " it goes into the ledger"
            )
        wanted = _tested.Wanted("default", _tested.config_class(offer.document["config"]), host["platform"])
        record = _tested.counting(repository, offer.content_id, wanted, signers=args["signers"], time=_tested.now())
        return _tested.differs(record, host)

    def _tell(self, release: str, plan: dict[str, Any]) -> None:
        """Print what check mode found: the result itself is shown with -v only."""
        word = {"release": "would release", "activate": "would start again"}[plan["action"]]
        self._say(f"{word} {release}, as {plan['reason']}: {', '.join(plan['steps'])}")

    def _observed(self, args: dict[str, Any]) -> dict[str, Any]:
        """Read the host: what it runs on decides what it is sent."""
        found = self._by_tool({}) or self._execute_module(
            module_name=_INFO, module_args={"name": args["name"]}, task_vars=self._vars
        )
        if found.get("failed"):
            raise ContainerlessError(str(found.get("msg", "the host can't be read")))
        return dict(found)

    def _said(self, args: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """Say how this host fared instead of failing: what becomes of it is decided when all have said it."""
        good = not result.get("failed")
        why = "" if good else str(result.get("msg", "the module failed"))
        said = {"run": args["run"], "good": good, "why": why, "evidence": result.get("evidence", {})}
        said.update({name: result[name] for name in _EARLIER if name in result})
        said.setdefault("steps", [])
        if not good:
            self._display.error(f"{self._vars.get('inventory_hostname', 'host')}: {why}")
        kept: dict[str, Any] = {name: result[name] for name in ("release", "steps", "migrated") if name in result}
        return {**kept, "changed": True, "good": good, "msg": why, "ansible_facts": {_fleet.FACT: said}}

    def _confirm(self, args: dict[str, Any]) -> dict[str, Any]:
        """Keep the release when every host took it; else take it back here and fail."""
        verdict = args["verdict"] or {"good": True, "why": ""}
        if verdict["good"]:
            return _joined(self._earlier(args["run"]), self._on_host(args, "confirmed"))
        own = self._own()
        if own.get("run") == args["run"] and not own["good"]:
            return {"failed": True, "changed": True, "msg": own["why"], "evidence": own["evidence"]}
        reason = f"not every host took it: {verdict['why']}"
        undone = self._on_host({**args, "reason": reason}, "reverted")
        live = undone.get("release") or "nothing"
        what = f"taken back, {live} is live"
        if undone.get("recovered") == "forward":
            what = f"{live} stays live, since its migrations leave no automatic way back"
        return {**undone, "failed": True, "changed": True, "msg": f"{what}: {reason}"}

    def _own(self) -> dict[str, Any]:
        """Return what this host said of its activation, if it did."""
        return (self._vars.get("ansible_facts") or {}).get(_fleet.FACT) or {}

    def _earlier(self, run: str) -> dict[str, Any]:
        """Return what the phases before said of this run, where the role has it: its result is about all of them."""
        found: dict[str, Any] = {}
        for said in (self._vars.get(_fleet.STAGED) or {}, self._own()):
            if said.get("run") == run:
                found = _joined(found, {name: said[name] for name in _EARLIER if name in said})
        return found

    # Trips.

    def _send(self, repository: Repository, content_id: str, encodings: list[str]) -> dict[str, str]:
        """Stream the compressed tar to a file that the host removes when it was read; nobody can guess its name."""
        with tempfile.TemporaryDirectory(prefix="containerless-") as scratch:
            blob = Path(scratch) / "artifact"
            encoding = repository.fetch_blob(content_id, blob, encodings)
            self._say(f"sends the artifact ({blob.stat().st_size / 1e6:.1f} MB)")
            blob.chmod(0o600)  # which its copy has too
            there = f"{self._layout.sent}{uuid.uuid4().hex}"
            self._transfer_file(str(blob), there)
        return {"artifact": there, "encoding": encoding}

    def _on_host(self, args: dict[str, Any], state: str, extra: dict[str, Any] | None = None) -> dict[str, Any]:
        why = args["untested_reason"].strip()
        untested = why and f"untested: {why}"
        request = {
            **{name: args[name] for name in (*STEERING, "to", "secrets", "remove_data")},
            "name": args["name"],
            "state": state,
            "timers": self._has_timers(args["timers"]),
            "allow_older": not args["signers"] if args["allow_older"] is None else args["allow_older"],
            "run": args["run"] or uuid.uuid4().hex[:12],
            "who": f"{getpass.getuser()}@{platform.node()}",
            "reason": "; ".join(filter(None, (args["reason"], untested))),
            **_NOTHING_SENT,
            **(extra or {}),
        }
        if state not in ("staged", "rolled_back"):
            request["secrets"] = {}
        # Nobody takes the tool away that runs.
        answered = None if request["tool"] or state == "absent" else self._by_tool(request)
        told = {**request, "secrets": json.dumps(request["secrets"]) if request["secrets"] else ""}
        result: dict[str, Any] = answered or self._execute_module(
            module_name=_ON_HOST, module_args=told, task_vars=self._vars
        )
        # Once more: what a tool or a module says that broke was masked by nobody.
        result = evidence.mask_answer(result, _values(request))
        for name, seconds in result.get("steps", []):
            self._display.vv(f"{name}: {seconds:.2f} s")
        notes = result.get("notes")
        return {**result, "warnings": [*result.get("warnings", []), *notes]} if notes else result

    def _by_tool(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """Have the host's own tool answer: it is compiled already, and a module with all it needs would be sent anew.

        None where the host has no tool of this very version, or what is sent would have to be a file: then a module is.
        """
        if not self._connection.is_pipelining_enabled():
            return None
        command = shlex.quote(tool.command_of(self._layout, _tool()))
        asked = json.dumps({"params": params, "check": bool(self._task.check_mode)}).encode()
        told = f"test -x {command} || exit {_MISSING}; exec {command} answer {self._layout.app}"
        done = self._low_level_execute_command(told, in_data=asked)
        if done["rc"] == _MISSING:
            return None
        try:
            said: dict[str, Any] = json.loads(done["stdout"].splitlines()[-1])
        except (IndexError, ValueError):
            # Masked before it is cut: the end of a secret is none that is known.
            why = evidence.mask((done["stderr"] or done["stdout"]).strip(), _values(params))[-500:]
            return {"failed": True, "msg": f"{command} gave no answer (rc {done['rc']}): {why}"}
        return said

    def _has_timers(self, choice: str) -> bool:
        """Say whether this host runs the timers: by default one of the hosts of a play does."""
        hosts = self._vars.get("ansible_play_hosts_all") or [self._vars.get("inventory_hostname")]
        return choice == "all" or (choice == "first" and hosts[0] == self._vars.get("inventory_hostname"))

    def _say(self, what: str) -> None:
        """One line of progress: a release may take a minute and a person watches."""
        host = self._vars.get("inventory_hostname", "host")
        self._display.display(f"  {host}: {self._layout.app} {what} ...", color="blue")
