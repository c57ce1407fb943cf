# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import typing as t
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import identity, provenance

from ..documents import MANIFEST, SHA

Document = dict[str, t.Any]
SCHEMA = json.loads((Path(__file__).parents[5] / "docs/schemas/provenance.schema.json").read_text())
BLOBS = [{"encoding": "gzip", "sha256": "1" * 64, "size": 7}, {"encoding": "zstd", "sha256": "2" * 64, "size": 5}]
SETUPTOOLS = {"name": "setuptools", "version": "80.1", "file": "setuptools-80.1-py3-none-any.whl", "sha256": "3" * 64}
INPUTS: Document = {
    "platform": "debian12",
    "settings_module": "shop.settings",
    "secret_names": ["SECRET_KEY"],
    "env": {"MODE": "production"},
    "commands": [["npm", "run", "build"]],
    "key": "4" * 64,
    "build_requires": {"docopt": [SETUPTOOLS], "project": [SETUPTOOLS]},
    "layer": None,
}
BUILDER = {"uv": "0.13.9", "python": "3.11.2", "zlib": "1.2.13", "libc": "glibc 2.36", "network": "none"}
PROJECT = {"name": "shop", "version": "1", "file": "shop-1-py3-none-any.whl", "sha256": "5" * 64}


def made(**inputs: t.Any) -> Document:
    project = {**PROJECT, "built_from": {"kind": "project"}}
    manifest = {**MANIFEST, "distributions": [*MANIFEST["distributions"], project]}
    return provenance.statement(
        content_id=identity.content_id(manifest),
        manifest=manifest,
        inputs={**INPUTS, **inputs},
        builder=BUILDER,
        blobs=BLOBS,
        times=("2026-11-22T12:00:00Z", "2026-11-22T12:00:09Z"),
    )


def test_the_statement_follows_the_specifications() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(made(), SCHEMA)


def test_everything_that_was_made_is_a_subject() -> None:
    subjects = {item["name"]: item["digest"]["sha256"] for item in made()["subject"]}
    assert list(subjects) == ["manifest.json", "sbom.cdx.json", "artifact.tar", "artifact.tar.gz", "artifact.tar.zst"]
    assert (subjects["artifact.tar.gz"], subjects["artifact.tar.zst"]) == ("1" * 64, "2" * 64)


def test_everything_that_came_from_outside_is_a_dependency() -> None:
    git, lock, *files = made()["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert git["digest"] == {"gitCommit": "a" * 40, "gitTree": "b" * 40}
    assert lock == {"name": "lock", "digest": {"sha256": SHA}}
    assert [(item["uri"], item["name"], item.get("annotations")) for item in files] == [
        ("pkg:pypi/django@5.2.19", "django-5.2.19-py3-none-any.whl", None),
        # The sdist came from outside, the wheel was made here; the project itself is the commit.
        ("pkg:pypi/docopt@0.6.2", "docopt-0.6.2.tar.gz", None),
        ("pkg:pypi/setuptools@80.1", "setuptools-80.1-py3-none-any.whl", {"builds": "docopt"}),
        ("pkg:pypi/setuptools@80.1", "setuptools-80.1-py3-none-any.whl", {"builds": "project"}),
    ]


def test_the_run_names_tools_and_wheels_that_it_made() -> None:
    run = made()["predicate"]["runDetails"]
    assert run["builder"]["version"] == BUILDER
    assert [item["name"] for item in run["byproducts"]] == ["docopt-0.6.2-py2.py3-none-any.whl", PROJECT["file"]]


@pytest.mark.parametrize(("layer", "said"), [(None, "installed"), ({"encoding": "gzip"}, "of an earlier build")])
def test_where_the_environment_came_from(layer: t.Any, said: str) -> None:
    definition = made(layer=layer)["predicate"]["buildDefinition"]
    assert definition["internalParameters"]["environment"] == said
    assert definition["externalParameters"]["commands"] == [["npm", "run", "build"]]


WRONG: list[t.Callable[[Document], object]] = [
    lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"),
    lambda d: d.pop("subject"),
    lambda d: d["subject"][0].pop("digest"),
    lambda d: d["subject"][0]["digest"].update(sha256="A" * 64),
    lambda d: d.update(blobs=[]),
    lambda d: d["blobs"][0].update(encoding="br"),
    lambda d: d["predicate"].pop("runDetails"),
    lambda d: d["predicate"]["buildDefinition"].pop("externalParameters"),
    lambda d: d["predicate"]["buildDefinition"].update(buildType="no uri"),
    lambda d: d["predicate"]["buildDefinition"]["resolvedDependencies"].append({"name": "neither uri nor digest"}),
    lambda d: d["predicate"]["runDetails"]["builder"]["version"].update(uv=13),
    lambda d: d["predicate"]["runDetails"]["metadata"].update(startedOn="yesterday"),
]


@pytest.mark.parametrize("spoil", WRONG)
def test_the_schema_refuses_what_is_none(spoil: t.Callable[[Document], object]) -> None:
    document = copy.deepcopy(made())
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
