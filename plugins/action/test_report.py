# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documented in plugins/modules/test_report.py."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ..plugin_utils import _test_report
from ..plugin_utils._store_action import Args, Result, StoreAction, repository


class ActionModule(StoreAction):
    """Writes what a test found, passed or not."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "project": {"type": "str", "required": True},
        "store": {"type": "str", "required": True},
        "content_id": {"type": "str", "required": True},
        "level": {"type": "str", "default": "default", "choices": ["default", "full"]},
        "dest": {"type": "path", "required": True},
        "steps": {"type": "list", "elements": "list", "default": []},
        "checks": {"type": "list", "elements": "dict", "default": []},
        "failure": {"type": "dict", "default": {}},
    }

    def act(self, args: Args) -> Result:
        manifest = repository(args, option="app_build_store").manifest(args["content_id"])
        found = _test_report.rows(args["steps"], args["checks"], args["failure"])
        title = f"{args['project']} {manifest['version']}, level {args['level']}"
        stem = f"{args['project']}-{manifest['version']}-{args['content_id'][:12]}-{args['level']}"
        files = {"junit": (f"{stem}.xml", _test_report.junit(title, found))}
        paths = {kind: str(Path(args["dest"], name)) for kind, (name, _text) in files.items()}
        if not self.check_mode:
            Path(args["dest"]).mkdir(parents=True, exist_ok=True)
            for name, text in files.values():
                Path(args["dest"], name).write_text(text, encoding="utf-8")
        return {
            "changed": True,
            "passed": all(row.passed for row in found),
            "checks": _test_report.record_checks(found),
            **paths,
        }
