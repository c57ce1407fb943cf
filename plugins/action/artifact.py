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

from ..module_utils._artifact import compare, identity, job
from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _builder, _parts, _wheels
from ..plugin_utils._build_action import SPEC, Request, build_store, cache_folder, previous, read_request
from ..plugin_utils._index import Index
from ..plugin_utils._repository import Repository
from ..plugin_utils._signing import Signer
from ..plugin_utils._watch import Watch, reader

_ON_HOST = "containerless.django.artifact_on_host"
_OWN: dict[str, dict[str, Any]] = {
    "platform": {"type": "str", "required": True},
    "cache": {"type": "path"},
    "folder": {"type": "str", "default": ""},
    "python": {"type": "path", "default": "/usr/bin/python3"},
    "encodings": {"type": "list", "elements": "str", "default": ["gzip"], "choices": ["gzip", "zstd"]},
    "index_url": {"type": "str", "default": "", "no_log": True},
    "wheelhouse": {"type": "path"},
    "signing_key": {"type": "path"},
}


class ActionModule(ActionBase):
    """Looks the build key up, and builds only what is not there."""

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = True
    # It would make a folder on the host before it is known whether there is anything to build.
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._vars = task_vars or {}
        self._seconds: dict[str, float] = {}
        self._warnings: list[str] = []
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
            signer = Signer(str(args["signing_key"])) if args["signing_key"] else None
            if signer is not None:
                signer.try_out()
        result: dict[str, Any] = {"platform": self._platform, "version": request.project.version, "key": key}
        if self._task.check_mode:
            plan = self._plan(request, target, repository, found)
            unsigned = signer is not None and found and signer.sign_artifact(repository, found, check_mode=True)
            return {**result, **plan, "changed": plan["changed"] or bool(unsigned)}
        built = found is None
        if found is None:
            before = previous(repository, request.channel, target.python)
            found = self._make(args, request, target, repository)
            if self._task.diff:
                result["diff"] = {"prepared": compare.artifacts(repository, before, found).text()}
        signed = signer is not None and signer.sign_artifact(repository, found)
        result |= {"content_id": found, "changed": built or signed, "seconds": self._seconds}
        return {**result, "warnings": [f"{self._platform}: {warning}" for warning in self._warnings]}

    def _plan(
        self, request: Request, target: _wheels.Platform, repository: Repository, found: str | None
    ) -> dict[str, Any]:
        """Say what a build would do; what changes is known as far as the commit tells it."""
        verb = "is there already" if found else "would be built"
        plan: dict[str, Any] = {"content_id": found, "changed": found is None, "seconds": self._seconds, "warnings": []}
        old = None if found else previous(repository, request.channel, target.python)
        if old is not None:
            before = repository.manifest(old)
            after = _builder.foreseen(before, request.project, target)
            plan["diff"] = {"prepared": compare.compare(compare.Side(before), compare.Side(after)).text()}
        return {**plan, "msg": f"{self._platform} {verb}"}

    def _make(self, args: dict[str, Any], request: Request, target: _wheels.Platform, repository: Repository) -> str:
        """Build what is missing; return its content_id."""
        key, layer_key = request.key(self._platform), request.layer_key(self._platform)
        with tempfile.TemporaryDirectory(prefix="containerless-") as name:
            scratch = Path(name)
            with self._step("parts"):
                layer = _parts.find_layer(
                    repository, layer_key, scratch / "layer", self._warnings.append, args["encodings"]
                )
                parts = self._gather(args, request, target, layer)
            built = self._build(args, request, target, parts, scratch)
            with self._step("publish"):
                content_id = self._publish(repository, built, scratch)
                repository.put_build(key, content_id)
                repository.put_layer(layer_key, content_id)
        spent = ", ".join(f"{name.removeprefix('machine: ')} {seconds:.1f}" for name, seconds in self._seconds.items())
        self._say(f"built {content_id[:12]} (seconds: {spent})")
        self._warnings += built["faults"]
        return content_id

    def _gather(
        self, args: dict[str, Any], request: Request, target: _wheels.Platform, layer: _builder.Layer | None
    ) -> _builder.Parts:
        project = request.project
        index = Index(
            url=str(args["index_url"]) or None,
            wheelhouse=Path(str(args["wheelhouse"])) if args["wheelhouse"] else None,
            options=project.lock.index_options,
        )
        cache = Path(str(args["cache"])) if args["cache"] else cache_folder(os.environ)
        parts, fetched = _parts.gather(project, target, layer, index, cache)
        sdists = f", {len(parts.sdists)} sdists" if parts.sdists else ""
        self._say(
            "takes the environment of an earlier build"
            if layer
            else f"{len(parts.wheels)} wheels, {fetched} of them fetched{sdists}"
        )
        return parts

    def _build(
        self,
        args: dict[str, Any],
        request: Request,
        target: _wheels.Platform,
        parts: _builder.Parts,
        scratch: Path,
    ) -> dict[str, Any]:
        """Build on the host; return its documents, with the blobs in the scratch folder."""
        if self._connection.become:
            raise ContainerlessError(
                "artifact needs no root on the build host and fetches as who connects: become: false"
            )
        with self._step("bundle"):
            told = _builder.inputs(
                request.project,
                target,
                parts,
                key=request.key(self._platform),
                uv=request.uv_version,
                encodings=[str(encoding) for encoding in args["encodings"]],
            )
            _builder.write_bundle(scratch / "bundle.tar", request.project, parts, told, request.uv)
        join = self._connection._shell.join_path
        with self._step("transfer"):
            remote = self._make_tmp_path()
            self._transfer_file(str(scratch / "bundle.tar"), join(remote, "bundle.tar"))
        where = self._task.delegate_to or self._vars.get("inventory_hostname", "the build host")
        self._say(f"building {request.project.version} on {where}")
        asked = {
            "bundle": join(remote, "bundle.tar"),
            "out": remote,
            "folder": str(args["folder"]),
            "python": str(args["python"]),
        }
        with self._step("machine"), Watch(reader(self._connection, join(remote, job.PROGRESS)), self._say):
            built: dict[str, Any] = self._execute_module(module_name=_ON_HOST, module_args=asked, task_vars=self._vars)
        if built.get("failed"):
            raise AnsibleActionFail(f"{self._platform}: {built.get('msg', 'the build failed')}", result=built)
        self._seconds.update({f"machine: {name}": seconds for name, seconds in built["seconds"].items()})
        with self._step("fetch"):
            for encoding in told["encodings"]:
                self._connection.fetch_file(join(remote, f"blob.{encoding}"), str(scratch / f"blob.{encoding}"))
        return built

    def _publish(self, repository: Repository, built: dict[str, Any], scratch: Path) -> str:
        """Put what came back into the build store: the store compares each file with what the documents say."""
        manifest, provenance, sbom = (built[name].encode() for name in ("manifest", "provenance", "sbom"))
        said = canonical.loads(provenance, "the provenance of the build host")
        blobs = {blob["sha256"]: scratch / f"blob.{blob['encoding']}" for blob in said["blobs"]}
        repository.publish(manifest, provenance, sbom, blobs)
        return identity.content_id(canonical.loads(manifest, "the manifest of the build host"))

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self._seconds[name] = round(time.monotonic() - begin, 2)

    def _say(self, what: str) -> None:
        """One line of progress a phase: a build takes a while and a person watches."""
        self._display.display(f"  {self._platform}: {what}", color="blue")
