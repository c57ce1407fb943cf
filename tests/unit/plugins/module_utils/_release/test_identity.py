# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import names
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release import identity

from ..documents import RELEASE, SHA

INPUTS: dict[str, t.Any] = {key: value for key, value in RELEASE.items() if key != "schema"}


def make(**change: t.Any) -> str:
    return identity.release_id(identity.release_document(**{**INPUTS, **change}))


def test_release_id_is_golden() -> None:
    assert make() == "1.0.0.g1a2b3c4d-0be398f84975"


def test_release_id_does_not_depend_on_the_order_of_the_config() -> None:
    assert make(config=dict(reversed(INPUTS["config"].items()))) == make()


@pytest.mark.parametrize(
    "change",
    [{"config": {"env": {}}}, {"index_id": "f" * 64}, {"templates": "e" * 64}, {"version": "2"}, {"project": "other"}],
)
def test_every_input_changes_the_release_id(change: dict[str, t.Any]) -> None:
    assert make(**change) != make()


def test_a_release_id_fits_a_folder_name() -> None:
    longest = make(version="v" * 48)
    assert names.check_release_id(longest) == longest
    assert len(longest) == 61


def test_bad_inputs_are_refused() -> None:
    for change in ({"version": "a/b"}, {"index_id": SHA.upper()}, {"project": "Shop"}):
        with pytest.raises(ContainerlessError):
            make(**change)
