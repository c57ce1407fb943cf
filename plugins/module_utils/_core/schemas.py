# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schemas of every document that we write, as JSON Schema, and a checker for the subset that they use.

docs/schemas/ holds the same schemas as files; a test compares them. The checker exists because a target has no
jsonschema; a test runs both over the same documents.
"""

from __future__ import annotations

import re
import typing as t

from .errors import InvalidDocument, plain
from .names import APP_NAME, DIGEST, MAX_ACTIVATION, PROCESS_NAME, RELEASE_ID, VERSION

Schema = dict[str, t.Any]

_TYPES: dict[str, t.Callable[[t.Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def _string(pattern: str | None = None) -> Schema:
    return {"type": "string", "pattern": f"^{pattern}$"} if pattern else {"type": "string"}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": sorted(required),
        "additionalProperties": False,
    }


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map(values: Schema, keys: str | None = None) -> Schema:
    schema: Schema = {"type": "object", "additionalProperties": values}
    return {**schema, "propertyNames": _string(keys)} if keys else schema


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_SHA = _string(DIGEST)
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
_COUNT: Schema = {"type": "integer", "minimum": 0}
_ACTIVATION: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_ACTIVATION}
_ARGV: Schema = {"type": "array", "items": _string(), "minItems": 1}
_PAIR: Schema = {"type": "array", "items": _string(), "minItems": 2, "maxItems": 2}
MIGRATION_CLASSES = ("expand", "breaking", "unknown")
STATES = ("staged", "active", "good", "failed", "refused", "rolled_back")
#: Order of a release on a host; the journal names the step that is under way.
STAGE_STEPS = ("preflight", "unpack", "stage", "verify")
ACTIVATE_STEPS = ("arm", "hold", "migrate", "start", "health", "commit", "watch")
CONFIRM_STEPS = ("confirm", "drain", "finish")
STEPS = STAGE_STEPS + ACTIVATE_STEPS + CONFIRM_STEPS

_PLATFORM: dict[str, Schema] = {
    "machine": _string(r"[a-z0-9_]+"),
    "libc": {"enum": ["glibc", "musl"]},
    "libc_min": _string(r"[0-9]+\.[0-9]+"),
}

MANIFEST: Schema = _object(
    {
        "schema": {"const": "containerless.manifest/v1"},
        "project": _string(APP_NAME),
        "version": _string(VERSION),
        "source": _object(
            {"commit": _string("[0-9a-f]{40,64}"), "tree": _string("[0-9a-f]{40,64}"), "dirty": {"type": "boolean"}}
        ),
        "source_date_epoch": _COUNT,
        "tar": _object({"sha256": _SHA, "size": _COUNT}),
        "tree": _object({"sha256": _SHA, "files": _COUNT, "bytes": _COUNT}),
        "python": _object(
            {
                "implementation": {"const": "cpython"},
                "version": _string(r"3\.[0-9]+"),
                "soabi": _string(r"cpython-[0-9a-z_-]+"),
                "magic": _string(r"[0-9a-f]{8}"),
            }
        ),
        "platform": _object(_PLATFORM),
        "distributions": _array(
            _object(
                {"name": _string(), "version": _string(), "file": _string(), "sha256": _SHA},
                # A wheel that this build made: of a named sdist, or of the project itself.
                {"built_from": _object({"kind": {"enum": ["sdist", "project"]}}, {"file": _string(), "sha256": _SHA})},
            )
        ),
        "processes": _map(_ARGV, PROCESS_NAME),
        "timers": _map(_object({"argv": _ARGV, "schedule": _string()}), PROCESS_NAME),
        "static": _nullable(_object({"root": {"const": "static"}, "files": _COUNT})),
        "django": _nullable(
            _object(
                {
                    "version": _string(),
                    "settings_module": _string(),
                    # Null: the project has no manage.py, its settings come with a distribution.
                    "manage": _nullable(_string()),
                    "settings": _array(_string()),
                    "migrations": _array(
                        _object(
                            {
                                "app": _string(),
                                "name": _string(),
                                "replaces": _array(_PAIR),
                                "class": {"enum": list(MIGRATION_CLASSES)},
                            }
                        )
                    ),
                }
            )
        ),
        "lock": _object({"kind": {"enum": ["requirements", "pylock", "uv"]}, "sha256": _SHA}),
        "sbom": _object({"sha256": _SHA}),
    }
)

INDEX: Schema = _object(
    {
        "schema": {"const": "containerless.index/v1"},
        "project": _string(APP_NAME),
        "version": _string(VERSION),
        "commit": _string("[0-9a-f]{40,64}"),
        "variants": {
            "type": "array",
            "minItems": 1,
            "items": _object({"content_id": _SHA, "python": _string(r"3\.[0-9]+"), "soabi": _string(), **_PLATFORM}),
        },
    }
)

RELEASE: Schema = _object(
    {
        "schema": {"const": "containerless.release/v1"},
        "project": _string(APP_NAME),
        "version": _string(VERSION),
        "index_id": _SHA,
        "config": {"type": "object"},
        "templates": _SHA,
    }
)

ACTIVE: Schema = _object(
    {
        "schema": {"const": "containerless.active/v1"},
        "activation": _ACTIVATION,
        "release": _string(RELEASE_ID),
        "content_id": _SHA,
    }
)

LEDGER_ENTRY: Schema = _object(
    {
        "schema": {"const": "containerless.ledger/v1"},
        "seq": {"type": "integer", "minimum": 1},
        "prev": _SHA,
        "time": _string(_TIME),
        "state": {"enum": list(STATES)},
        "activation": _ACTIVATION,
        "release": _string(RELEASE_ID),
        "content_id": _SHA,
        "run": _string(r"[0-9a-zA-Z._-]{1,64}"),
        "who": _string(),
        "why": _string(),
    }
)

JOURNAL: Schema = _object(
    {
        "schema": {"const": "containerless.journal/v1"},
        "kind": {"enum": ["release", "rollback"]},
        "run": _string(r"[0-9a-zA-Z._-]{1,64}"),
        "step": {"enum": list(STEPS)},
        "from": _nullable(_object({"activation": _ACTIVATION, "release": _string(RELEASE_ID), "content_id": _SHA})),
        "to": _object({"activation": _ACTIVATION, "release": _string(RELEASE_ID), "content_id": _SHA}),
        "boot_id": _string("[0-9a-f-]{36}"),
        "who": _string(),
        # Seconds of CLOCK_BOOTTIME until which the run may be continued; null where nothing is to be waited for.
        "deadline": _nullable(_COUNT),
        # What the run has done that recovery must know: pending migrations, traffic held, no way back.
        "pending": {"type": "boolean"},
        "held": {"type": "boolean"},
        "one_way": {"type": "boolean"},
        "policy": {"type": "object"},
    }
)

CHANNEL: Schema = _object(
    {
        "schema": {"const": "containerless.channel/v1"},
        "project": _string(APP_NAME),
        "version": _string(VERSION),
        "index_id": _SHA,
    }
)

TEST_RECORD: Schema = _object(
    {
        "schema": {"const": "containerless.test-record/v1"},
        "content_id": _SHA,
        "level": {"enum": ["default", "full"]},
        # What of the configuration counts: plugin_utils/_tested.py.
        "config_class": _string("[0-9a-f]{12}"),
        "passed": {"type": "boolean"},
        "machine": _object({"image": _string(), "systemd": _COUNT, "python": _string(), "backend": _string()}),
        "checks": _array(_object({"name": _string(), "passed": {"type": "boolean"}, "detail": _string()})),
        "time": _string(_TIME),
        "expires": _string(_TIME),
    },
    # What the project's own tests had beside the artifact: plugin_utils/_overlay.py.
    {"overlay": _SHA},
)

ALL: dict[str, Schema] = {
    "manifest": MANIFEST,
    "index": INDEX,
    "release": RELEASE,
    "active": ACTIVE,
    "ledger": LEDGER_ENTRY,
    "journal": JOURNAL,
    "channel": CHANNEL,
    "test-record": TEST_RECORD,
}


def _errors(schema: Schema, value: t.Any, path: str) -> t.Iterator[str]:
    if "anyOf" in schema:
        branches = [list(_errors(branch, value, path)) for branch in schema["anyOf"]]
        if all(branches):
            yield branches[0][0]
        return
    if "const" in schema and value != schema["const"]:
        yield f"{path} is {value!r}, expected {schema['const']!r}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is {value!r}, expected one of {', '.join(map(str, schema['enum']))}"
        return
    if "type" in schema and not _TYPES[schema["type"]](value):
        yield f"{path} is not of type {schema['type']}"
        return
    if "pattern" in schema and not re.search(schema["pattern"].replace("$", r"\Z"), value):
        yield f"{path} is {value!r}, which does not match {schema['pattern']}"
    if value is not None and (
        ("minimum" in schema and value < schema["minimum"]) or ("maximum" in schema and value > schema["maximum"])
    ):
        yield f"{path} is {value}, outside its bounds"
    if isinstance(value, list):
        yield from _list_errors(schema, value, path)
    if isinstance(value, dict):
        yield from _object_errors(schema, value, path)


def _list_errors(schema: Schema, value: list[t.Any], path: str) -> t.Iterator[str]:
    if len(value) < schema.get("minItems", 0) or len(value) > schema.get("maxItems", len(value)):
        yield f"{path} has {len(value)} items"
    for number, item in enumerate(value):
        yield from _errors(schema.get("items", {}), item, f"{path}[{number}]")


def _object_errors(schema: Schema, value: dict[str, t.Any], path: str) -> t.Iterator[str]:
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{path}.{key} is missing"
    properties = schema.get("properties", {})
    extra = schema.get("additionalProperties", {})
    for key, item in value.items():
        if "propertyNames" in schema:
            yield from _errors(schema["propertyNames"], key, f"{path} key")
        if key in properties:
            yield from _errors(properties[key], item, f"{path}.{key}")
        elif extra is False:
            yield f"{path}.{key} is not known"
        elif isinstance(extra, dict):
            yield from _errors(extra, item, f"{path}.{key}")


def check(kind: str, document: t.Any, what: str) -> t.Any:
    """Return the document if it follows the schema `kind`, else raise InvalidDocument with the first fault.

    A schema name of another major version is refused by name, so that an old tool never misreads a newer file.
    """
    schema = ALL[kind]
    name = schema["properties"]["schema"]["const"]
    if not isinstance(document, dict) or document.get("schema") != name:
        found = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise InvalidDocument(f"{what} has schema {plain(repr(found))}, this version reads only {name}")
    for error in _errors(schema, document, kind):
        raise InvalidDocument(f"{what}: {plain(error)}")
    return document
