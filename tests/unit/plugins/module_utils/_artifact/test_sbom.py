# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import installed, licences, sbom
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

Document = dict[str, t.Any]
VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)
TOOLS = Path(__file__).parents[5] / ".cache" / "tools"
FACTS: dict[str, t.Any] = {
    "project": "shop",
    "version": "1.0.0.g1a2b3c4d",
    "commit": "a" * 40,
    "epoch": 1700000000,
    "lock_sha256": "b" * 64,
}
DJANGO = """\
Metadata-Version: 2.4
Name: Django
Version: 5.2.19
Summary: A framework
  in two lines
License-Expression: BSD-3-Clause
Requires-Dist: asgiref
Requires-Dist: docopt; python_version < "3"

Requires-Dist: nothing-this-is-the-readme
"""
ASGIREF = "Name: asgiref\nLicense: BSD-3-Clause\nRequires-Dist: docopt\n"
DOCOPT = "Name: docopt\nClassifier: License :: OSI Approved :: MIT License\n"
AUDITWHEEL: Document = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.4",
    "metadata": {"component": {"bom-ref": "me", "type": "library", "name": "asgiref"}},
    "components": [
        {"bom-ref": "me", "type": "library", "name": "asgiref", "purl": "pkg:pypi/asgiref@3.13.0"},
        {
            "bom-ref": "libpq",
            "type": "library",
            "name": "libpq",
            "version": "17",
            "purl": "pkg:rpm/centos/libpq@17",
            "hashes": [{"alg": "SHA-256", "content": "C" * 64}, {"alg": "SHA-256", "content": "not hex"}],
            "licenses": [{"license": {"id": "PostgreSQL"}}, {"license": {"id": "Not on the list"}}],
            "components": [
                {"name": "libpgport", "type": "no type", "scope": "whole", "licenses": [{"expression": "MIT"}]}
            ],
        },
        {"bom-ref": "crypto", "type": "library", "name": "openssl", "version": "3"},
        {"name": "openssl", "version": "3"},
    ],
    "dependencies": [
        {"ref": "me", "dependsOn": ["libpq", "tool:elsewhere"]},
        {"ref": "libpq", "dependsOn": ["crypto", "libpq"]},
        {"ref": "tool:elsewhere", "dependsOn": ["me"]},
    ],
}


def dist(name: str, version: str, **more: t.Any) -> Document:
    return {"name": name, "version": version, "file": f"{name}-{version}-py3-none-any.whl", "sha256": "c" * 64, **more}


DISTRIBUTIONS = [
    dist("django", "5.2.19"),
    dist("docopt", "0.6.2", built_from={"kind": "sdist", "file": "docopt-0.6.2.tar.gz", "sha256": "d" * 64}),
    dist("asgiref", "3.13.0+local"),
]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "lib/python3.11/site-packages"
    for name, metadata in (("Django-5.2.19", DJANGO), ("asgiref-3.13.0+local", ASGIREF), ("docopt-0.6.2", DOCOPT)):
        (folder / f"{name}.dist-info").mkdir(parents=True)
        (folder / f"{name}.dist-info/METADATA").write_text(metadata)
    return folder


def make(site: Path, distributions: t.Sequence[Document] = DISTRIBUTIONS, **facts: t.Any) -> Document:
    """Return the SBOM, judged by the schema of CycloneDX."""
    document = sbom.document(site, distributions=list(distributions), **{**FACTS, **facts})
    assert VALIDATOR.validate_str(canonical.dumps(document).decode()) is None
    assert all(set(edge["dependsOn"]) <= set(refs(document)) for edge in document["dependencies"])
    return document


def refs(document: Document) -> list[str]:
    """Return all bom-refs, each of which stands once."""
    found = [document["metadata"]["component"]["bom-ref"]]
    for component in document["components"]:
        found += [component["bom-ref"], *(inner["bom-ref"] for inner in component.get("components", []))]
    assert len(found) == len(set(found))
    return found


def bring(site: Path, content: t.Any, name: str = "auditwheel.cdx.json") -> None:
    folder = site / "asgiref-3.13.0+local.dist-info/sboms"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def component(document: Document, name: str) -> Document:
    return next(item for item in document["components"] if item["name"] == name)


def properties(item: Document) -> dict[str, str]:
    return {prop["name"]: prop["value"] for prop in item["properties"]}


def needs(document: Document) -> dict[str, list[str]]:
    return {edge["ref"]: edge["dependsOn"] for edge in document["dependencies"]}


