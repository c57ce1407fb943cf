# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules of a test that run on its machine: what is documented is what is checked."""

from __future__ import annotations

import importlib
import json
import typing as t

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.containerless.django.plugins.modules import test_host

ROOM = "ansible_collections.containerless.django.plugins.modules"


@pytest.mark.parametrize("name", ["release_checks", "test_database", "test_host"])
def test_what_is_documented_is_what_is_checked(name: str) -> None:
    module: t.Any = importlib.import_module(f"{ROOM}.{name}")
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    known = {option: {**text} for option, text in documented.items()}
    for text in known.values():
        del text["description"]
    assert known == module.SPEC


@pytest.mark.parametrize(
    ("given", "removed"),
    [({"state": "ready", "keep": True}, True), ({"state": "left", "keep": True}, False), ({"state": "left"}, True)],
)
def test_check_mode_says_what_a_test_would_remove(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: dict[str, t.Any], removed: bool
) -> None:
    monkeypatch.setattr(test_host.guest, "has_left", lambda _layout, _systemd: True)
    with patch_module_args({"name": "shop", **given, "_ansible_check_mode": True}), pytest.raises(SystemExit):
        test_host.main()
    assert json.loads(capsys.readouterr().out)["removed"] is removed
