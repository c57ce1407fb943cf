# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documented in plugins/modules/published_artifact_info.py."""

from __future__ import annotations

import typing as t

from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils._store import Missing
from ..plugin_utils._store_action import Args, Result, StoreAction, repository

if t.TYPE_CHECKING:
    from ..plugin_utils._repository import Repository


class ActionModule(StoreAction):
    """Reads what a store holds under an index_id, a version or a channel."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "project": {"type": "str", "required": True},
        "store": {"type": "str", "required": True},
        "missing_ok": {"type": "bool", "default": False},
        "index_id": {"type": "str", "default": ""},
        "version": {"type": "str", "default": ""},
        "channel": {"type": "str", "default": ""},
    }

    def act(self, args: Args) -> Result:
        missing = Missing.EMPTY if args["missing_ok"] else Missing.REFUSE
        shelf = repository(args, option="app_store", missing=missing)
        index_id = _find(shelf, args)
        if index_id is None:
            return {"changed": False, "found": False}
        index = shelf.index(index_id)
        content_ids = [variant["content_id"] for variant in index["variants"]]
        return {
            "changed": False,
            "found": True,
            "index_id": index_id,
            "version": index["version"],
            "commit": index["commit"],
            "index": index,
            "manifests": {content_id: shelf.manifest(content_id) for content_id in content_ids},
            "records": {content_id: shelf.records(content_id) for content_id in content_ids},
            "platforms": {content_id: shelf.provenance(content_id).get("platform") for content_id in content_ids},
        }


def _find(shelf: Repository, args: Args) -> str | None:
    if args["index_id"]:
        return str(args["index_id"]) if shelf.has_index(args["index_id"]) else None
    if args["version"]:
        found = shelf.indexes(args["version"])
        if len(found) > 1:
            raise ContainerlessError(
                f"version {args['version']} has {len(found)} indexes, name one: {', '.join(found)}"
            )
        return found[0] if found else None
    if not args["channel"]:
        raise ContainerlessError("one of index_id, version and channel must be given")
    pointer = shelf.channel(args["channel"])
    return None if pointer is None else str(pointer["index_id"])
