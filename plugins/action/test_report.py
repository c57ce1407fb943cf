# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documented in plugins/modules/test_report.py."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ..module_utils._artifact import compare
from ..module_utils._core.errors import ContainerlessError
from ..plugin_utils import _offer, _test_report, _tested
from ..plugin_utils._store import Missing
from ..plugin_utils._store_action import Args, Result, StoreAction, repository

if t.TYPE_CHECKING:
    from ..plugin_utils._repository import Document, Repository


class ActionModule(StoreAction):
    """Writes what a test found, passed or not."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "project": {"type": "str", "required": True},
        "store": {"type": "str", "required": True},
        "content_id": {"type": "str", "required": True},
        "level": {"type": "str", "default": "default", "choices": ["default", "full"]},
        "dest": {"type": "path", "required": True},
        "template": {"type": "path", "required": True},
        "stages": {"type": "list", "elements": "dict", "required": True},
        "exposure": {"type": "dict", "default": {}},
        "machine": {"type": "dict", "default": {}},
        "previous_store": {"type": "str", "default": ""},
        "previous_channel": {"type": "str", "default": "production"},
    }

    def act(self, args: Args) -> Result:
        shelf = repository(args, option="app_build_store")
        manifest = shelf.manifest(args["content_id"])
        before, alone = _previous(args, str(shelf.provenance(args["content_id"]).get("platform")))
        report = _test_report.Report(
            title=f"{args['project']} {manifest['version']}, level {args['level']}",
            facts=_facts(args, manifest),
            rows=_test_report.rows(args["stages"]),
            exposure=args["exposure"],
            difference=compare.compare(compare.Side(before or {}), compare.Side(manifest)),
            previous=before["version"] if before else "",
            alone=alone,
        )
        # The same artifact may be tested on hosts of several systems.
        where = args["machine"].get("image")
        words = [args["project"], manifest["version"], args["content_id"][:12], args["level"], where]
        stem = "-".join(filter(None, words))
        paths = {kind: str(Path(args["dest"], f"{stem}.{kind}")) for kind in ("xml", "html")}
        if not self.check_mode:
            Path(args["dest"]).mkdir(parents=True, exist_ok=True)
            template = Path(args["template"]).read_text(encoding="utf-8")
            _write(Path(paths["xml"]), _test_report.junit(report.title, report.rows))
            _write(Path(paths["html"]), report.html(template))
        return {
            "changed": True,
            "passed": report.passed,
            "checks": _test_report.record_checks(report.rows),
            "junit": paths["xml"],
            "html": paths["html"],
        }


def _write(path: Path, text: str) -> None:
    """Write a file that is whole or not there: CI reads what a run that was killed left."""
    fresh = path.with_name(f".{path.name}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _previous(args: Args, platform: str) -> tuple[Document | None, str]:
    """Return the manifest of what a channel names for the same platform, or why there is none."""
    if not args["previous_store"]:
        return None, "app_test_previous_store is empty"
    try:
        shelf: Repository = repository(args, "previous_store", option="app_store", missing=Missing.EMPTY)
        return shelf.manifest(_offer.choose(shelf, args["previous_channel"], platform)), ""
    except ContainerlessError as exc:
        # A first artifact, or one for another platform; a damaged store and a typo must not look the same.
        return None, str(exc)


def _facts(args: Args, manifest: Document) -> dict[str, str]:
    machine = args["machine"]
    return {
        "artifact": args["content_id"],
        "commit": manifest["source"]["commit"],
        "machine": ", ".join(f"{name} {value}" for name, value in machine.items()) or "not known",
        "time": _tested.now(),
    }
