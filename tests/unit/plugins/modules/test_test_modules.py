# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules of a test that run on its machine: what is documented is what is checked."""

from __future__ import annotations

import importlib
import typing as t

import pytest
import yaml

ROOM = "ansible_collections.containerless.django.plugins.modules"


@pytest.mark.parametrize("name", ["release_checks", "test_database", "test_host"])
def test_what_is_documented_is_what_is_checked(name: str) -> None:
    module: t.Any = importlib.import_module(f"{ROOM}.{name}")
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    known = {option: {**text} for option, text in documented.items()}
    for text in known.values():
        del text["description"]
    assert known == module.SPEC
