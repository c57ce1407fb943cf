# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documented in plugins/modules/test_overlay.py."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ..module_utils._core import canonical
from ..plugin_utils import _builder, _overlay
from ..plugin_utils._build_action import cache_folder
from ..plugin_utils._store_action import Args, Result, StoreAction, repository


class ActionModule(StoreAction):
    """Writes what the project's own tests need beside an artifact."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "project": {"type": "str", "required": True},
        "store": {"type": "str", "required": True},
        "content_id": {"type": "str", "required": True},
        "src": {"type": "path", "required": True},
        "dest": {"type": "path", "required": True},
        "groups": {"type": "list", "elements": "str"},
        "extras": {"type": "list", "elements": "str", "default": []},
        "lock": {"type": "str", "default": ""},
        "cache": {"type": "path"},
        "index_url": {"type": "str", "default": "", "no_log": True},
        "wheelhouse": {"type": "path"},
    }

    def act(self, args: Args) -> Result:
        shelf = repository(args, option="app_build_store")
        content_id, dest = args["content_id"], Path(args["dest"])
        if self.check_mode:
            return {"changed": not dest.exists(), "path": str(dest), "sha256": "", "distributions": [], "files": 0}
        asked = _overlay.Asked(
            groups=None if args["groups"] is None else tuple(args["groups"]),
            extras=tuple(args["extras"]),
            lock=args["lock"],
        )
        places = _overlay.Places(
            cache=Path(args["cache"]) if args["cache"] else cache_folder(os.environ),
            index_url=args["index_url"] or None,
            wheelhouse=Path(args["wheelhouse"]) if args["wheelhouse"] else None,
        )
        before = canonical.sha256(dest.read_bytes()) if dest.is_file() else ""
        target = _builder.platform(str(shelf.provenance(content_id).get("platform")))
        artifact = _overlay.Artifact(shelf.manifest(content_id), target)
        src = Path(os.path.expanduser(args["src"])).absolute()  # noqa: PTH111
        built = _overlay.build(src, artifact, asked, places, dest)
        return {
            "changed": built.sha256 != before,
            "path": str(dest),
            "sha256": built.sha256,
            "distributions": [f"{item['name']} {item['version']}" for item in built.document["distributions"]],
            "files": built.document["files"],
        }
