# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine import state
from ansible_collections.containerless.django.plugins.module_utils._machine.state import State

if TYPE_CHECKING:
    from pathlib import Path

STATE = State(
    name="web",
    project="p",
    image="debian12",
    recipe="0123456789ab",
    backend="nspawn",
    host="198.18.0.2",
    port=22,
    http="http://198.18.0.2",
    interface="clm0000",
    link=0,
    cgroups=("/sys/fs/cgroup/machine-clm0000",),
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state.save(tmp_path / "state.json", STATE)
    assert state.load(tmp_path / "state.json") == STATE
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', '{"version": 2}', '{"cgroups": []}'])
def test_a_torn_or_foreign_file_is_no_state(text: str) -> None:
    assert state.loads(text) is None


def test_a_state_of_another_version_is_none() -> None:
    assert state.loads(state.dumps(STATE)) == STATE
    assert state.loads(state.dumps(STATE).replace('"version": 1', '"version": 2')) is None


def test_a_missing_file_is_no_state(tmp_path: Path) -> None:
    assert state.load(tmp_path / "state.json") is None
