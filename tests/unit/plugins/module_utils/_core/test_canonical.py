# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import InvalidDocument

GOLDEN = [
    ({}, b"{}\n"),
    ({"b": 1, "a": [True, None, "é"]}, '{"a":[true,null,"é"],"b":1}\n'.encode()),
    ({"z": {"y": {}}, "a": ""}, b'{"a":"","z":{"y":{}}}\n'),
]


@pytest.mark.parametrize(("document", "expected"), GOLDEN)
def test_canonical_bytes_are_golden(document: object, expected: bytes) -> None:
    assert canonical.dumps(document) == expected
    assert canonical.loads(expected, "x") == document


def test_digest_is_what_sha256sum_prints_for_the_file() -> None:
    assert canonical.digest({}) == "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"


@pytest.mark.parametrize("document", [{"a": 1.0}, [0.5], {"a": {"b": [1.5]}}, {1: "x"}])
def test_what_has_no_canonical_form_is_refused(document: object) -> None:
    with pytest.raises(InvalidDocument):
        canonical.dumps(document)


@pytest.mark.parametrize("data", [b'{"b":1,"a":2}\n', b'{"a": 1}\n', b'{"a":1}', b"\xff\n", b"{", b'{"a":1,"a":1}\n'])
def test_bytes_that_are_not_canonical_are_refused_by_file_name(data: bytes) -> None:
    with pytest.raises(InvalidDocument, match="manifest.json"):
        canonical.loads(data, "manifest.json")
