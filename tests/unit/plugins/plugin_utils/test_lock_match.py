# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import tomllib
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact.lock import Lock, Pin
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _lock_match
from ansible_collections.containerless.django.plugins.plugin_utils._lock_pylock import Choice
from hypothesis import given, settings, strategies as st

from .locks import uv_lock

NOTHING = Choice()


def wanted(project: str, choice: Choice = NOTHING, more: str = "") -> _lock_match.Wanted:
    document = tomllib.loads(f'[project]\nname = "shop"\n{project}\n{more}')
    found = _lock_match.wanted(document, choice)
    assert found is not None
    return found


def fault_of_uv(asked: _lock_match.Wanted, requires: str, **others: t.Any) -> str:
    try:
        _lock_match.check_uv(tomllib.loads(uv_lock(requires=requires, **others)), asked, "uv.lock")
    except ContainerlessError as exc:
        return str(exc)
    return ""


def dependencies(*lines: str) -> str:
    return f"dependencies = {list(lines)!r}"


SAME = [
    (dependencies(), ""),
    (dependencies("Django>=5.2,<5.3"), '{ name = "django", specifier = "<5.3,>=5.2" }'),
    (dependencies("django==5.2.0"), '{ name = "django", specifier = "==5.2" }'),
    (dependencies("psycopg[Binary,pool]"), '{ name = "psycopg", extras = ["pool", "binary"] }'),
    (
        dependencies("tzdata; python_version<'3.12'"),
        '{ name = "tzdata", marker = "python_full_version < \'3.12\'" }',
    ),
    # What is not for Linux, or not for a Python that the project allows, may be written in any way.
    (dependencies("pywin32>=3; sys_platform == 'win32'"), ""),
    ("requires-python = '>=3.11'\n" + dependencies("six; python_version >= '3.9'"), '{ name = "six" }'),
    # A requirement that uv took in two parts.
    (
        dependencies("numpy>=1"),
        (
            '{ name = "numpy", specifier = ">=1", marker = "python_full_version < \'3.12\'" },'
            '{ name = "numpy", specifier = ">=1", marker = "python_full_version >= \'3.12\'" }'
        ),
    ),
    (dependencies("a>=1"), '{ name = "a", virtual = "packages/a" }'),
    (dependencies("a @ https://files.example/a-1.zip"), '{ name = "a", url = "https://files.example/a-1.zip" }'),
]


@pytest.mark.parametrize(("project", "requires"), SAME)
def test_the_same_requirements_in_other_words_match(project: str, requires: str) -> None:
    assert fault_of_uv(wanted(project), requires) == ""


OTHER = [
    (dependencies("django>=6"), '{ name = "django", specifier = ">=5" }', "django"),
    (dependencies("django"), "", "django"),
    (dependencies(), '{ name = "django" }', "django"),
    (dependencies("psycopg[binary]"), '{ name = "psycopg" }', "psycopg"),
    (
        dependencies("b; python_version<'3.13'", "a"),
        '{ name = "b", marker = "python_full_version < \'3.12\'" }',
        "a, b",
    ),
    (dependencies("six; platform_machine=='aarch64'"), "", "six"),
]


@pytest.mark.parametrize(("project", "requires", "names"), OTHER)
def test_other_requirements_are_named(project: str, requires: str, names: str) -> None:
    fault = fault_of_uv(wanted(project), requires)
    assert fault == f"uv.lock does not match pyproject.toml ({names}); run `uv lock` and commit it"


EXTRAS = "[project.optional-dependencies]\nRedis = ['redis>=8']\ncache = ['shop[redis]']\nother = ['x']\n"
REDIS = '{ name = "redis", specifier = "%s", marker = "extra == \'redis\'" }'
SELF = '{ name = "shop", extras = ["redis"], marker = "extra == \'cache\'" }'
OTHER_EXTRA = '{ name = "y", marker = "extra == \'other\'" }'


