# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SBOM of an artifact: CycloneDX 1.6 as JSON, made of what is installed, equal wherever it is made.

One component per distribution, inside of it what its wheel brought along; who needs whom. The identity of the artifact
covers this document, so it names no content_id: the manifest names its SHA-256.
"""

from __future__ import annotations

import datetime
import email.parser
import os
import typing as t
import uuid
from pathlib import Path
from urllib.parse import quote

from .._core import canonical
from .._core.errors import ContainerlessError
from . import brought, licences, requires
from .lock import normalised

#: Where it stands, in the tree and in a store.
FILE = "sbom.cdx.json"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/containerless/django/sbom/v1")
_LONGEST_SUMMARY = 500

Document = dict[str, t.Any]


def purl(distribution: dict[str, t.Any]) -> str:
    """Return the package URL of a distribution. Only what came from an index is called a package of one."""
    kind = "generic" if distribution.get("built_from", {}).get("kind") == "project" else "pypi"
    return f"pkg:{kind}/{quote(distribution['name'], safe='')}@{quote(distribution['version'], safe='.!')}"


def faults(site_packages: Path) -> list[str]:
    """Return a sentence for each SBOM of a wheel that could not be read: worth a warning, no reason to stop."""
    return [
        f"{info.name}/sboms/{file} {found.fault}, so the SBOM does not say what it holds"
        for info in sorted(site_packages.glob("*.dist-info"))
        for file, found in brought.read(info, "").items()
        if found.fault
    ]


def document(
    site_packages: Path,
    *,
    project: str,
    version: str,
    commit: str,
    epoch: int,
    distributions: list[dict[str, t.Any]],
    lock_sha256: str,
) -> Document:
    """Return the SBOM of the distributions that are installed in a folder `site-packages`.

    `epoch` is the time of the commit in seconds. Raises ContainerlessError when a distribution is not installed there.
    """
    listed = sorted(distributions, key=lambda item: str(item["name"]))
    infos = {normalised(path.name.split("-")[0]): path for path in sorted(site_packages.glob("*.dist-info"))}
    missing = [item["name"] for item in listed if item["name"] not in infos]
    if missing:
        raise ContainerlessError(f"the SBOM can't describe {', '.join(missing)}: not installed in {site_packages.name}")
    facts = requires.environment(site_packages.parent.name[len("python") :], os.uname().machine)
    refs = {item["name"]: purl(item) for item in listed}
    metadata = {name: _metadata(infos[name]) for name in refs}
    needs = requires.graph({name: metadata[name].get_all("Requires-Dist") or [] for name in refs}, facts)
    edges = {refs[name]: {refs[other] for other in needs[name]} for name in refs}
    components: list[Document] = []
    for item in listed:
        inside = brought.read(infos[item["name"]], refs[item["name"]])
        components.append(_component(item, metadata[item["name"]], inside))
        for found in inside.values():
            _add_edges(edges, refs[item["name"]], found)
    root = f"pkg:generic/{quote(project)}@{quote(version)}"
    edges[root] = _tops(sorted(refs.values()), edges)
    seed = [project, version, commit, lock_sha256, [[item["name"], item["sha256"]] for item in listed]]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # Not of the content_id, which covers this document; the wheels tell variants of one lock apart.
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, canonical.digest(seed))}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "containerless.django"}]},
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": project,
                "version": version,
                "purl": root,
                "properties": _properties({"containerless:commit": commit, "containerless:lock": lock_sha256}),
            },
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(edges[ref])} for ref in sorted(edges)],
    }


def _add_edges(edges: dict[str, set[str]], wheel: str, found: brought.Brought) -> None:
    inner = [component["bom-ref"] for component in found.components]
    edges.update({ref: set() for ref in inner})
    for ref, needs in found.needs:
        edges[ref] |= set(needs)
    # What an SBOM lists without saying for whom is there for the wheel.
    edges[wheel] |= _tops(inner, edges)


def _metadata(info: Path) -> t.Any:
    # Old packages hold other encodings; headers alone, since the text after them is the package's README.
    text = (info / "METADATA").read_bytes().decode("utf-8", "replace") if (info / "METADATA").is_file() else ""
    return email.parser.HeaderParser().parsestr(text)


def _properties(found: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(found.items())]


def _component(item: dict[str, t.Any], metadata: t.Any, inside: dict[str, brought.Brought]) -> Document:
    properties = {"containerless:wheel": item["file"]}
    origin = item.get("built_from")
    if origin:
        properties["containerless:built-from"] = origin["kind"]
    if origin and "sha256" in origin:
        properties["containerless:sdist"] = origin["file"]
        properties["containerless:sdist-sha256"] = origin["sha256"]
    unread = [f"sboms/{file}" for file, found in inside.items() if found.fault]
    if unread:
        properties["containerless:unread-sbom"] = " ".join(unread)
    found: Document = {
        "type": "library",
        "bom-ref": purl(item),
        "name": item["name"],
        "version": item["version"],
        "purl": purl(item),
        "hashes": [{"alg": "SHA-256", "content": item["sha256"]}],
        "properties": _properties(properties),
    }
    summary = " ".join((metadata["Summary"] or "").split())[:_LONGEST_SUMMARY]
    if summary and summary != "UNKNOWN":
        found["description"] = summary
    known = licences.of_metadata(
        metadata["License-Expression"], metadata["License"], metadata.get_all("Classifier") or []
    )
    if known:
        found["licenses"] = known
    nested = [component for one in inside.values() for component in one.components]
    if nested:
        found["components"] = [_with_wheel(component, item) for component in nested]
    return found


def _with_wheel(component: Document, item: dict[str, t.Any]) -> Document:
    """Say which wheel brought a component: who reads a flat list of all of them would not know."""
    return {
        **component,
        "properties": [*component["properties"], {"name": "containerless:wheel", "value": item["file"]}],
    }


def _tops(refs: list[str], edges: dict[str, set[str]]) -> set[str]:
    """Return what nothing else needs, and one of each circle: from there everything is reached."""
    needed = {ref for found in edges.values() for ref in found}
    tops = {ref for ref in refs if ref not in needed}
    reached = _reach(tops, edges)
    for ref in refs:
        if ref not in reached:
            tops.add(ref)
            reached |= _reach({ref}, edges)
    return tops


def _reach(start: set[str], edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = list(start)
    while todo:
        ref = todo.pop()
        if ref not in seen:
            seen.add(ref)
            todo += edges.get(ref, ())
    return seen
