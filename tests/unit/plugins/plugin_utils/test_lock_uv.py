# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils._lock_pylock import Choice
from ansible_collections.containerless.django.plugins.plugin_utils._lock_uv import parse
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from .locks import uv_lock, uv_package

PYPROJECT = '[project]\nname = "shop"\nversion = "1.2"\ndependencies = ["django", "gunicorn"]\n'
MANY = """
[project.optional-dependencies]
redis = ["redis"]
[dependency-groups]
dev = ["pytest"]
live = ["sentry-sdk"]
[tool.uv]
default-groups = ["dev"]
"""
MANY_LOCKED = uv_lock(
    packages=[
        uv_package(
            "redis", "8.1.0", more='dependencies = [{ name = "tzdata", marker = "sys_platform == \'win32\'" }]\n'
        ),
        uv_package("pytest", "9"),
        uv_package("sentry-sdk", "2.75"),
        uv_package("tzdata", "2026.6"),
    ],
    more='[package.optional-dependencies]\nredis = [{ name = "redis" }]\n'
    '[package.dev-dependencies]\ndev = [{ name = "pytest" }]\nlive = [{ name = "sentry-sdk" }]\n',
)


def names(text: str, choice: Choice, pyproject: str = PYPROJECT) -> list[str]:
    return [pin.name for pin in parse(text, "uv.lock", pyproject, choice).pins]


def test_a_project_and_its_pins() -> None:
    lock = parse(uv_lock(), "uv.lock", PYPROJECT, Choice())
    assert (lock.kind, lock.package) == ("uv", False)
    assert lock.index_options == ("--extra-index-url https://index.example/simple",)
    assert [(pin.name, pin.version, len(pin.hashes), pin.where) for pin in lock.pins] == [
        ("django", "5.2.19", 2, "uv.lock (django 5.2.19)"),
        ("gunicorn", "27.0.1", 2, "uv.lock (gunicorn 27.0.1)"),
    ]


@pytest.mark.parametrize(
    ("choice", "more"),
    [
        (Choice(), set()),
        (Choice(extras=("redis",)), {"redis", "tzdata"}),
        (Choice(groups=("live",)), {"sentry-sdk"}),
        (Choice(("redis",), ("dev", "live")), {"redis", "tzdata", "sentry-sdk", "pytest"}),
    ],
)
def test_nothing_but_the_dependencies_unless_it_is_chosen(choice: Choice, more: set[str]) -> None:
    """The groups that `uv sync` takes by default are for people who develop."""
    assert set(names(MANY_LOCKED, choice, PYPROJECT + MANY)) == {"django", "gunicorn"} | more


def test_markers_come_along() -> None:
    pins = parse(MANY_LOCKED, "uv.lock", PYPROJECT + MANY, Choice(extras=("redis",))).pins
    assert {pin.name: pin.marker for pin in pins}["tzdata"] == 'sys_platform == "win32"'


def test_forks_come_along() -> None:
    registry = 'source = { registry = "https://index.example/simple" }'
    dependencies = ", ".join(
        f'{{ name = "numpy", version = "{version}", {registry}, marker = "python_full_version {marker} \'3.12\'" }}'
        for version, marker in (("1.26.4", "<"), ("2.5.5", ">="))
    )
    text = uv_lock(dependencies=dependencies, packages=[uv_package("numpy", v) for v in ("1.26.4", "2.5.5")])
    markers = "resolution-markers = [\"python_full_version < '3.12'\", \"python_full_version >= '3.12'\"]\n"
    pins = parse(text.replace("\n[[", markers + "\n[[", 1), "uv.lock", PYPROJECT, Choice()).pins
    assert [(pin.version, pin.marker) for pin in pins] == [
        ("1.26.4", 'python_full_version < "3.12"'),
        ("2.5.5", 'python_full_version >= "3.12"'),
    ]


@pytest.mark.parametrize(("source", "package"), [("editable", True), ("virtual", False)])
def test_whether_the_project_is_a_package(source: str, package: bool) -> None:
    assert parse(uv_lock(source=source), "uv.lock", PYPROJECT, Choice()).package is package


