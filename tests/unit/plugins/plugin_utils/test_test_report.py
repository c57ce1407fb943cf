# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from ansible_collections.containerless.django.plugins.plugin_utils import _test_report
from ansible_collections.containerless.django.plugins.plugin_utils._test_report import Row

STEPS = [["unpack", 5.1], ["migrate", 0.9]]
CHECKS: list[dict[str, Any]] = [
    {"name": "pages", "passed": True, "seconds": 0.1, "detail": "/ answered", "log": ""},
    {"name": "static files", "passed": False, "seconds": 0.2, "detail": "nobody serves /x.css", "log": "\x1b[31mred"},
]
FAILURE = {
    "action": "containerless.django.release",
    "msg": "the migration failed: no such column",
    "evidence": {"step": "migrate", "status": 500, "body": "<h1>", "journal": {"web": ["one", "two"]}},
}


def test_a_release_that_went_live_stands_before_its_checks() -> None:
    rows = _test_report.rows(STEPS, CHECKS, {})
    assert [(row.name, row.passed) for row in rows] == [
        ("release: unpack", True),
        ("release: migrate", True),
        ("pages", True),
        ("static files", False),
    ]


def test_a_release_that_failed_names_its_step_and_skips_the_checks() -> None:
    rows = _test_report.rows([], [], FAILURE)
    assert [(row.name, row.passed) for row in rows[-3:]] == [
        ("release: hold", True),
        ("release: migrate", False),
        ("checks", None),
    ]
    assert rows[-2].detail == "the migration failed: no such column"
    assert rows[-2].log == "--- answer 500\n<h1>\n--- web\none\ntwo"


def test_a_refusal_before_the_first_step_is_one_of_the_preflight() -> None:
    rows = _test_report.rows([], [], {"action": "containerless.django.release", "msg": "no Python 3.11"})
    assert [(row.name, row.passed, row.detail) for row in rows] == [
        ("release: preflight", False, "no Python 3.11"),
        ("checks", None, "not run: the release did not go live"),
    ]


def test_checks_that_could_not_be_made_are_no_failure_of_the_release() -> None:
    rows = _test_report.rows([], [], {"action": "containerless.django.release_checks", "msg": "lost"})
    assert [(row.name, row.passed, row.detail) for row in rows] == [("checks", False, "lost")]


def test_a_record_holds_what_is_the_same_for_the_same_outcome() -> None:
    rows = [*_test_report.rows([], CHECKS[:1], {}), Row("later", None, None, "not run")]
    assert _test_report.record_checks(rows) == [{"name": "pages", "passed": True, "detail": "/ answered"}]


def test_junit_counts_what_it_lists() -> None:
    rows = [*_test_report.rows(STEPS, CHECKS, {}), Row("later", None, None, "not run")]
    root = ET.fromstring(_test_report.junit("shop 1.0.0, level default", rows))
    suite = root[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "1", "1")
    assert suite.get("time") == "6.300"
    failure = root.find(".//testcase[@name='static files']/failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("nobody serves /x.css", "\N{REPLACEMENT CHARACTER}[31mred")
    assert root.find(".//testcase[@name='later']/skipped") is not None
