# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The release action: store on this side, transaction on the host, and few trips between them."""

from __future__ import annotations

import getpass
import platform
import tempfile
import uuid
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils._core.errors import ContainerlessError
from ..module_utils._core.names import Layout
from ..module_utils._release import tool
from ..plugin_utils import _release_config, _release_offer
from ..plugin_utils._release_spec import SPEC
from ..plugin_utils._repository import Repository
from ..plugin_utils._store import open_store
from ..plugin_utils._units import Templates

_ROOMS = Path(__file__).parent.parent / "module_utils"
_ON_HOST = "containerless.django.release_on_host"


class ActionModule(ActionBase):
    """Sends the artifact if its tree is missing, and runs one module."""

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._vars = task_vars or {}
        _, args = self.validate_argument_spec(**SPEC)
        try:
            layout = Layout(args["name"])
            if args["state"] == "present":
                return self._present(args, layout)
            return self._on_host(args)
        except ContainerlessError as exc:
            raise AnsibleActionFail(str(exc)) from None

    def _present(self, args: dict[str, Any], layout: Layout) -> dict[str, Any]:
        config = _release_config.make({**args["config"], "secrets": args["secrets"]})
        if not args["index_id"]:
            if self._task.check_mode:
                return {
                    "changed": True,
                    "msg": f"{layout.app}: nothing is published yet; it would be built, tested and released",
                }
            raise ContainerlessError(
                f"channel {args['channel']!r} of {args['store']} names no release of {layout.app}; upload one first"
            )
        info = args["observed"]
        repository = Repository(open_store(args["store"]), layout.app)
        templates = Templates(release=Path(args["templates"]), sandbox=Path(args["sandbox_templates"]))
        offer = _release_offer.make(
            repository,
            index_id=args["index_id"],
            host=info["host"],
            layout=layout,
            config=config,
            templates=templates,
            signers=args["signers"],
        )
        if args["require_test_record"]:
            _release_offer.check_tested(repository, offer.content_id, args["untested_reason"], args["signers"])
        sent = {}
        if offer.content_id not in info["trees"]:
            repository.check_readable(offer.content_id, info["host"]["encodings"])
            if not self._task.check_mode:
                sent = self._send(repository, offer.content_id, layout, info["host"]["encodings"])
        if not self._task.check_mode:
            self._say(layout, f"releases {offer.release_id}")
        digest, packed = tool.pack(str(_ROOMS))
        extra = {
            "desired": offer.desired(),
            **sent,
            "tool": {"digest": digest, "packed": packed} if digest != info["tool"] else {},
        }
        result = self._on_host(args, extra)
        warnings = _release_offer.warnings(offer.manifest)
        return {**result, "warnings": [*result.get("warnings", []), *warnings]} if warnings else result

    def _send(self, repository: Repository, content_id: str, layout: Layout, encodings: list[str]) -> dict[str, str]:
        """Stream the compressed tar to the host; the temporary folder there is removed by Ansible."""
        with tempfile.TemporaryDirectory(prefix="containerless-") as scratch:
            blob = Path(scratch) / "artifact"
            encoding = repository.fetch_blob(content_id, blob, encodings)
            self._say(layout, f"sends the artifact ({blob.stat().st_size / 1e6:.1f} MB)")
            remote = self._connection._shell.join_path(self._make_tmp_path(), "artifact")
            self._transfer_file(str(blob), remote)
        return {"artifact": str(remote), "encoding": encoding}

    def _on_host(self, args: dict[str, Any], extra: dict[str, Any] | None = None) -> dict[str, Any]:
        passed = (
            "name",
            "state",
            "secrets",
            "drain",
            "lock_wait",
            "migrations",
            "to",
            "accept_newer_schema",
            "remove_data",
        )
        reason = args["untested_reason"] and f"untested: {args['untested_reason']}"
        request = {
            **{name: args[name] for name in passed},
            "allow_older": not args["signers"] if args["allow_older"] is None else args["allow_older"],
            "run": uuid.uuid4().hex[:12],
            "who": f"{getpass.getuser()}@{platform.node()}",
            "reason": "; ".join(filter(None, (args["reason"], reason))),
            "desired": {},
            "artifact": "",
            "tool": {},
            **(extra or {}),
        }
        result: dict[str, Any] = self._execute_module(module_name=_ON_HOST, module_args=request, task_vars=self._vars)
        for name, seconds in result.get("steps", []):
            self._display.vv(f"{name}: {seconds:.2f} s")
        return result

    def _say(self, layout: Layout, what: str) -> None:
        """One line of progress a phase: a release may take a minute and a person watches."""
        self._display.display(
            f"  {self._vars.get('inventory_hostname', 'host')}: {layout.app} {what} ...", color="blue"
        )
