# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SBOMs that wheels bring in *.dist-info/sboms (PEP 770): libraries that were linked or copied into them.

They come in several versions of CycloneDX from several tools, so what is taken over is what each of them says in the
same way: names, versions, purls, hashes, licences, and who needs whom. What is broken is left out and named.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

from . import licences

_TYPES = (
    *("application", "framework", "library", "container", "platform", "operating-system", "device", "device-driver"),
    *("firmware", "file", "machine-learning-model", "data", "cryptographic-asset"),
)
_SCOPES = ("required", "optional", "excluded")
_HASHES = {"MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-384": 96, "SHA-512": 128, "SHA3-256": 64, "SHA3-512": 128}
_MAX_BYTES = 16 * 1024 * 1024
_MAX_TEXT = 1024

Component = dict[str, t.Any]


class Broken(ValueError):
    """A document that is not what its name says."""


@dataclass(frozen=True)
class Brought:
    """One SBOM of a wheel: its components, and for each of their refs what it needs. The wheel itself has `ref`."""

    components: tuple[Component, ...] = ()
    needs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    fault: str = ""


def read(info: Path, ref: str) -> dict[str, Brought]:
    """Return the SBOMs of a distribution by file name; `ref` is how the artifact's own SBOM calls its wheel."""
    folder = info / "sboms"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    taken = {ref}
    return {name: _read(folder / name, ref, name, taken) for name in names}


def _read(path: Path, ref: str, file: str, taken: set[str]) -> Brought:
    try:
        return _merge(_load(path), ref, file, taken)
    except Broken as exc:
        return Brought(fault=str(exc))


def _load(path: Path) -> dict[str, t.Any]:
    if path.stat().st_size > _MAX_BYTES:
        raise Broken(f"is larger than {_MAX_BYTES} bytes")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise Broken("is not JSON") from None
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise Broken("is not a CycloneDX document")
    return document


def _list(document: dict[str, t.Any], key: str) -> list[t.Any]:
    found = document.get(key) or []
    if not isinstance(found, list):
        raise Broken(f"has {key} that are no list")
    return found


def _text(value: t.Any) -> str:
    """Return a string as UTF-8 can hold it, or nothing."""
    return value.encode("utf-8", "replace").decode("utf-8")[:_MAX_TEXT] if isinstance(value, str) else ""


def _merge(document: dict[str, t.Any], ref: str, file: str, taken: set[str]) -> Brought:
    metadata = document.get("metadata")
    subject = _ref(metadata.get("component")) if isinstance(metadata, dict) else None
    # What the SBOM is about is the wheel, under whatever name its compiler knows it.
    refs = {subject: ref} if subject else {}
    components = []
    for raw in _flat(_list(document, "components")):
        own = _ref(raw)
        if own and own == subject:
            continue
        component = {"bom-ref": _new_ref(raw, ref, taken), **_component(raw, file)}
        components.append(component)
        if own:
            refs[own] = component["bom-ref"]
    return Brought(tuple(components), tuple(_needs(_list(document, "dependencies"), refs)))


def _ref(raw: t.Any) -> str | None:
    found = raw.get("bom-ref") if isinstance(raw, dict) else None
    return found if isinstance(found, str) else None


def _flat(raws: list[t.Any]) -> t.Iterator[dict[str, t.Any]]:
    """Yield components with those inside of them, outer ones first."""
    todo = list(reversed(raws))
    while todo:
        raw = todo.pop()
        if not isinstance(raw, dict) or not _text(raw.get("name")):
            raise Broken("has a component without a name")
        yield raw
        todo += reversed(_list(raw, "components"))


def _new_ref(raw: dict[str, t.Any], ref: str, taken: set[str]) -> str:
    version = _text(raw.get("version"))
    name = f"{ref}/{_text(raw['name'])}" + (f"@{version}" if version else "")
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}#{number}"
    taken.add(found)
    return found


def _component(raw: dict[str, t.Any], file: str) -> Component:
    kind, scope = raw.get("type"), raw.get("scope")
    found: Component = {
        "type": kind if kind in _TYPES else "library",
        "name": _text(raw["name"]),
        "properties": [{"name": "containerless:sbom", "value": f"sboms/{file}"}],
    }
    for key in ("group", "version", "purl"):
        if _text(raw.get(key)):
            found[key] = _text(raw[key])
    if scope in _SCOPES:
        found["scope"] = scope
    hashes = [item for item in _list(raw, "hashes") if _is_hash(item)]
    if hashes:
        found["hashes"] = [{"alg": item["alg"], "content": item["content"].lower()} for item in hashes]
    if _licences(_list(raw, "licenses")):
        found["licenses"] = _licences(_list(raw, "licenses"))
    return found


def _is_hash(item: t.Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("alg"), str):
        return False
    return re.fullmatch(f"[0-9a-fA-F]{{{_HASHES.get(item['alg'], 0)}}}", _text(item.get("content")) or "-") is not None


def _licences(raws: list[t.Any]) -> licences.Licences:
    """Return an expression alone, or each licence by id or name."""
    found: licences.Licences = []
    for raw in raws:
        inner = raw.get("license") if isinstance(raw, dict) else None
        if isinstance(raw, dict) and _text(raw.get("expression")):
            return [{"expression": _text(raw["expression"])}]
        words = _text(inner.get("id") or inner.get("name")) if isinstance(inner, dict) else ""
        if words:
            found.append(licences.named(words))
    return found


def _needs(raws: list[t.Any], refs: dict[str, str]) -> t.Iterator[tuple[str, tuple[str, ...]]]:
    for raw in raws:
        if isinstance(raw, dict) and isinstance(raw.get("ref"), str) and raw["ref"] in refs:
            own = refs[raw["ref"]]
            on = {refs[item] for item in _list(raw, "dependsOn") if isinstance(item, str) and item in refs} - {own}
            yield own, tuple(sorted(on))
