# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import typing as t
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import schemas
from ansible_collections.containerless.django.plugins.module_utils._core.errors import InvalidDocument

from ..documents import GOOD

PUBLISHED = Path(__file__).parents[5] / "docs" / "schemas"
WRONG: list[tuple[str, t.Callable[[dict[str, t.Any]], t.Any]]] = [
    ("manifest", lambda d: d.pop("tar")),
    ("manifest", lambda d: d.update(surprise=1)),
    ("manifest", lambda d: d.update(schema="containerless.manifest/v2")),
    ("manifest", lambda d: d["tar"].update(size=-1)),
    ("manifest", lambda d: d["tar"].update(size=True)),
    ("manifest", lambda d: d["tar"].update(sha256="x")),
    ("manifest", lambda d: d.update(version="1.0\n")),
    ("manifest", lambda d: d["processes"].update({"Web": ["x"]})),
    ("manifest", lambda d: d["processes"].update({"web": []})),
    ("manifest", lambda d: d["django"]["migrations"][0].update({"class": "harmless"})),
    ("manifest", lambda d: d["django"]["migrations"][0].update({"replaces": [["shop"]]})),
    ("index", lambda d: d.update(variants=[])),
    ("release", lambda d: d.update(config=[])),
    ("active", lambda d: d.update(activation=0)),
    ("active", lambda d: d.update(activation=None)),
    ("ledger", lambda d: d.update(state="happy")),
    ("journal", lambda d: d.update(step="dance")),
    ("journal", lambda d: d.update(to=None)),
    ("test-record", lambda d: d.update(passed="yes")),
]


@pytest.mark.parametrize("kind", sorted(schemas.ALL))
def test_good_documents_pass_ours_and_jsonschema(kind: str) -> None:
    assert schemas.check(kind, GOOD[kind], kind) == GOOD[kind]
    jsonschema.Draft202012Validator.check_schema(schemas.ALL[kind])
    jsonschema.validate(GOOD[kind], schemas.ALL[kind])


@pytest.mark.parametrize(("kind", "spoil"), WRONG)
def test_spoiled_documents_are_refused_by_ours_and_jsonschema(kind: str, spoil: t.Callable[[t.Any], object]) -> None:
    document = copy.deepcopy(GOOD[kind])
    spoil(document)
    with pytest.raises(InvalidDocument, match="the file"):
        schemas.check(kind, document, "the file")
    if "\n" not in str(document.get("version")):  # Python's $ lets a final newline pass; ours does not
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, schemas.ALL[kind])


@pytest.mark.parametrize("kind", sorted(schemas.ALL))
def test_published_schema_is_the_one_in_force(kind: str) -> None:
    published = json.loads((PUBLISHED / f"{kind}.schema.json").read_text())
    assert {k: v for k, v in published.items() if k not in ("$schema", "title")} == schemas.ALL[kind]
