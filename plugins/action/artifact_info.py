# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documented in plugins/modules/artifact_info.py."""

from __future__ import annotations

import typing as t

from ..module_utils._artifact import compare
from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _offer
from ..plugin_utils._signing import signed_by
from ..plugin_utils._store_action import Args, Result, StoreAction, repository


class ActionModule(StoreAction):
    """Reads one artifact of a store, on demand to its last byte, and what differs from another one."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "project": {"type": "str", "required": True},
        "store": {"type": "str", "required": True},
        "content_id": {"type": "str", "default": ""},
        "channel": {"type": "str", "default": ""},
        "platform": {"type": "str", "default": ""},
        "verify": {"type": "bool", "default": False},
        "compare_to": {"type": "str", "default": ""},
        "shown_files": {"type": "int", "default": compare.SHOWN},
        "signers": {"type": "list", "elements": "str", "default": []},
    }

    def act(self, args: Args) -> Result:
        meant = args["content_id"] or args["channel"]
        if not meant or args["shown_files"] < 0:
            raise ContainerlessError("content_id or channel must be given, and shown_files can't be less than 0")
        shelf = repository(args, option="app_store")
        content_id = _offer.choose(shelf, meant, args["platform"])
        provenance = shelf.provenance(content_id)
        result: Result = {
            "changed": False,
            "content_id": content_id,
            "platform": str(provenance.get("platform")),
            "manifest": shelf.manifest(content_id),
            "provenance": provenance,
            "sbom": shelf.sbom(content_id),
            "signed_by": signed_by(shelf, content_id, args["signers"]),
        }
        if args["verify"]:
            result["verified"] = _offer.prove(shelf, content_id)
        if args["compare_to"]:
            before = _offer.choose(shelf, args["compare_to"], result["platform"])
            found = compare.artifacts(shelf, before, content_id)
            result["compared_to"] = before
            result["difference"] = found.as_dict(args["shown_files"])
            result["diff"] = {"prepared": found.text(args["shown_files"])}
        return result
