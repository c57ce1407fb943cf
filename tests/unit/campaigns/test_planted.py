# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.containerless.django.tests.campaigns import planted
from ansible_collections.containerless.django.tests.campaigns.planted import FAULTS, Caught, Fault
from ansible_collections.containerless.django.tests.fixtures.shop import history


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("faults") / "shop"
    history.create(made)
    return made


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_each_fault_can_be_planted(source: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "SOURCE", source)
    planted.plant(fault)
    head = planted.git("log", "-1", "--format=%s", repo=source)
    changed = fault.edit is not Fault("", "").edit
    assert (head == fault.what) is changed
    for path in source.rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


def test_there_are_twelve_faults_and_a_healthy_version_for_each_level_and_an_emulated_machine() -> None:
    assert len([fault for fault in FAULTS if fault.expected]) == 12
    healthy = [fault for fault in FAULTS if not fault.expected]
    assert [(fault.level, fault.extra.get("app_test_backend", "nspawn"), fault.limit) for fault in healthy] == [
        ("default", "nspawn", 60),
        ("full", "nspawn", 300),
        ("default", "qemu", 600),
    ]


def test_the_first_failure_of_a_report_is_the_step(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    cases = '<testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"><failure/></testcase>'
    report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert planted.first_failure([report]) == "b"
    report.write_text('<testsuites><testsuite><testcase name="a"/></testsuite></testsuites>')
    assert planted.first_failure([report]) == ""


# what was expected, what was found -> slipped through, another step, healthy ones refused
FOUND = [
    ("pages", "pages", [0, 0, 0]),
    ("pages", "", [1, 0, 0]),
    ("pages", "build", [0, 1, 0]),
    ("", "", [0, 0, 0]),
    ("", "pages", [0, 0, 1]),
]


@pytest.mark.parametrize(("expected", "step", "measured"), FOUND)
def test_a_fault_that_slips_through_misses_a_bar(expected: str, step: str, measured: list[int]) -> None:
    rows = planted.rows([Caught(Fault("x", expected, limit=60), step, 30.0)])
    assert [row.measured for row in rows[:3]] == measured
    tried = [row for row in rows if row.tried]
    assert all(row.held for row in tried) is (sum(measured) == 0)
