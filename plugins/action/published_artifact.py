# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documented in plugins/modules/published_artifact.py."""

from __future__ import annotations

import typing as t

from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _signing
from ..plugin_utils._store import Missing
from ..plugin_utils._store_action import Args, Result, StoreAction, repository

if t.TYPE_CHECKING:
    from ..plugin_utils._repository import Repository


class ActionModule(StoreAction):
    """Copies an index with all that it names into another store, then moves a channel there."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "project": {"type": "str", "required": True},
        "store": {"type": "str", "required": True},
        "channel": {"type": "str", "default": "production"},
        "source": {"type": "str", "required": True},
        "source_channel": {"type": "str", "required": True},
        "require_test_record": {"type": "bool", "default": True},
        "test_level": {"type": "str", "default": "default", "choices": ["default", "full"]},
        "signers": {"type": "list", "elements": "str", "default": []},
        "state": {"type": "str", "default": "present", "choices": ["present"]},
    }

    def act(self, args: Args) -> Result:
        target = repository(args, option="app_store")
        missing = Missing.EMPTY if self.check_mode else Missing.REFUSE
        source = repository(args, "source", option="app_build_store", missing=missing)
        built = source.channel(args["source_channel"])
        if built is None:
            if self.check_mode:
                return {"changed": True, "msg": f"{args['project']} is not built yet; what is built would be uploaded"}
            raise ContainerlessError(
                f"{source.store.name} has no channel {args['source_channel']!r} of {args['project']};"
                " run the build playbook first"
            )
        if args["require_test_record"] and not self.check_mode:
            _refuse_untested(source, target, built["index_id"], args["test_level"])
        level = args["test_level"] if args["require_test_record"] and not self.check_mode else ""
        signed_by = {
            variant["content_id"]: _signing.check_copy(source, target, variant["content_id"], args["signers"], level)
            for variant in source.index(built["index_id"])["variants"]
        }
        return {**self._upload(source, target, built, args["channel"]), "signed_by": signed_by}

    def _upload(self, source: Repository, target: Repository, built: dict[str, t.Any], channel: str) -> Result:
        before = target.channel(channel)
        created = source.missing_in(target, built["index_id"])
        moved = before != built
        if not self.check_mode:
            source.copy_to(target, built["index_id"])
            target.set_channel(channel, built)
        return {
            "changed": bool(created) or moved,
            "created": created,
            "moved": moved,
            "channel": channel,
            "version": built["version"],
            "index_id": built["index_id"],
            "diff": {"before": _text(channel, before), "after": _text(channel, built)},
        }


def _refuse_untested(source: Repository, target: Repository, index_id: str, level: str) -> None:
    untested = source.untested(index_id, level)
    if untested and target.has_index(index_id):
        untested = [content_id for content_id in untested if content_id in target.untested(index_id, level)]
    if untested:
        raise ContainerlessError(
            f"artifact {untested[0]} in {source.store.name} has no passed test record of level {level};"
            " run the test playbook, or set app_upload_require_test_record: false"
        )


def _text(channel: str, document: dict[str, t.Any] | None) -> str:
    return "" if document is None else f"{channel}: {document['version']} (index {document['index_id']})\n"
