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
from hypothesis import HealthCheck, given, settings, strategies as st

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
    ("manifest", lambda d: d["django"]["migrations"][0].update({"replaces": [["shop", "0001", "0002"]]})),
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


# --- any document at all: what jsonschema says, ours says

PROPERTY = settings(
    database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), max_examples=400
)
# No floats: canonical JSON has none, and 1.0 is an integer for jsonschema alone.
VALUES = (
    st.sampled_from(
        [None, True, False, 0, 1, -1, 999_999, 1_000_000, "", "x", "a" * 64, "\x1b[2J", {}, [], [[]], ["x"]]
    )
    | st.integers()
    | st.text(max_size=3)
)
DEEDS = st.sampled_from(["set", "drop", "add", "double", "swap"])


def places(value: t.Any) -> t.Iterator[tuple[t.Any, t.Any]]:
    """Yield every container of a document with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def mutate(document: t.Any, where: int, deed: str, value: t.Any, other: int) -> None:
    found = list(places(document))
    if not found:
        return
    holder, key = found[where % len(found)]
    if deed == "drop":
        del holder[key]
    elif deed == "add" and isinstance(holder, dict):
        holder[str(value)] = value
    elif deed == "double" and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif deed == "swap":
        there, name = found[other % len(found)]
        holder[key] = copy.deepcopy(there[name])
    else:
        holder[key] = copy.deepcopy(value)


def absolute(schema: t.Any) -> t.Any:
    """Return the schema with the end of the text where Python's $ lets a final newline pass as well."""
    if isinstance(schema, dict):
        return {key: absolute(value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [absolute(value) for value in schema]
    return schema.replace("$", r"\Z") if isinstance(schema, str) and schema.startswith("^") else schema


VALIDATORS = {kind: jsonschema.Draft202012Validator(absolute(schema)) for kind, schema in schemas.ALL.items()}


@PROPERTY
@given(
    kind=st.sampled_from(sorted(schemas.ALL)),
    steps=st.lists(st.tuples(st.integers(0), DEEDS, VALUES, st.integers(0)), min_size=1, max_size=3),
)
def test_ours_and_jsonschema_say_the_same_of_mutated_documents(kind: str, steps: list[tuple[t.Any, ...]]) -> None:
    document = copy.deepcopy(GOOD[kind])
    for step in steps:
        mutate(document, *step)
    try:
        schemas.check(kind, document, "the file")
    except InvalidDocument as exc:
        refusal = str(exc)
    else:
        refusal = ""
    assert (not refusal) == VALIDATORS[kind].is_valid(document)
    assert refusal.isprintable()
    assert len(refusal) < 600
    assert not refusal or refusal.startswith("the file")
