# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import compare
from ansible_collections.containerless.django.plugins.module_utils._artifact.compare import Side
from hypothesis import HealthCheck, given, settings, strategies as st

from ..documents import MANIFEST

Document = dict[str, t.Any]
PROPERTY = settings(database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SECTIONS = ("artifact", "distributions", "migrations", "settings", "processes", "timers")
OTHER = "f" * 64
LISTING = {"META/about.json": "1", "app/manage.py": "2", "static/a.css": "3", "venv/lib/__pycache__/a.pyc": "4"}


def after(change: t.Callable[[Document], object]) -> Document:
    manifest = copy.deepcopy(MANIFEST)
    change(manifest)
    return manifest


def migration(name: str, kind: str) -> Document:
    return {"app": "shop", "name": name, "replaces": [], "class": kind}


def distribution(name: str, version: str, sha256: str = OTHER) -> Document:
    return {"name": name, "version": version, "file": f"{name}-{version}.whl", "sha256": sha256}


CHANGES: list[tuple[t.Callable[[Document], object], str, list[str]]] = [
    (lambda m: m.update(version="2.0"), "artifact", ["  ~ version: 1.0.0.g1a2b3c4d -> 2.0"]),
    (
        lambda m: m["python"].update(version="3.13", soabi="cpython-313-x86_64-linux-gnu"),
        "artifact",
        ["  ~ python:", "      3.11 cpython-311-x86_64-linux-gnu", "   -> 3.13 cpython-313-x86_64-linux-gnu"],
    ),
    (
        lambda m: m["platform"].update(libc_min="2.36"),
        "artifact",
        ["  ~ platform: x86_64 glibc 2.17 -> x86_64 glibc 2.36"],
    ),
    (
        lambda m: m["lock"].update(kind="uv"),
        "artifact",
        ["  ~ lock: requirements 0123456789ab -> uv 0123456789ab"],
    ),
    (
        lambda m: m["distributions"].append(distribution("gunicorn", "27.0.1")),
        "distributions",
        ["  + gunicorn: 27.0.1"],
    ),
    (lambda m: m["distributions"].pop(), "distributions", ["  - docopt: 0.6.2"]),
    (lambda m: m["distributions"][0].update(version="6.0"), "distributions", ["  ~ django: 5.2.19 -> 6.0"]),
    (
        lambda m: m["distributions"][0].update(sha256=OTHER),
        "distributions",
        [
            "  ~ django:",
            "      5.2.19 (django-5.2.19-py3-none-any.whl 0123456789ab)",
            "   -> 5.2.19 (django-5.2.19-py3-none-any.whl ffffffffffff)",
        ],
    ),
    (
        lambda m: m["django"]["migrations"].append(migration("0002_note", "breaking")),
        "migrations",
        ["  + shop.0002_note: breaking"],
    ),
    (lambda m: m["django"]["migrations"].pop(), "migrations", ["  - shop.0001_initial: expand"]),
    (
        lambda m: m["django"].update(migrations=[migration("0001_initial", "unknown")]),
        "migrations",
        ["  ~ shop.0001_initial: expand -> unknown"],
    ),
    (lambda m: m["django"].update(settings=["CACHES", "DEBUG"]), "settings", ["  + CACHES", "  - SECRET_KEY"]),
    (
        lambda m: m["processes"].update(web=["gunicorn", "a b"]),
        "processes",
        ["  ~ web: gunicorn shop.wsgi -> gunicorn 'a b'"],
    ),
    (lambda m: m.update(timers={}), "timers", ["  - cleanup: daily: python manage.py clearsessions"]),
    (
        lambda m: m["timers"]["cleanup"].update(schedule="x" * 90),
        "timers",
        [
            "  ~ cleanup:",
            "      daily: python manage.py clearsessions",
            f"   -> {'x' * 71}...",
        ],
    ),
]


@pytest.mark.parametrize(("change", "section", "lines"), CHANGES)
def test_each_change_is_told_in_its_section(change: t.Any, section: str, lines: list[str]) -> None:
    found = compare.compare(Side(MANIFEST, LISTING), Side(after(change), LISTING))
    assert bool(found)
    assert [name for name in SECTIONS if found.sections[name]] == [section]
    assert found.text().splitlines()[1].startswith(f"{section}: 1 ")
    assert found.text().splitlines()[2:] == lines


def test_a_project_that_became_one_of_django() -> None:
    found = compare.compare(Side(after(lambda m: m.update(django=None))), Side(MANIFEST)).as_dict()
    assert found["migrations"]["added"] == {"shop.0001_initial": "expand"}
    assert found["settings"]["added"] == {"DEBUG": "set", "SECRET_KEY": "set"}
    assert found["artifact"]["added"] == {"settings module": "shop.settings"}


def test_a_plan_knows_versions_alone() -> None:
    plan = after(lambda m: m["distributions"][0].update(file="", sha256=""))
    assert not compare.compare(Side(MANIFEST, {}), Side(plan, {}))


def test_files_are_told_apart_and_counted() -> None:
    before = {f"app/old{number:02}.py": "1" for number in range(30)}
    new = {**LISTING, "app/manage.py": "9", "META/about.json": "9", f"venv/{'x' * 90}/__init__.py": "9"}
    found = compare.compare(Side(MANIFEST, {**LISTING, **before}, "1" * 64), Side(MANIFEST, new, OTHER))
    assert found.text(shown=2).splitlines() == [
        "1.0.0.g1a2b3c4d (111111111111) -> 1.0.0.g1a2b3c4d (ffffffffffff)",
        "app files: 30 removed, 1 changed",
        "  - app/old00.py",
        "  - app/old01.py",
        "  - and 28 more",
        "  ~ app/manage.py",
        "venv files: 1 added",
        f"  + ...{'x' * 61}/__init__.py",
    ]
    files = found.as_dict(shown=2)["files"]
    assert files["app"]["removed"] == {"count": 30, "names": ["app/old00.py", "app/old01.py"]}
    assert files["static"]["changed"] == {"count": 0, "names": []}


def test_bytecode_is_named_after_what_people_wrote() -> None:
    new = {"venv/a/__pycache__/a.cpython-311.pyc": "1", "venv/b.py": "1"}
    found = compare.compare(Side(MANIFEST, {}), Side(MANIFEST, new)).as_dict(shown=1)
    assert found["files"]["venv"]["added"] == {"count": 2, "names": ["venv/b.py"]}


def test_unknown_files_are_said_to_be() -> None:
    found = compare.compare(Side(MANIFEST, LISTING), Side(after(lambda m: m.update(version="2"))))
    assert found.text().splitlines()[-1] == "files: not compared"
    assert found.as_dict()["files"] is None


def test_the_first_artifact_is_all_new() -> None:
    class Shelf:
        def manifest(self, content_id: str) -> Document:
            return MANIFEST

        def listing(self, content_id: str) -> dict[str, str]:
            return LISTING

    found = compare.artifacts(Shelf(), None, OTHER)
    assert found.text().startswith("nothing -> 1.0.0.g1a2b3c4d (ffffffffffff)\nartifact: 6 added\n")
    assert not compare.artifacts(Shelf(), OTHER, OTHER)


names = st.text("abc.-_é", min_size=1, max_size=40)
digests = st.sampled_from(["1" * 64, "2" * 64, ""])
words = st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=4)


