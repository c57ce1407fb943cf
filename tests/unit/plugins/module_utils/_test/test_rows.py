# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values for rows. That real models take them is shown on machines, by level full of a test."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._test.probes import rows


def field(kind: str, **facts: t.Any) -> t.Any:
    known = {"unique": False, "null": False, "choices": None, "flatchoices": [], "max_length": None, "default": None}
    made = types.SimpleNamespace(**{**known, **facts})
    made.get_internal_type = lambda: kind
    made.get_default = lambda: made.default
    return made


# field, row -> value
VALUES: list[tuple[t.Any, int, t.Any]] = [
    (field("CharField", max_length=5), 1, "xxxx1"),
    (field("CharField", max_length=5), 2, "xxxx1"),
    (field("CharField", max_length=5, unique=True), 2, "xxxx2"),
    (field("CharField", max_length=1, unique=True), 3, "3"),
    (field("CharField", max_length=5, null=True), 1, "xxxx1"),
    (field("CharField", max_length=5, null=True), 2, None),
    (field("CharField", choices=True, flatchoices=[("b", "blue"), ("r", "red")]), 2, "b"),
    (field("PositiveBigIntegerField", unique=True), 3, 3),
    (field("BooleanField"), 1, False),
    (field("EmailField", unique=True), 2, "row2@example.org"),
    (field("SomebodysField", default="theirs"), 1, "theirs"),
]


@pytest.mark.parametrize(("given", "row", "expected"), VALUES)
def test_a_value_is_as_awkward_as_its_field_allows(given: t.Any, row: int, expected: t.Any) -> None:
    assert rows.value(given, row) == expected
