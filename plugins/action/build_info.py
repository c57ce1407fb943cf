# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The build_info action: which artifacts of a commit are in the build store. Runs on the control node alone."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils._build_action import PLATFORMS, SPEC, build_store, read_request


class ActionModule(ActionBase):
    """Reads source and store, writes nothing."""

    _supports_check_mode = True
    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(argument_spec={**SPEC, "platforms": PLATFORMS})
        try:
            request = read_request(args)
            repository = build_store(args, check_mode=True)
            keys = {str(name): request.key(str(name)) for name in args["platforms"]}
            artifacts = [
                {"platform": name, "key": key, "content_id": repository.build(key)} for name, key in keys.items()
            ]
        except ContainerlessError as exc:
            raise AnsibleActionFail(str(exc)) from None
        return {
            "changed": False,
            "version": request.project.version,
            "commit": request.project.source.commit,
            "channel": request.channel,
            "artifacts": artifacts,
            "missing": [item["platform"] for item in artifacts if item["content_id"] is None],
        }
