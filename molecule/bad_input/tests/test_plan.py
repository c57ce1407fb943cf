# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan for a host and stores that hold nothing is a plan, and no error; and it stays a plan (conftest.py looks)."""

from __future__ import annotations

from pathlib import Path

from conftest import Playbooks


def test_a_first_ship_is_planned(playbooks: Playbooks, tmp_path: Path) -> None:
    """With --diff; test_installed.py has it without."""
    (tmp_path / "store").mkdir()
    stores = {"app_store": f"file://{tmp_path}/store", "app_build_store": f"file://{tmp_path}/built"}
    run = playbooks.run("ship", "-v", "--check", "--diff", hosts=["bare"], app_build_host=None, **stores)
    assert run.code == 0, run.output
    for step in (
        "debian13 would be built",
        "would be tested",
        "would be uploaded",
        "would be built, tested and released",
    ):
        assert step in run.output, run.output
    assert list((tmp_path / "store").iterdir()) == []
    assert not (tmp_path / "built").exists()


def test_the_next_release_is_planned_with_what_differs(playbooks: Playbooks) -> None:
    env = {"DJANGO_SETTINGS_MODULE": "x", "NEW_NAME": "1"}
    reason = "tested with fewer names"
    run = playbooks.run("release", "--check", "--diff", app_release_env=env, app_release_untested_reason=reason)
    assert run.code == 0, run.output
    assert "NEW_NAME" in run.output
