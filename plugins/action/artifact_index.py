# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The artifact_index action: one index over the artifacts of a commit, and the channel that follows its source."""

from __future__ import annotations

import typing as t

from ..module_utils._artifact import identity
from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils._build_action import PLATFORMS, SPEC, build_store, read_request
from ..plugin_utils._store_action import Args, Result, StoreAction


class ActionModule(StoreAction):
    """Changes the channel only when it points elsewhere."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {**SPEC, "platforms": PLATFORMS}

    def act(self, args: Args) -> Result:
        request = read_request(args)
        repository = build_store(args, check_mode=self.check_mode)
        found = {name: repository.build(request.key(name)) for name in args["platforms"]}
        result = {"channel": request.channel, "version": request.project.version, "content_ids": found}
        missing = [name for name, content_id in found.items() if content_id is None]
        if missing and self.check_mode:
            return {**result, "changed": True, "index_id": None, "msg": "the index would be written after the builds"}
        if missing:
            raise ContainerlessError(
                f"{request.project.version} is not built for {', '.join(missing)}; run the build first"
            )
        index = identity.make_index([repository.manifest(content_id) for content_id in found.values() if content_id])
        index_id, before = identity.index_id(index), repository.channel(request.channel)
        diff = {"before": {"index_id": before and before["index_id"]}, "after": {"index_id": index_id}}
        if self.check_mode:
            changed = before is None or before["index_id"] != index_id
        else:
            repository.put_index(index)
            changed = repository.set_channel(request.channel, repository.pointer(index_id))
        return {**result, "changed": changed, "index_id": index_id, "diff": diff}