@pytest.mark.parametrize(
    ("extras", "specifier", "good"),
    [((), ">=7", True), (("redis",), ">=8", True), (("cache",), ">=8", True), (("cache",), ">=7", False)],
)
def test_what_is_not_chosen_is_not_compared(extras: tuple[str, ...], specifier: str, good: bool) -> None:
    asked = wanted(dependencies(), Choice(extras=extras), EXTRAS)
    assert bool(fault_of_uv(asked, f"{REDIS % specifier}, {SELF}, {OTHER_EXTRA}")) is not good


GROUPS = "[dependency-groups]\nlive = ['a', {include-group = 'Base_line'}]\nBase_line = ['b>=1', 'shop']\n"


@pytest.mark.parametrize(
    ("locked", "good"),
    [
        ('live = [{ name = "a" }, { name = "b", specifier = ">=1" }]', True),
        ('live = [{ name = "a" }, { name = "b" }]', False),
        ('dev = [{ name = "a" }, { name = "b", specifier = ">=1" }]', False),
    ],
)
def test_groups_are_compared_with_what_they_include(locked: str, good: bool) -> None:
    document = tomllib.loads(f"{uv_lock()}\n[package.metadata.requires-dev]\n{locked}\n")
    asked = wanted(dependencies(), Choice(groups=("live",)), GROUPS)
    if good:
        _lock_match.check_uv(document, asked, "uv.lock")
    else:
        with pytest.raises(ContainerlessError, match="does not match"):
            _lock_match.check_uv(document, asked, "uv.lock")


def test_groups_of_a_folder_that_is_no_project() -> None:
    asked = _lock_match.wanted(tomllib.loads(GROUPS), Choice(groups=("base-line",)))
    assert asked
    document = {"manifest": {"dependency-groups": {"base-line": [{"name": "b", "specifier": ">=1"}, {"name": "shop"}]}}}
    _lock_match.check_uv(document, asked, "uv.lock")
    with pytest.raises(ContainerlessError, match=r"\(b, shop\)"):
        _lock_match.check_uv({}, asked, "uv.lock")


def test_the_lock_of_another_project() -> None:
    fault = fault_of_uv(wanted(dependencies()), "", name="other")
    assert fault == "uv.lock is the lock of other, not of shop; run `uv lock` and commit it"


@pytest.mark.parametrize("what", ["dependencies", "optional-dependencies"])
def test_what_only_a_build_would_tell_is_not_compared(what: str) -> None:
    assert _lock_match.wanted({"project": {"dynamic": ["version", what]}}, Choice()) is None


BAD = [
    ("dependencies = 'django'", Choice(), "^project.dependencies of pyproject.toml is not a list of requirements"),
    (
        "dependencies = ['a b']",
        Choice(),
        r"^project.dependencies of pyproject.toml holds 'a b', which is no requirement",
    ),
    ("dependencies = [1]", Choice(), "holds 1, which is no requirement"),
    ("requires-python = '3'", Choice(), "^project.requires-python of pyproject.toml is '3', no version specifier"),
    ("requires-python = 3", Choice(), "^project.requires-python of pyproject.toml is 3, no"),
    (
        "",
        Choice(extras=("x",)),
        r"^extras of .* names 'x', which \[project.optional-dependencies\] there does not hold",
    ),
    ("", Choice(groups=("x",)), r"^groups of .* names 'x', which \[dependency-groups\] there does not hold"),
    (
        "[dependency-groups]\nx = [{include-group = 'x'}]",
        Choice(groups=("x",)),
        r"^\[dependency-groups\] of pyp.*: Cyclic",
    ),
    ("[dependency-groups]\nx = ['a b']", Choice(groups=("x",)), r"^\[dependency-groups\] of pyproject.toml: "),
    ("[dependency-groups]\nx = 1", Choice(groups=("x",)), r"^\[dependency-groups\] of pyproject.toml: "),
    (
        "[project.optional-dependencies]\nx = 1",
        Choice(extras=("x",)),
        "^project.optional-dependencies.x of .* not a list",
    ),
]


@pytest.mark.parametrize(("project", "choice", "fault"), BAD, ids=[case[2] for case in BAD])
def test_a_broken_pyproject_is_told(project: str, choice: Choice, fault: str) -> None:
    with pytest.raises(ContainerlessError, match=fault) as caught:
        wanted(project, choice)
    assert "\n" not in str(caught.value)