@pytest.mark.parametrize(
    ("index", "more", "expected"),
    [
        (PYPI_SIMPLE_ENDPOINT.rstrip("/"), "", ()),
        ("https://a.example/x", "", ("--extra-index-url https://a.example/x",)),
        (
            "https://a.example/x",
            '[[tool.uv.index]]\nname = "a"\nurl = "https://a.example/x"\nformat = "flat"\n',
            ("--find-links https://a.example/x",),
        ),
        (
            "https://a.example/x",
            '[tool.uv]\nfind-links = ["https://a.example/x/"]\n',
            ("--find-links https://a.example/x",),
        ),
    ],
)
def test_where_it_was_locked_from(index: str, more: str, expected: tuple[str, ...]) -> None:
    text = uv_lock(dependencies='{ name = "a" }', packages=[uv_package("a", "1", index=index)])
    assert parse(text, "uv.lock", PYPROJECT + more, Choice()).index_options == expected


def test_nothing_around_the_project_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment, nor a workspace in a folder above, which on a shared machine is anybody's."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "evil"\n[tool.uv.workspace]\nmembers = ["*"]\n')
    (tmp_path / "uv.lock").write_text(uv_lock(name="evil", packages=[uv_package("evil", "1")]))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("UV_PROJECT", str(tmp_path))
    monkeypatch.setenv("UV_NO_HASHES", "1")
    lock = parse(uv_lock(), "uv.lock", PYPROJECT, Choice())
    assert [pin.name for pin in lock.pins] == ["django", "gunicorn"]


def test_a_workspace_and_a_python_that_is_not_here() -> None:
    member = '[[package]]\nname = "billing"\nversion = "1"\nsource = { virtual = "packages/billing" }\n'
    text = uv_lock(packages=[member + 'dependencies = [{ name = "django" }]\n'], dependencies='{ name = "billing" }')
    text = text.replace("\n[[", '\n[manifest]\nmembers = ["billing", "shop"]\n\n[[', 1).replace(">=3.11", ">=3.99")
    pyproject = PYPROJECT + 'requires-python = ">=3.99"\n[tool.uv.workspace]\nmembers = ["packages/*"]\n'
    assert names(text, Choice(), pyproject) == ["django"]


def source(name: str, where: str) -> str:
    return f'[[package]]\nname = "{name}"\nversion = "1"\nsource = {{ {where} }}\n'


BAD = [
    ("x = [", PYPROJECT, "^uv.lock is not TOML: "),
    ("version = 99\n", PYPROJECT, "^uv.lock can't be read: .*unsupported schema version"),
    ("", PYPROJECT, "^uv.lock can't be read: Failed to parse `uv.lock`"),
    (
        uv_lock(
            packages=[
                source("a", 'git = "https://git.example/a?rev=x#0123456789012345678901234567890123456789"'),
                source("b", 'editable = "packages/b"'),
                source("c", 'directory = "../c"'),
                source("d", 'path = "wheels/d-1-py3-none-any.whl"')
                + f'wheels = [{{ filename = "d-1-py3-none-any.whl", hash = "sha256:{"a" * 64}" }}]\n',
            ],
            dependencies=", ".join(f'{{ name = "{name}" }}' for name in "abcd"),
        ),
        PYPROJECT,
        r"^uv.lock holds what comes from no index: a \(.*\), b \(.*packages/b\), c \(.*../c\), d \(.*\); lock it again",
    ),
    (re.sub(', hash = "[^"]*"', "", uv_lock()), PYPROJECT, "without a SHA-256: django 5.2.19, gunicorn 27.0.1;"),
]


@pytest.mark.parametrize(("text", "pyproject", "fault"), BAD, ids=[case[2] for case in BAD])
def test_what_can_not_be_installed_from_an_index_is_refused_by_name(text: str, pyproject: str, fault: str) -> None:
    with pytest.raises(ContainerlessError, match=fault) as caught:
        parse(text, "uv.lock", pyproject, Choice())
    assert "\n" not in str(caught.value)


def test_a_conflict_is_told() -> None:
    conflicts = '[tool.uv]\nconflicts = [[{ extra = "a" }, { extra = "b" }]]\n'
    extras = "[project.optional-dependencies]\na = []\nb = []\n"
    told = 'conflicts = [[{ package = "shop", extra = "a" }, { package = "shop", extra = "b" }]]\n'
    text = uv_lock(more="[package.optional-dependencies]\na = []\nb = []\n").replace("\n[[", f"{told}\n[[", 1)
    with pytest.raises(ContainerlessError, match="uv.lock can't be read: Extras `a` and `b` are incompatible"):
        parse(text, "uv.lock", PYPROJECT + extras + conflicts, Choice(extras=("a", "b")))
