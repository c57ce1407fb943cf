# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documented in plugins/modules/test_record.py."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ..module_utils._core import schemas
from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _tested
from ..plugin_utils._repository import record_name
from ..plugin_utils._signing import Signer
from ..plugin_utils._store_action import Args, Result, StoreAction, repository

if t.TYPE_CHECKING:
    from ..plugin_utils._repository import Repository


class ActionModule(StoreAction):
    """Writes that an artifact passed its checks."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "project": {"type": "str", "required": True},
        "store": {"type": "str", "required": True},
        "content_id": {"type": "str", "required": True},
        "level": {"type": "str", "default": "default", "choices": ["default", "full"]},
        "checks": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "passed": {"type": "bool", "required": True},
                "detail": {"type": "str", "default": ""},
            },
        },
        "machine": {
            "type": "dict",
            "required": True,
            "options": {
                "image": {"type": "str", "required": True},
                "systemd": {"type": "int", "required": True},
                "python": {"type": "str", "required": True},
                "backend": {"type": "str", "required": True},
            },
        },
        "config": {"type": "dict", "required": True},
        "overlay": {"type": "str", "default": ""},
        "reports": {"type": "list", "elements": "path", "default": []},
        "valid_for": {"type": "int", "default": 90},
        "signing_key": {"type": "path", "default": ""},
        "earlier": {"type": "bool", "default": False},
    }

    def act(self, args: Args) -> Result:
        shelf = repository(args, option="app_build_store")
        record = _record(args)
        name = record_name(record)
        known, key = shelf.record(record["content_id"], name), args["signing_key"]
        # Whoever put there what this key has not signed may have written any expiry into it.
        foreign = bool(key) and not args["earlier"] and known is not None and not _has_signed(key, shelf, known)
        if known is not None and not foreign and record["time"] < known["expires"] and _same(known, record):
            return {"changed": self._sign(shelf, known, key), "record": known}
        if not self.check_mode:
            shelf.put_record(record, whatever=foreign)
            for report in map(Path, args["reports"]):
                shelf.put_report(record, report.suffix[1:], report.read_bytes())
            self._sign(shelf, record, key)
        return {"changed": True, "record": record}

    def _sign(self, shelf: Repository, record: dict[str, t.Any], key: str) -> bool:
        if not key:
            return False
        return Signer(key).sign_record(shelf, record["content_id"], record_name(record), check_mode=self.check_mode)


def _has_signed(key: str, shelf: Repository, record: dict[str, t.Any]) -> bool:
    try:
        return not Signer(key).sign_record(shelf, record["content_id"], record_name(record), check_mode=True)
    except ContainerlessError:  # it was edited since
        return False


def _same(known: dict[str, t.Any], record: dict[str, t.Any]) -> bool:
    return {**known, "time": "", "expires": ""} == {**record, "time": "", "expires": ""}


def _record(args: Args) -> dict[str, t.Any]:
    failed = [check for check in args["checks"] if not check["passed"]]
    if failed or not args["checks"]:
        said = [f"check {check['name']} failed: {check['detail']}" for check in failed]
        reason = "; ".join(said) or "no check was made"
        raise ContainerlessError(f"artifact {args['content_id']} gets no test record, {reason}")
    if args["valid_for"] < 1:
        raise ContainerlessError(f"app_test_valid_for is {args['valid_for']}; it is days, at least 1")
    now = _tested.now()
    record = {
        "schema": "containerless.test-record/v1",
        "content_id": args["content_id"],
        "level": args["level"],
        "config_class": _tested.config_class(args["config"]),
        "passed": True,
        "machine": args["machine"],
        "checks": args["checks"],
        "time": now,
        "expires": _tested.later(now, args["valid_for"]),
        **({"overlay": args["overlay"]} if args["overlay"] else {}),
    }
    return t.cast("dict[str, t.Any]", schemas.check("test-record", record, "test record"))
