# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a test found, put together for people and programs. Pure: results in, texts out."""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import jinja2

from ..module_utils._core.schemas import STEPS

if t.TYPE_CHECKING:
    from ..module_utils._artifact.compare import Difference

#: What the machine was asked by after its release.
_CHECKS = "containerless.django.release_checks"
#: Steps of a rollback in which the old code runs.
_OLD_CODE = ("start", "health")


@dataclass(frozen=True)
class Row:
    """A line of a report. `seconds` is None where nobody measured; `passed` is None for what was not run."""

    name: str
    passed: bool | None
    seconds: float | None
    detail: str
    log: str = ""

    @property
    def outcome(self) -> str:
        """What a person reads."""
        return "skipped" if self.passed is None else "passed" if self.passed else "failed"


@dataclass(frozen=True)
class Report:
    """What a report tells: facts by name, rows, exposure by process, and what changed since another artifact."""

    title: str
    facts: dict[str, str]
    rows: list[Row]
    exposure: dict[str, dict[str, t.Any]]
    difference: Difference
    previous: str = ""
    #: Why there is no other artifact.
    alone: str = ""

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows)

    def html(self, template: str) -> str:
        """Return the page that a template makes of it, with every text escaped."""
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        sections = self.difference.sections
        return environment.from_string(template).render(
            title=self.title,
            verdict="passed" if self.passed else "failed",
            facts=self.facts,
            rows=self.rows,
            exposure=self.exposure,
            previous=self.previous,
            alone=self.alone,
            dependencies=sections["distributions"],
            migrations=sections["migrations"],
        )


def rows(stages: list[dict[str, t.Any]]) -> list[Row]:
    """Return what was done and found, stage by stage.

    A stage is {"name", "title", "steps": [[name, seconds], ...], "checks": [...], "failure": {...}}. Without a name its
    checks have names of their own, and its title says what failed. A failure is the result of the task that failed,
    with the action that it was in `action`.
    """
    found: list[Row] = []
    for stage in stages:
        name = stage["name"]
        found += [Row(f"{name}: {step}", True, float(seconds), "done") for step, seconds in stage.get("steps", [])]
        prefix = f"{name}: " if name else ""
        found += [Row(**{**check, "name": prefix + check["name"]}) for check in stage.get("checks", [])]
        if stage.get("failure"):
            found += _failed(stage, stage["failure"])
    return found


def _failed(stage: dict[str, t.Any], failure: dict[str, t.Any]) -> list[Row]:
    name = stage["name"]
    if failure.get("action") == _CHECKS:
        return [Row("checks", False, None, _reason(failure))]
    step = failure.get("evidence", {}).get("step", "")
    # A rollback has other steps, and says which one it was.
    done = STEPS[: STEPS.index(step)] if step in STEPS and name != "rollback" else ()
    before = [Row(f"{name}: {each}", True, None, "done") for each in done]
    why = _reason(failure)
    if name == "rollback" and step in _OLD_CODE:
        why = f"no way back, the old code does not work on the newer schema: {why}"
    what = f"{name}: {step or 'preflight'}" if name else stage.get("title", "preflight")
    failed = Row(what, False, None, why, _evidence(failure))
    return [*before, failed, Row("what follows", None, None, "not run")]


def record_checks(found: list[Row]) -> list[dict[str, t.Any]]:
    """Return what a test record says of the rows: what is the same for the same outcome."""
    return [{"name": row.name, "passed": row.passed, "detail": row.detail} for row in found if row.passed is not None]


def junit(title: str, found: list[Row]) -> str:
    """Return the rows as JUnit XML."""
    failures = sum(row.passed is False for row in found)
    skipped = sum(row.passed is None for row in found)
    seconds = sum(row.seconds or 0.0 for row in found)
    counts = {"tests": str(len(found)), "failures": str(failures), "skipped": str(skipped), "errors": "0"}
    root = ET.Element("testsuites", {"name": title, **counts, "time": f"{seconds:.3f}"})
    suite = ET.SubElement(root, "testsuite", {"name": title, **counts, "time": f"{seconds:.3f}"})
    for row in found:
        case = ET.SubElement(
            suite, "testcase", {"classname": title, "name": row.name, "time": f"{row.seconds or 0.0:.3f}"}
        )
        if row.passed is None:
            ET.SubElement(case, "skipped", {"message": row.detail})
        elif not row.passed:
            ET.SubElement(case, "failure", {"message": _plain(row.detail)}).text = _plain(row.log or row.detail)
        elif row.log:
            ET.SubElement(case, "system-out").text = _plain(row.log)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _reason(failure: dict[str, t.Any]) -> str:
    # Of a loop each item has its own.
    items = [str(item["msg"]) for item in failure.get("results", []) if item.get("failed") and item.get("msg")]
    return ("; ".join(items) or str(failure.get("msg") or "the task failed")).strip()


def _evidence(failure: dict[str, t.Any]) -> str:
    """Return the last answer and the journals of a release that was undone."""
    found = failure.get("evidence", {})
    body = [f"--- answer {found['status']}", str(found.get("body", ""))] if found.get("status") else []
    journal = [line for unit, lines in found.get("journal", {}).items() for line in (f"--- {unit}", *lines)]
    return "\n".join([*body, *journal])


def _plain(text: str) -> str:
    """XML has no place for most control characters, and logs have colours."""
    return "".join(char if char in "\n\t" or char >= " " else "\N{REPLACEMENT CHARACTER}" for char in text)
