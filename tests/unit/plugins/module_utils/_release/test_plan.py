# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release import plan
from ansible_collections.containerless.django.plugins.module_utils._release.plan import Observed

from ..documents import MANIFEST, RELEASE

WANTED = "2.0-0123456789ab"
OTHER = "1.0-0123456789ab"

ALL = ("preflight", "unpack", "stage", "verify", "arm", "migrate", "start", "health", "commit", "watch", "confirm")
FIRST = (*ALL, "finish")
NEXT = (*ALL, "drain", "finish")

# live, running, good, same tree, has the tree, stale secrets -> action, part of the reason, steps
PLANS: list[tuple[Observed, str, str, tuple[str, ...]]] = [
    (Observed(None, False, False, False, False, ()), "release", "first release", FIRST),
    (Observed(None, False, False, False, True, ()), "release", "first release", FIRST),
    (Observed(None, False, False, False, False, ("KEY",)), "release", "first release", FIRST),
    (Observed(OTHER, True, True, True, False, ()), "release", f"{OTHER} is live", NEXT),
    (Observed(OTHER, False, True, True, True, ("KEY",)), "release", f"{OTHER} is live", NEXT),
    (Observed(OTHER, True, False, True, True, ()), "release", f"{OTHER} is live", NEXT),
    (Observed(WANTED, True, True, True, True, ()), "none", "already live", ()),
    (Observed(WANTED, True, True, False, True, ()), "activate", "another variant", NEXT),
    (Observed(WANTED, False, True, True, True, ()), "activate", "not all of it is running", NEXT),
    (Observed(WANTED, True, True, True, True, ("KEY", "OTHER")), "activate", "changed secrets: KEY, OTHER", NEXT),
    (Observed(WANTED, False, False, True, True, ("KEY",)), "activate", "changed secrets: KEY", NEXT),
    (Observed(WANTED, True, False, True, True, ()), "activate", "never confirmed", NEXT),
    (Observed(WANTED, False, False, True, True, ()), "activate", "never confirmed", NEXT),
]


@pytest.mark.parametrize(("observed", "action", "reason", "steps"), PLANS)
def test_plan(observed: Observed, action: str, reason: str, steps: tuple[str, ...]) -> None:
    made = plan.plan(observed, WANTED)
    assert (made.action, made.unpack, made.is_noop) == (action, not observed.has_tree, action == "none")
    assert reason in made.reason
    assert made.steps == tuple(step for step in steps if step != "unpack" or not observed.has_tree)


# seconds between the live commit and the wanted one -> refused
AGES = [(-1, True), (-86400 * 400, True), (0, False), (1, False)]


@pytest.mark.parametrize(("seconds", "refused"), AGES)
def test_an_older_commit(seconds: int, refused: bool) -> None:
    wanted = {**MANIFEST, "version": "0.9", "source_date_epoch": MANIFEST["source_date_epoch"] + seconds}
    if not refused:
        plan.refuse_older(MANIFEST, wanted)
        return
    with pytest.raises(
        ContainerlessError, match=r"^0\.9 is of 20\d\d-.* UTC, older than 1\.0\.0\S+ of 2023-11-14 22:13:20"
    ):
        plan.refuse_older(MANIFEST, wanted)


UNIT = {"web@.service": "# a comment\n[Service]\nExecStart=/a\nEnvironment=PASSWORD=hunter22\n"}
CONFIG = {"env": {"PASSWORD": "hunter22", "DEBUG": "0"}, "secrets": ["SECRET_KEY"]}


def test_a_diff_names_everything_and_holds_no_value() -> None:
    after: t.Any = ({**RELEASE, "config": CONFIG}, MANIFEST, UNIT)
    made = plan.diff((None, None, {}), after)
    assert made["before"] == ""
    assert made["after"].splitlines() == [
        "version: 1.0.0.g1a2b3c4d",
        f"commit: {'a' * 40}",
        "env: DEBUG",
        "env: PASSWORD",
        "secret: SECRET_KEY",
        "distribution: django 5.2.19",
        "distribution: docopt 0.6.2",
        "migration: shop.0001_initial (expand)",
        "web@.service: [Service]",
        "web@.service: ExecStart=/a",
    ]


def test_a_release_differs_from_itself_in_nothing() -> None:
    side: t.Any = (RELEASE, {**MANIFEST, "django": None}, UNIT)
    made = plan.diff(side, side)
    assert made["before"] == made["after"] != ""


def test_a_diff_of_units_shows_what_differs_beside_version_and_tree() -> None:
    """Both stand in every unit; the unit that got another line must be seen."""
    newer = {**MANIFEST, "version": "2.0", "lock": {**MANIFEST["lock"], "sha256": "f" * 64}}
    unit = "Description=shop {}\nWorkingDirectory=/srv/{}/app\n{}"
    texts = [
        {"web@.service": unit.format(made["version"], canonical.digest(made), more)}
        for made, more in ((MANIFEST, ""), (newer, "TasksMax=7\n"))
    ]
    config: dict[str, t.Any] = {"env": {}, "secrets": []}
    found = plan.diff(
        ({**RELEASE, "config": config}, MANIFEST, texts[0]),
        ({**RELEASE, "version": "2.0", "config": config}, newer, texts[1]),
    )
    before, after = (set(found[side].splitlines()) for side in ("before", "after"))
    assert after - before == {"version: 2.0", "web@.service: TasksMax=7"}
    assert before - after == {f"version: {RELEASE['version']}"}