def test_the_project_and_each_distribution(site: Path) -> None:
    document = make(site)
    assert document["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert document["metadata"]["component"]["purl"] == "pkg:generic/shop@1.0.0.g1a2b3c4d"
    assert [item["name"] for item in document["components"]] == ["asgiref", "django", "docopt"]
    assert component(document, "django") == {
        "type": "library",
        "bom-ref": "pkg:pypi/django@5.2.19",
        "name": "django",
        "version": "5.2.19",
        "purl": "pkg:pypi/django@5.2.19",
        "description": "A framework in two lines",
        "licenses": [{"expression": "BSD-3-Clause"}],
        "hashes": [{"alg": "SHA-256", "content": "c" * 64}],
        "properties": [{"name": "containerless:wheel", "value": "django-5.2.19-py3-none-any.whl"}],
    }
    assert component(document, "asgiref")["purl"] == "pkg:pypi/asgiref@3.13.0%2Blocal"
    assert needs(document) == {
        "pkg:generic/shop@1.0.0.g1a2b3c4d": ["pkg:pypi/django@5.2.19"],
        "pkg:pypi/django@5.2.19": ["pkg:pypi/asgiref@3.13.0%2Blocal"],
        "pkg:pypi/asgiref@3.13.0%2Blocal": ["pkg:pypi/docopt@0.6.2"],
        "pkg:pypi/docopt@0.6.2": [],
    }


def test_what_this_build_made_is_marked(site: Path) -> None:
    document = make(site, [*DISTRIBUTIONS[1:], dist("django", "5.2.19", built_from={"kind": "project"})])
    assert properties(component(document, "docopt")) == {
        "containerless:built-from": "sdist",
        "containerless:sdist": "docopt-0.6.2.tar.gz",
        "containerless:sdist-sha256": "d" * 64,
        "containerless:wheel": "docopt-0.6.2-py3-none-any.whl",
    }
    # The project's own package is in no index, whoever may have taken its name there.
    assert component(document, "django")["purl"] == "pkg:generic/django@5.2.19"
    assert properties(component(document, "django"))["containerless:built-from"] == "project"


def test_the_order_of_the_distributions_changes_nothing(site: Path) -> None:
    assert canonical.dumps(make(site)) == canonical.dumps(make(site, DISTRIBUTIONS[::-1]))


@pytest.mark.parametrize("other", [{"lock_sha256": "0" * 64}, {"commit": "0" * 40}, {"version": "2"}])
def test_the_serial_number_follows_the_content(site: Path, other: Document) -> None:
    serial = make(site)["serialNumber"]
    assert make(site, epoch=1)["serialNumber"] == serial
    assert make(site, **other)["serialNumber"] != serial
    assert make(site, [{**item, "sha256": "1" * 64} for item in DISTRIBUTIONS])["serialNumber"] != serial


def test_a_circle_hangs_on_the_project(site: Path) -> None:
    (site / "docopt-0.6.2.dist-info/METADATA").write_text("Requires-Dist: django\n")
    assert needs(make(site))["pkg:generic/shop@1.0.0.g1a2b3c4d"] == ["pkg:pypi/asgiref@3.13.0%2Blocal"]


def test_a_distribution_that_is_not_installed_is_an_error(site: Path) -> None:
    with pytest.raises(ContainerlessError, match="can't describe gunicorn: not installed"):
        make(site, [*DISTRIBUTIONS, dist("gunicorn", "27")])


def test_what_a_wheel_brought_stands_inside_of_it(site: Path) -> None:
    bring(site, AUDITWHEEL)
    document = make(site)
    wheel = "pkg:pypi/asgiref@3.13.0%2Blocal"
    inside = component(document, "asgiref")["components"]
    assert [item["bom-ref"] for item in inside] == [
        f"{wheel}/libpq@17",
        f"{wheel}/libpgport",
        f"{wheel}/openssl@3",
        f"{wheel}/openssl@3#2",
    ]
    libpq, libpgport = inside[:2]
    assert properties(libpq) == {
        "containerless:sbom": "sboms/auditwheel.cdx.json",
        "containerless:wheel": "asgiref-3.13.0+local-py3-none-any.whl",
    }
    assert libpq["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert libpq["licenses"] == [{"license": {"id": "PostgreSQL"}}, {"license": {"name": "Not on the list"}}]
    assert (libpgport["type"], libpgport["licenses"]) == ("library", [{"expression": "MIT"}])
    assert needs(document)[f"{wheel}/libpq@17"] == [f"{wheel}/openssl@3"]
    assert needs(document)[wheel] == [
        f"{wheel}/libpgport",
        f"{wheel}/libpq@17",
        f"{wheel}/openssl@3#2",
        "pkg:pypi/docopt@0.6.2",
    ]
    assert sbom.faults(site) == []


BROKEN: list[tuple[t.Any, str]] = [
    (b"{", "is not JSON"),
    (b"\xff\xfe", "is not JSON"),
    (b"[" * 100_000, "is not JSON"),
    (b"[]", "is not a CycloneDX document"),
    ({"spdxVersion": "SPDX-2.3"}, "is not a CycloneDX document"),
    ({**AUDITWHEEL, "components": {"a": 1}}, "has components that are no list"),
    ({**AUDITWHEEL, "components": [{"version": "1"}]}, "has a component without a name"),
    ({**AUDITWHEEL, "components": ["openssl"]}, "has a component without a name"),
    ({**AUDITWHEEL, "components": [{"name": "a", "licenses": "MIT"}]}, "has licenses that are no list"),
    ({**AUDITWHEEL, "dependencies": "all"}, "has dependencies that are no list"),
]


@pytest.mark.parametrize(("content", "fault"), BROKEN)
def test_a_broken_one_is_named_and_left_out(site: Path, content: t.Any, fault: str) -> None:
    bring(site, content, "vendor.spdx.json")
    bring(site, AUDITWHEEL)
    item = component(make(site), "asgiref")
    assert len(item["components"]) == 4
    assert properties(item)["containerless:unread-sbom"] == "sboms/vendor.spdx.json"
    assert sbom.faults(site) == [
        f"asgiref-3.13.0+local.dist-info/sboms/vendor.spdx.json {fault}, so the SBOM does not say what it holds"
    ]


ODD: list[Document] = [
    {"metadata": None, "components": None, "dependencies": None},
    {"metadata": {"component": {"bom-ref": 1}}},
    {"metadata": {"component": {"bom-ref": []}}},
    {"components": [{"name": "a", "bom-ref": [], "version": 3, "purl": None, "type": [], "scope": {}}]},
    {
        "components": [
            {"name": "\ud800", "hashes": [1, {"alg": []}, {"alg": "SHA-256"}], "licenses": [1, {"license": 1}]}
        ]
    },
    {"dependencies": [1, {"ref": []}, {"ref": "libpq", "dependsOn": [[], "crypto", "crypto"]}]},
]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_odd_in_one_does_not_spoil_ours(site: Path, odd: Document) -> None:
    bring(site, {**AUDITWHEEL, **odd})
    make(site)
    assert sbom.faults(site) == []


@pytest.mark.parametrize(
    ("expression", "free", "classifiers", "expected"),
    [
        ("MIT OR Apache-2.0", "MIT", ["License :: OSI Approved :: BSD License"], [{"expression": "MIT OR Apache-2.0"}]),
        (None, "MIT", ["License :: OSI Approved :: BSD License"], [{"license": {"id": "MIT"}}]),
        (None, "MIT License", ["License :: OSI Approved :: MIT License"], [{"license": {"id": "MIT"}}]),
        (None, "Apache 2.0", [], [{"license": {"name": "Apache 2.0"}}]),
        (None, "Copyright\nall the text\nof it", [], [{"license": {"name": "Copyright"}}]),
        (None, "x" * 5000, [], [{"license": {"name": "x" * 100}}]),
        (
            None,
            None,
            ["License :: OSI Approved", "License :: OSI Approved :: BSD License"],
            [{"license": {"name": "BSD License"}}],
        ),
        (None, " ", ["Framework :: Django"], []),
        (
            None,
            "dual",
            ["License :: OSI Approved :: MIT License", "License :: Public Domain"],
            [{"license": {"id": "MIT"}}, {"license": {"name": "Public Domain"}}],
        ),
    ],
)
def test_licences(expression: str, free: str, classifiers: list[str], expected: list[Document]) -> None:
    assert licences.of_metadata(expression, free, classifiers) == expected


def test_licence_ids_are_spdx_ids() -> None:
    licensed = [{"type": "library", "name": "a", "licenses": [licences.named(words)]} for words in sorted(licences.IDS)]
    known = {name for name in licences.IDS | {"nothing"} if "id" in licences.named(name)["license"]}
    assert known == licences.IDS
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": licensed}
    assert VALIDATOR.validate_str(json.dumps(document)) is None


def test_the_environment_of_our_tools_has_a_valid_one() -> None:
    found = [
        {"name": name, "version": version, "file": f"{name}.whl", "sha256": "0" * 64}
        for name, version in installed.names(str(TOOLS)).items()
        # Hundreds of crates each, which take seconds to validate.
        if name not in ("uv", "ruff", "obstore")
    ]
    document = make(installed.site_packages(str(TOOLS)), found)
    assert sbom.faults(installed.site_packages(str(TOOLS))) == []
    libraries = {item["name"] for item in component(document, "psycopg-binary")["components"]}
    assert libraries >= {"cyrus-sasl-lib", "libcom_err"}
    assert needs(document)[component(document, "psycopg-binary")["bom-ref"]]
    unlicensed = [item["name"] for item in document["components"] if "licenses" not in item]
    assert unlicensed == []