def pins(*names: str) -> Lock:
    found = (name.partition("==") for name in names)
    parts = [(name, *version.partition(";")) for name, _, version in found]
    return Lock(tuple(Pin(name, version, marker, (), f"lock ({name})") for name, version, _, marker in parts), ())


BY_PYTHON = ("a<2; python_version<'3.12'", "a>=2; python_version>='3.12'")
PINNED = [
    (dependencies("Django>=5.2,<6"), pins("django==5.2.19"), ""),
    (dependencies("django>=5.2"), pins("django==6.0rc1"), ""),
    (dependencies("torch==2.1"), pins("torch==2.1+cpu"), ""),
    (dependencies("django>=6"), pins("django==5.2.19"), "(django>=6 is pinned as 5.2.19)"),
    (dependencies("django", "redis"), pins("django==5.2.19"), "(redis is not pinned)"),
    (dependencies("redis", "django<5"), pins("django==5.2"), "(redis is not pinned, django<5 is pinned as 5.2)"),
    (dependencies("pywin32; sys_platform=='win32'"), pins("a==1"), ""),
    (dependencies("tomli; python_version<'3.99'"), pins("a==1"), "(tomli is not pinned)"),
    ("requires-python='>=3.11'\n" + dependencies("tomli; python_version<'3.11'"), pins("a==1"), ""),
    ("requires-python='<3.11'\n" + dependencies("tomli; python_version<'3.11'"), pins("a==1"), "(tomli is not pinned)"),
    (dependencies("a"), pins("a==1; sys_platform=='win32'"), "(a is not pinned)"),
    # A lock for one Python, of a project that has another requirement for others.
    (dependencies("a<2; python_version<'3.12'", "a>=2; python_version>='3.12'"), pins("a==1"), ""),
    (
        dependencies("a<2; python_version<'3.12'", "a>=2; python_version>='3.12'", "b"),
        pins("a==1"),
        "(b is not pinned)",
    ),
    (dependencies("shop[x]"), pins("a==1"), "(b is not pinned)"),
]


@pytest.mark.parametrize(("project", "lock", "fault"), PINNED)
def test_every_requirement_is_pinned_at_a_version_that_it_allows(project: str, lock: Lock, fault: str) -> None:
    asked = wanted(project, more="[project.optional-dependencies]\nx = ['b']\n")
    if not fault:
        _lock_match.check_pins(lock, asked, "lock.txt")
        return
    with pytest.raises(ContainerlessError) as caught:
        _lock_match.check_pins(lock, asked, "lock.txt")
    assert str(caught.value) == f"lock.txt does not match pyproject.toml {fault}; write the lock again"


@pytest.mark.parametrize(
    ("pin", "fault"),
    [("a==1;python_version", r"^lock \(a\): "), ("a==one", r"^lock \(a\): 'one' is no version of a \(PEP 440\)")],
)
def test_a_broken_pin_is_told(pin: str, fault: str) -> None:
    with pytest.raises(ContainerlessError, match=fault) as caught:
        _lock_match.check_pins(pins(pin), wanted(dependencies("a")), "lock.txt")
    assert "\n" not in str(caught.value)


VERSIONS = st.sampled_from(["", ">=1", "<2", ">=1,<2", "~=1.1", "==1.1"])
WISHES = st.dictionaries(st.sampled_from("abc"), VERSIONS)


@settings(deadline=None, max_examples=50)
@given(WISHES, WISHES)
def test_a_lock_matches_what_it_was_made_of_and_nothing_else(one: dict[str, str], two: dict[str, str]) -> None:
    asked = wanted(dependencies(*(f"{name}{specifier}" for name, specifier in one.items())))
    requires = ", ".join(f'{{ name = "{name}", specifier = "{specifier}" }}' for name, specifier in two.items())
    differ = sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))
    assert fault_of_uv(asked, requires).partition("(")[2].partition(")")[0] == ", ".join(differ)
