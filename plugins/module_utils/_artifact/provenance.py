# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The provenance of an artifact: everything that may differ between two honest builders of the same bytes.

An in-toto Statement v1 with a SLSA v1 predicate; `blobs` and `platform` stand beside it, for the store and the release.
"""

from __future__ import annotations

import typing as t

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://github.com/containerless/django/artifact/v1"
BUILDER = "https://github.com/containerless/django"


def statement(
    *,
    content_id: str,
    manifest: dict[str, t.Any],
    inputs: dict[str, t.Any],
    builder: dict[str, t.Any],
    blobs: list[dict[str, t.Any]],
    times: tuple[str, str],
) -> dict[str, t.Any]:
    """Return the statement. `inputs` are the parameters of the build, `builder` what the machine says of itself."""
    wheels = [
        {
            "uri": f"pkg:pypi/{item['name']}@{item['version']}",
            "name": item["file"],
            "digest": {"sha256": item["sha256"]},
        }
        for item in manifest["distributions"]
    ]
    source = manifest["source"]
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": "manifest.json", "digest": {"sha256": content_id}},
            {"name": "artifact.tar", "digest": {"sha256": manifest["tar"]["sha256"]}},
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "project": manifest["project"],
                    "version": manifest["version"],
                    "platform": inputs["platform"],
                    "settings_module": inputs["settings_module"],
                    "secret_names": inputs["secret_names"],
                    "env": inputs["env"],
                },
                "internalParameters": {"key": inputs["key"]},
                "resolvedDependencies": [
                    {
                        "uri": "git",
                        "digest": {"gitCommit": source["commit"], "gitTree": source["tree"]},
                        "annotations": {"dirty": source["dirty"]},
                    },
                    {"name": "lock", "digest": {"sha256": manifest["lock"]["sha256"]}},
                    *wheels,
                ],
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": builder},
                "metadata": {"invocationId": inputs["key"], "startedOn": times[0], "finishedOn": times[1]},
            },
        },
        "platform": inputs["platform"],
        "blobs": blobs,
    }
