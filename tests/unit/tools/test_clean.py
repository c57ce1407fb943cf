# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make clean` takes for ours."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine.names import project_of
from ansible_collections.containerless.django.tools import clean

if t.TYPE_CHECKING:
    from pathlib import Path


def test_only_folders_of_this_checkout_that_have_machines_are_cleaned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkout, other = tmp_path / "checkout", tmp_path / "checkout-2"
    for folder in (checkout / "playbooks", checkout / "roles", other / "playbooks"):
        folder.mkdir(parents=True)
    for owner in (checkout, checkout / "playbooks", other, other / "playbooks"):
        (tmp_path / "cache/containerless/machines/projects" / project_of(str(owner))).mkdir(parents=True)
    monkeypatch.setattr(clean, "ROOT", checkout)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert sorted(clean.owners()) == [checkout, checkout / "playbooks"]


@pytest.mark.parametrize("argument", ["--help", "--dry-run", "x"])
def test_an_argument_cleans_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, argument: str) -> None:
    (tmp_path / ".cache").mkdir()
    monkeypatch.setattr(clean, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["clean.py", argument])
    with pytest.raises(SystemExit):
        clean.main()
    assert (tmp_path / ".cache").is_dir()
