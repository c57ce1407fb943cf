# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The artifact action: what needs the network happens here, everything else on the build host, in one module."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils._artifact import identity
from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _builder, _wheels
from ..plugin_utils._build_action import SPEC, Request, build_store, cache_folder, read_request
from ..plugin_utils._repository import Repository

_ON_HOST = "containerless.django.artifact_on_host"
_OWN = {
    "platform": {"type": "str", "required": True},
    "cache": {"type": "path"},
    "folder": {"type": "str", "default": ""},
    "python": {"type": "path", "default": "/usr/bin/python3"},
}


class ActionModule(ActionBase):
    """Looks the build key up, and builds only what is not there."""

    _supports_check_mode = True
    _requires_connection = True
    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._vars = task_vars or {}
        self._seconds: dict[str, float] = {}
        _, args = self.validate_argument_spec(argument_spec={**SPEC, **_OWN})
        self._platform = str(args["platform"])
        try:
            return self._present(args)
        except ContainerlessError as exc:
            raise AnsibleActionFail(str(exc)) from None

    def _present(self, args: dict[str, Any]) -> dict[str, Any]:
        with self._step("inputs"):
            request, target = read_request(args), _builder.platform(self._platform)
            repository = build_store(args, check_mode=self._task.check_mode)
            key = request.key(self._platform)
            found = repository.build(key)
        result = {"platform": self._platform, "version": request.project.version, "key": key, "content_id": found}
        if found is not None or self._task.check_mode:
            verb = "is there already" if found else "would be built"
            return {
                **result,
                "changed": found is None,
                "seconds": self._seconds,
                "warnings": [],
                "msg": f"{self._platform} {verb}",
            }
        with tempfile.TemporaryDirectory(prefix="containerless-") as scratch:
            built = self._build(args, request, target, key, Path(scratch))
            content_id = self._publish(repository, built, key, Path(scratch, "blob"))
        spent = ", ".join(f"{name.removeprefix('machine: ')} {seconds:.1f}" for name, seconds in self._seconds.items())
        self._say(f"built {content_id[:12]} (seconds: {spent})")
        warnings = [f"{self._platform}: {warning}" for warning in built["faults"]]
        return {**result, "content_id": content_id, "changed": True, "seconds": self._seconds, "warnings": warnings}

    def _build(
        self, args: dict[str, Any], request: Request, target: _wheels.Platform, key: str, scratch: Path
    ) -> dict[str, Any]:
        """Build on the host; return its documents, with the blob beside the bundle."""
        project, options = request.project, request.project.options
        cache = Path(str(args["cache"])) if args["cache"] else cache_folder(os.environ)
        if self._connection.become:
            raise ContainerlessError(
                "artifact needs no root on the build host and fetches as who connects: become: false"
            )
        with self._step("wheels"):
            wheels, fetched = _wheels.wheels_for(project.lock, target, options.lock, cache)
        self._say(f"{len(wheels)} wheels, {fetched} of them fetched; sending them to the build host")
        with self._step("bundle"):
            bundle = scratch / "bundle.tar"
            told = _builder.inputs(project, target, wheels, key)
            _builder.write_bundle(bundle, project, wheels, told, request.uv)
        with self._step("transfer"):
            remote = self._make_tmp_path()
            there, blob = (self._connection._shell.join_path(remote, name) for name in ("bundle.tar", "blob"))
            self._transfer_file(str(bundle), there)
        where = self._task.delegate_to or self._vars.get("inventory_hostname", "the build host")
        self._say(f"building {project.version} on {where}")
        asked = {"bundle": there, "blob": blob, "folder": str(args["folder"]), "python": str(args["python"])}
        with self._step("machine"):
            built: dict[str, Any] = self._execute_module(module_name=_ON_HOST, module_args=asked, task_vars=self._vars)
        if built.get("failed"):
            raise AnsibleActionFail(f"{self._platform}: {built.get('msg', 'the build failed')}", result=built)
        self._seconds.update({f"machine: {name}": seconds for name, seconds in built["seconds"].items()})
        with self._step("fetch"):
            self._connection.fetch_file(blob, str(scratch / "blob"))
        return built

    def _publish(self, repository: Repository, built: dict[str, Any], key: str, blob: Path) -> str:
        """Put what came back into the build store: the store compares the blob with what the provenance says."""
        manifest, provenance = built["manifest"].encode(), built["provenance"].encode()
        content_id = identity.content_id(canonical.loads(manifest, "the manifest of the build host"))
        digest = canonical.loads(provenance, "the provenance of the build host")["blobs"][0]["sha256"]
        with self._step("publish"):
            repository.publish(manifest, provenance, {digest: blob})
            repository.put_build(key, content_id)
        return content_id

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self._seconds[name] = round(time.monotonic() - begin, 2)

    def _say(self, what: str) -> None:
        """One line of progress a phase: a build takes a while and a person watches."""
        self._display.display(f"  {self._platform}: {what}", color="blue")
