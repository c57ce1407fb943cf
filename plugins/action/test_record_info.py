# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documented in plugins/modules/test_record_info.py."""

from __future__ import annotations

import typing as t

from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _release_config, _tested
from ..plugin_utils._store_action import Args, Result, StoreAction, repository


class ActionModule(StoreAction):
    """Reads which test records count for a configuration."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "project": {"type": "str", "required": True},
        "store": {"type": "str", "required": True},
        "artifacts": {"type": "list", "elements": "dict", "required": True},
        "level": {"type": "str", "default": "default", "choices": ["default", "full"]},
        "config": {"type": "dict", "required": True},
        "secret_names": {"type": "list", "elements": "str", "default": []},
        "signers": {"type": "list", "elements": "str", "default": []},
    }

    def act(self, args: Args) -> Result:
        config = _release_config.make({**args["config"], "secrets": dict.fromkeys(args["secret_names"], "")})
        known = _tested.config_class(config)
        shelf = repository(args, option="app_build_store")
        records: list[dict[str, t.Any]] = []
        untested: list[dict[str, t.Any]] = []
        for artifact in args["artifacts"]:
            wanted = _tested.Wanted(args["level"], known, artifact["platform"])
            try:
                signers, now = args["signers"], _tested.now()
                found = _tested.counting(shelf, artifact["content_id"], wanted, signers=signers, time=now)
            except ContainerlessError as exc:
                untested.append({**artifact, "why": str(exc)})
            else:
                records.append(found)
        return {"changed": False, "config_class": known, "config": config, "records": records, "untested": untested}
