# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The provenance of an artifact: everything that may differ between two honest builders of the same bytes.

An in-toto Statement v1 with a SLSA v1 predicate; `blobs` and `platform` stand beside it, for the store and the release.
Its shape is docs/schemas/provenance.schema.json.
"""

from __future__ import annotations

import typing as t

from .._core.errors import InvalidDocument, plain
from .sbom import FILE as SBOM, purl

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://github.com/containerless/django/artifact/v1"
BUILDER = "https://github.com/containerless/django"
#: What a person or the project decides; the other inputs follow from the commit, the lock and the platform.
_EXTERNAL = (
    *("project", "version", "platform", "settings_module", "secret_names", "env"),
    *("commands", "exclude", "static", "package", "encodings"),
)
_SUFFIX = {"identity": "", "gzip": ".gz", "zstd": ".zst"}

Descriptor = dict[str, t.Any]


def check(document: dict[str, t.Any], said: str) -> dict[str, t.Any]:
    """Return a provenance. Raises InvalidDocument, naming it as `said`, for one of another kind or major version."""
    predicate = document.get("predicate")
    definition = predicate.get("buildDefinition") if isinstance(predicate, dict) else None
    kind = definition.get("buildType") if isinstance(definition, dict) else None
    found = (document.get("_type"), document.get("predicateType"), kind)
    for known, here in zip((STATEMENT, PREDICATE, BUILD_TYPE), found):
        if here != known:
            raise InvalidDocument(
                f"{said} is of kind {plain(str(here))}, and only {known} is known; upgrade the collection"
            )
    return document


def _file(distribution: dict[str, t.Any], **annotations: str) -> Descriptor:
    """Describe a file of an index by the distribution that it is, its name and its digest."""
    found: Descriptor = {
        "uri": purl({key: distribution[key] for key in ("name", "version")}),
        "name": distribution["file"],
        "digest": {"sha256": distribution["sha256"]},
    }
    return {**found, "annotations": annotations} if annotations else found


def _locked(distribution: dict[str, t.Any]) -> list[Descriptor]:
    """Return what came from outside for a distribution: its wheel, the sdist of a wheel that was built, or nothing."""
    origin = distribution.get("built_from")
    if origin is None:
        return [_file(distribution)]
    return [_file({**distribution, **origin})] if origin["kind"] == "sdist" else []


def statement(
    *,
    content_id: str,
    manifest: dict[str, t.Any],
    inputs: dict[str, t.Any],
    builder: dict[str, t.Any],
    blobs: list[dict[str, t.Any]],
    times: tuple[str, str],
) -> dict[str, t.Any]:
    """Return the statement. `inputs` are the parameters of the build, `builder` what the machine says of itself.

    `blobs` are encoding, sha256 and size of each compressed form of the tar; `times` are start and end, RFC 3339.
    """
    source, distributions = manifest["source"], manifest["distributions"]
    digests = {
        "manifest.json": content_id,
        SBOM: manifest["sbom"]["sha256"],
        "artifact.tar": manifest["tar"]["sha256"],
        **{f"artifact.tar{_SUFFIX[blob['encoding']]}": blob["sha256"] for blob in blobs},
    }
    built = [item for item in distributions if "built_from" in item]
    tools = [
        _file(item, builds=name) for name, items in sorted(inputs.get("build_requires", {}).items()) for item in items
    ]
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in digests.items()],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {name: inputs[name] for name in _EXTERNAL if name in inputs},
                # Of an earlier build: its wheels and what built them stand in the provenance of that one as well.
                "internalParameters": {
                    "key": inputs["key"],
                    "environment": "of an earlier build" if inputs.get("layer") else "installed",
                },
                "resolvedDependencies": [
                    {
                        "uri": "git",
                        "digest": {"gitCommit": source["commit"], "gitTree": source["tree"]},
                        "annotations": {"dirty": source["dirty"]},
                    },
                    {"name": "lock", "digest": {"sha256": manifest["lock"]["sha256"]}},
                    *(descriptor for item in distributions for descriptor in _locked(item)),
                    *tools,
                ],
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {name: str(value) for name, value in builder.items()}},
                "metadata": {"invocationId": inputs["key"], "startedOn": times[0], "finishedOn": times[1]},
                "byproducts": [{"name": item["file"], "digest": {"sha256": item["sha256"]}} for item in built],
            },
        },
        "platform": inputs["platform"],
        "blobs": blobs,
    }
