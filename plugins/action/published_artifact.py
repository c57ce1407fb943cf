# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documented in plugins/modules/published_artifact.py."""

from __future__ import annotations

import typing as t

from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _signing, _tested
from ..plugin_utils._artifact_file import path_of
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
        to_file = path_of(args["store"]) is not None
        target = repository(args, option="app_store", missing=Missing.CREATE if to_file else Missing.REFUSE)
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
        if to_file:
            _check_file(target, source.index(built["index_id"]), target.channel(args["channel"]), built)
        signed_by = {
            variant["content_id"]: _signing.check_copy(source, target, variant["content_id"], args["signers"])
            for variant in source.index(built["index_id"])["variants"]
        }
        if args["require_test_record"] and not self.check_mode:
            tested = _tested_in(source, target, built["index_id"], args["test_level"])
            for content_id in signed_by if args["signers"] else ():
                _tested.check_any(tested, content_id, args["test_level"], args["signers"], _tested.now())
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


def _check_file(
    target: Repository, index: dict[str, t.Any], held: dict[str, t.Any] | None, built: dict[str, t.Any]
) -> None:
    """Raise when an artifact file has no room for an index: it holds one artifact, and goes on holding it."""
    if len(index["variants"]) > 1:
        raise ContainerlessError(
            f"{target.store.name} is one artifact, and {index['project']} {index['version']} has"
            f" {len(index['variants'])} variants; build one platform for it (app_build_platforms)"
        )
    if held not in (None, built):
        raise ContainerlessError(
            f"{target.store.name} holds another artifact, of version {held['version']}; name another file"
        )


def _tested_in(source: Repository, target: Repository, index_id: str, level: str) -> Repository:
    """Return the store with the test records of all variants, for whatever configuration. Raises when none has them."""
    now = _tested.now()
    untested = _tested.untested(source, index_id, level, now)
    if not untested:
        return source
    if target.has_index(index_id) and not _tested.untested(target, index_id, level, now):
        return target
    raise ContainerlessError(
        f"artifact {untested[0]} in {source.store.name} has no passed test record of level {level} that is still"
        " good; run the test playbook, or set app_upload_require_test_record: false"
    )


def _text(channel: str, document: dict[str, t.Any] | None) -> str:
    return "" if document is None else f"{channel}: {document['version']} (index {document['index_id']})\n"
