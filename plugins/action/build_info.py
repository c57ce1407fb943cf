# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The build_info action: which artifacts of a commit are in the build store. Runs on the control node alone."""

from __future__ import annotations

import typing as t

from ..plugin_utils._build_action import PLATFORMS, SPEC, build_store, read_request
from ..plugin_utils._store_action import Args, Result, StoreAction


class ActionModule(StoreAction):
    """Reads source and store, writes nothing."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {**SPEC, "platforms": PLATFORMS}

    def act(self, args: Args) -> Result:
        request = read_request(args)
        repository = build_store(args, check_mode=True)
        keys = {name: request.key(name) for name in args["platforms"]}
        artifacts = [{"platform": name, "key": key, "content_id": repository.build(key)} for name, key in keys.items()]
        return {
            "changed": False,
            "version": request.project.version,
            "commit": request.project.source.commit,
            "channel": request.channel,
            "artifacts": artifacts,
            "missing": [item["platform"] for item in artifacts if item["content_id"] is None],
        }
