# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The artifact_index action: one index over the artifacts of a commit, and the channel that follows its source."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils._artifact import identity
from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils._build_action import PLATFORMS, SPEC, Request, build_store, read_request
from ..plugin_utils._repository import Repository


class ActionModule(ActionBase):
    """Changes the channel only when it points elsewhere."""

    _supports_check_mode = True
    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(argument_spec={**SPEC, "platforms": PLATFORMS})
        try:
            request = read_request(args)
            repository = build_store(args, check_mode=self._task.check_mode)
            return self._present(repository, request, [str(name) for name in args["platforms"]])
        except ContainerlessError as exc:
            raise AnsibleActionFail(str(exc)) from None

    def _present(self, repository: Repository, request: Request, platforms: list[str]) -> dict[str, Any]:
        found = {name: repository.build(request.key(name)) for name in platforms}
        result = {"channel": request.channel, "version": request.project.version, "content_ids": found}
        missing = [name for name, content_id in found.items() if content_id is None]
        if missing and self._task.check_mode:
            return {**result, "changed": True, "index_id": None, "msg": "the index would be written after the builds"}
        if missing:
            raise ContainerlessError(
                f"{request.project.version} is not built for {', '.join(missing)}; run the build first"
            )
        index = identity.make_index([repository.manifest(content_id) for content_id in found.values() if content_id])
        index_id, before = identity.index_id(index), repository.channel(request.channel)
        diff = {"before": {"index_id": before and before["index_id"]}, "after": {"index_id": index_id}}
        if self._task.check_mode:
            changed = before is None or before["index_id"] != index_id
        else:
            repository.put_index(index)
            changed = repository.set_channel(request.channel, repository.pointer(index_id))
        return {**result, "changed": changed, "index_id": index_id, "diff": diff}
