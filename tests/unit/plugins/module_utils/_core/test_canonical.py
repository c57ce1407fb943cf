# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import (
    ContainerlessError,
    InvalidDocument,
)
from hypothesis import HealthCheck, given, settings, strategies as st

from ..documents import MANIFEST

PROPERTY = settings(
    database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), max_examples=300
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)

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


NOT_CANONICAL = [
    b'{"b":1,"a":2}\n',
    b'{"a": 1}\n',
    b'{"a":1}',
    b'{"a":1,"a":1}\n',
    b'{"a":1.0}\n',
    b'{"a":1e400}\n',
    b'{"a":-0}\n',
    b'{"a":NaN}\n',
    b'{"\\u0000\\u001b":0.5}\n',
    b'"\\u00e9"\n',
    b'"\\ud800"\n',
    b"\xff\n",
    b"\xef\xbb\xbf{}\n",
    b"{",
    b"",
    b"[" * 100_000 + b"]" * 100_000 + b"\n",
    b"1" * 5000 + b".0\n",
]


@pytest.mark.parametrize("data", NOT_CANONICAL, ids=[data[:20].decode("latin-1") for data in NOT_CANONICAL])
def test_bytes_that_are_not_canonical_are_refused_by_file_name(data: bytes) -> None:
    with pytest.raises(InvalidDocument, match="manifest.json"):
        canonical.loads(data, "manifest.json")


@PROPERTY
@given(document=DOCUMENTS)
def test_any_document_comes_back_and_has_one_form(document: t.Any) -> None:
    data = canonical.dumps(document)
    assert canonical.loads(data, "x") == document
    assert canonical.dumps(json.loads(json.dumps(document, indent=1))) == data


@PROPERTY
@given(at=st.integers(0), patch=st.binary(max_size=6), cut=st.integers(0, 6))
def test_an_edited_manifest_is_refused_or_another_one(at: int, patch: bytes, cut: int) -> None:
    good = canonical.dumps(MANIFEST)
    at %= len(good)
    bad = good[:at] + patch + good[at + cut :]
    try:
        document = canonical.loads(bad, "manifest.json")
    except ContainerlessError as exc:
        document, refusal = None, str(exc)
    else:
        refusal = ""
        assert canonical.dumps(document) == bad
    assert (document == MANIFEST) == (bad == good)
    assert refusal.isprintable()
    assert not refusal or "manifest.json" in refusal