@st.composite
def sides(draw: st.DrawFn) -> Side:
    manifest = copy.deepcopy(MANIFEST)
    found = draw(st.dictionaries(names, st.tuples(names, digests), max_size=4))
    manifest["distributions"] = [distribution(name, version, sha256) for name, (version, sha256) in found.items()]
    manifest["processes"] = draw(st.dictionaries(names, words, max_size=3))
    manifest["timers"] = draw(
        st.dictionaries(names, st.fixed_dictionaries({"argv": words, "schedule": names}), max_size=2)
    )
    kinds = st.dictionaries(names, st.sampled_from(["expand", "breaking", "unknown"]), max_size=4)
    migrations = [migration(name, kind) for name, kind in draw(kinds).items()]
    django = {**manifest["django"], "migrations": migrations, "settings": draw(st.lists(names, unique=True))}
    manifest["django"] = draw(st.sampled_from([django, None]))
    paths = st.builds(lambda area, name: f"{area}/{name}", st.sampled_from([*compare.AREAS, "META"]), names)
    return Side(manifest, draw(st.none() | st.dictionaries(paths, digests, max_size=9)))


def mirrored(told: Document) -> Document:
    return {
        **told,
        "added": told["removed"],
        "removed": told["added"],
        "changed": {name: {"old": pair["new"], "new": pair["old"]} for name, pair in told["changed"].items()},
    }


@PROPERTY
@given(sides())
@pytest.mark.exhaustive
def test_nothing_differs_from_itself(side: Side) -> None:
    found = compare.compare(side, copy.deepcopy(side))
    assert not found
    assert found.text() == ""
    assert found.as_dict()["same"]


@PROPERTY
@given(sides(), sides(), st.integers(0, 3))
@pytest.mark.exhaustive
def test_a_difference_has_a_mirror_and_fits_a_screen(old: Side, new: Side, shown: int) -> None:
    there, back = compare.compare(old, new), compare.compare(new, old)
    one, two = there.as_dict(shown), back.as_dict(shown)
    assert all(one[name] == mirrored(two[name]) for name in SECTIONS)
    assert (one["old"], one["new"], one["same"]) == (two["new"], two["old"], two["same"])
    for area, told in (one["files"] or {}).items():
        assert told["added"] == two["files"][area]["removed"]
        assert told["changed"] == two["files"][area]["changed"]
        assert all(len(some["names"]) == min(shown, some["count"]) for some in told.values())
    assert all(len(line) <= compare.WIDTH for line in there.text(shown).splitlines())
