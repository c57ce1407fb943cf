# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from ansible_collections.containerless.django.plugins.module_utils._artifact import compare
from ansible_collections.containerless.django.plugins.plugin_utils import _test_report
from ansible_collections.containerless.django.plugins.plugin_utils._test_report import Row

from ..module_utils.documents import MANIFEST

DJANGO = {"name": "django", "version": "5.2", "file": "django.whl", "sha256": "0" * 64}
STEPS = [["unpack", 5.1], ["migrate", 0.9]]
CHECKS: list[dict[str, Any]] = [
    {"name": "pages", "passed": True, "seconds": 0.1, "detail": "/ answered", "log": ""},
    {"name": "static files", "passed": False, "seconds": 0.2, "detail": "nobody serves /x.css", "log": "\x1b[31mred"},
]
LIVE: list[dict[str, Any]] = [{"name": "release", "steps": STEPS}, {"name": "", "checks": CHECKS}]
FAILURE: dict[str, Any] = {
    "action": "containerless.django.release",
    "msg": "the migration failed: no such column",
    "evidence": {"step": "migrate", "status": 500, "body": "<h1>", "journal": {"web": ["one", "two"]}},
}


def test_a_release_that_went_live_stands_before_its_checks() -> None:
    rows = _test_report.rows(LIVE)
    assert [(row.name, row.passed) for row in rows] == [
        ("release: unpack", True),
        ("release: migrate", True),
        ("pages", True),
        ("static files", False),
    ]


def test_a_release_that_failed_names_its_step_and_skips_the_checks() -> None:
    rows = _test_report.rows([{"name": "release", "failure": FAILURE}])
    assert [(row.name, row.passed) for row in rows[-3:]] == [
        ("release: hold", True),
        ("release: migrate", False),
        ("what follows", None),
    ]
    assert rows[-2].detail == "the migration failed: no such column"
    assert rows[-2].log == "--- answer 500\n<h1>\n--- web\none\ntwo"


def test_a_refusal_before_the_first_step_is_one_of_the_preflight() -> None:
    failure = {"action": "containerless.django.release", "msg": "no Python 3.11"}
    rows = _test_report.rows([{"name": "release", "failure": failure}])
    assert [(row.name, row.passed, row.detail) for row in rows] == [
        ("release: preflight", False, "no Python 3.11"),
        ("what follows", None, "not run"),
    ]


def test_a_stage_without_a_name_fails_by_its_title() -> None:
    items = [{"failed": False, "msg": "made"}, {"failed": True, "msg": "no image debian99"}]
    failure = {"action": "containerless.django.machine", "msg": "One or more items failed", "results": items}
    rows = _test_report.rows([{"name": "", "title": "make a fresh machine", "failure": failure}])
    assert [(row.name, row.passed, row.detail) for row in rows] == [
        ("make a fresh machine", False, "no image debian99"),
        ("what follows", None, "not run"),
    ]


def test_checks_that_could_not_be_made_are_no_failure_of_the_release() -> None:
    failure = {"action": "containerless.django.release_checks", "msg": "lost"}
    rows = _test_report.rows([{"name": "", "failure": failure}])
    assert [(row.name, row.passed, row.detail) for row in rows] == [("checks", False, "lost")]


def test_a_record_holds_what_is_the_same_for_the_same_outcome() -> None:
    rows = [*_test_report.rows([{"name": "", "checks": CHECKS[:1]}]), Row("later", None, None, "not run")]
    assert _test_report.record_checks(rows) == [{"name": "pages", "passed": True, "detail": "/ answered"}]


def test_junit_counts_what_it_lists() -> None:
    rows = [*_test_report.rows(LIVE), Row("later", None, None, "not run")]
    root = ET.fromstring(_test_report.junit("shop 1.0.0, level default", rows))
    suite = root[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "1", "1")
    assert suite.get("time") == "6.300"
    failure = root.find(".//testcase[@name='static files']/failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("nobody serves /x.css", "\N{REPLACEMENT CHARACTER}[31mred")
    assert root.find(".//testcase[@name='later']/skipped") is not None


def report(rows: list[Row], old: dict[str, Any] | None = None) -> _test_report.Report:
    manifests = [{**MANIFEST, **change} for change in (old or {}, {"distributions": [DJANGO]})]
    difference = compare.compare(compare.Side(manifests[0] if old is not None else {}), compare.Side(manifests[1]))
    previous = MANIFEST["version"] if old is not None else ""
    return _test_report.Report("shop, level default", {"artifact": "6f0c"}, rows, {}, difference, previous)


def test_a_page_tells_all_of_it_and_escapes_what_others_wrote(root: Path) -> None:
    template = (root / "roles/app_test/templates/report.html.j2").read_text(encoding="utf-8")
    rows = [
        Row("pages", False, 0.25, "<b>broken</b>", "<script>alert(1)</script>"),
        Row("later", None, None, "not run"),
    ]
    old = {"distributions": [{**DJANGO, "version": "5.1"}]}
    page = report(rows, old).html(template)
    assert "<title>failed: shop, level default</title>" in page
    assert "&lt;b&gt;broken&lt;/b&gt;" in page
    assert "<script" not in page
    assert page.count('class="row"') == 2
    assert "<td>django</td><td>5.1</td><td>5.2</td>" in page
    alone = dataclasses.replace(report(rows), alone="<no channel production>").html(template)
    assert "against no earlier artifact</h2>\n<p>&lt;no channel production&gt;</p>" in alone


def test_a_report_passed_when_all_of_it_did_and_nothing_was_left_out() -> None:
    good = Row("pages", True, 0.1, "fine")
    assert report([good]).passed
    assert not report([good, Row("later", None, None, "not run")]).passed
    assert not report([good, Row("static", False, 0.1, "no")]).passed


def test_a_later_stage_carries_its_name() -> None:
    back = {"action": "containerless.django.release", "msg": "answered 500", "evidence": {"step": "health"}}
    stages: list[dict[str, Any]] = [
        {"name": "upgrade", "steps": STEPS[:1], "checks": CHECKS[:1]},
        {"name": "rollback", "failure": back},
    ]
    assert [row.name for row in _test_report.rows(stages)] == [
        "upgrade: unpack",
        "upgrade: pages",
        "rollback: health",
        "what follows",
    ]
    said = _test_report.rows(stages)[2].detail
    assert said == "no way back, the old code does not work on the newer schema: answered 500"
