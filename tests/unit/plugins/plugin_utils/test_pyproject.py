# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import re
import tomllib
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _pyproject
from ansible_collections.containerless.django.plugins.plugin_utils._pyproject import Settings, settings_of
from hypothesis import given, settings, strategies as st

EVERYTHING = """
manage = "./src/manage.py"
settings = "shop.settings.live"
lock = "locks/pylock.live.toml"
package = false
extras = ["Redis", "redis"]
groups = ["live_only"]
sdists = ["MySQL.client"]
build = ["npm ci", "npm run build -- --out 'a b'", "npm ci"]
exclude = ["node_modules/", "**/*.scss"]
build-requires = {"mysql-client" = ["setuptools>=80", "wheel ; python_version < '3.12'"], project = ["hatchling"]}

[static]
collect = false
ignore = ["*.scss", "src/**"]

[processes]
web = "gunicorn shop.wsgi"
worker = "python manage.py worker"
release = "python manage.py migrate"

[timers.clear_sessions]
command = "python manage.py clearsessions"
schedule = " Mon..Fri *-*-* 04:00:00 Europe/Berlin "
"""


def read(text: str) -> Settings:
    return settings_of(tomllib.loads(text))


def test_every_key() -> None:
    assert read(EVERYTHING) == Settings(
        manage="src/manage.py",
        settings="shop.settings.live",
        lock="locks/pylock.live.toml",
        package=False,
        extras=("redis",),
        groups=("live-only",),
        sdists=("mysql-client",),
        build_requires={
            "mysql-client": ("setuptools>=80", "wheel ; python_version < '3.12'"),
            "project": ("hatchling",),
        },
        commands=(("npm", "ci"), ("npm", "run", "build", "--", "--out", "a b"), ("npm", "ci")),
        exclude=("node_modules", "**/*.scss"),
        static_collect=False,
        static_ignore=("*.scss", "src/**"),
        processes={"web": ["gunicorn", "shop.wsgi"], "worker": ["python", "manage.py", "worker"]},
        timers={
            "clear_sessions": {
                "argv": ["python", "manage.py", "clearsessions"],
                "schedule": "Mon..Fri *-*-* 04:00:00 Europe/Berlin",
            }
        },
    )


def test_the_text_above_names_every_field() -> None:
    left = {field.name for field in dataclasses.fields(Settings)}
    assert left == {name for name, value in vars(read(EVERYTHING)).items() if value != getattr(Settings(), name)}


def test_no_table_is_all_defaults() -> None:
    assert read("") == Settings()


@pytest.mark.parametrize(
    "schedule",
    ["daily", "*:0/5", "Mon,Fri *-*-1..7 18:00", "2026-*~01", "@1395716396", "hourly UTC", "*-*-* 04:00 Etc/GMT+1"],
)
def test_schedules(schedule: str) -> None:
    table = {"timers": {"night": {"command": "python x.py", "schedule": schedule}}}
    assert settings_of(table).timers["night"]["schedule"] == schedule


OF = r"of \[tool.containerless\] in pyproject.toml"
BAD = [
    # unknown keys
    ("proceses = {}", r"\[tool.containerless\] in pyproject.toml has no key 'proceses'; did you mean 'processes'\?"),
    ("build_requires = {}", r"no key 'build_requires'; did you mean 'build-requires'\?"),
    ("qqq = 1", r"no key 'qqq'; it takes build, build-requires, exclude, "),
    ("static.colect = true", r"\[tool.containerless.static\] .* no key 'colect'; did you mean 'collect'\?"),
    ("timers.a.comand = ''", r"\[tool.containerless.timers.a\] .* no key 'comand'; did you mean 'command'\?"),
    # wrong types
    ("manage = 1", f"^manage {OF} must be a path inside of the project, not 1$"),
    ("manage = ''", "^manage "),
    ("manage = '/etc/x'", "^manage "),
    ("manage = 'a/../../x'", "^manage "),
    ('manage = "a\\nb"', "^manage "),
    ("lock = ['a']", f"^lock {OF} must be a path"),
    (
        "settings = 'shop/settings.py'",
        f"^settings {OF} must be a module such as 'shop.settings', not 'shop/settings.py'",
    ),
    ("settings = 'shop.'", "^settings "),
    ("package = 1", f"^package {OF} must be true or false, not 1"),
    ("package = 'yes'", "^package "),
    ("extras = 'redis'", f"^extras {OF} must be a list, not 'redis'"),
    ("groups = [{include-group = 'a'}]", f"^groups {OF} must be a list of names, not "),
    ("sdists = ['a==1']", f"^sdists {OF} must be a list of names, not 'a==1'"),
    ("sdists = ['-a']", "^sdists "),
    ("exclude = ['../x']", f"^exclude {OF} must be a path inside of the project, not '../x'"),
    ("exclude = [1]", "^exclude "),
    *(
        (f"exclude = ['{glob}']", f"^exclude {OF} must be a pattern")
        for glob in (".", "./", "**", "**/.", "**.map", "a/b**")
    ),
    ("static = true", r"^\[tool.containerless.static\] in pyproject.toml must be a table, not True"),
    ("static.collect = 'no'", r"^collect of \[tool.containerless.static\] in pyproject.toml must be true or false"),
    ("static.ignore = '*.scss'", r"^ignore of \[tool.containerless.static\] .* must be a list, not "),
    ("static.ignore = ['']", r"^ignore of \[tool.containerless.static\] .* must be a list of patterns"),
    # commands
    ("build = 'npm ci'", f"^build {OF} must be a list, not 'npm ci'"),
    ("build = [['npm', 'ci']]", f"^build {OF} must be a command, not "),
    ("build = ['npm ci && npm run build']", rf"^build {OF} \('npm ci && npm run build'\): & needs a shell"),
    ("build = ['CI=1 npm ci']", "variable CI belongs into app_build_env"),
    ('build = ["a\\nb"]', "control character"),
    # requirements of builds
    ("build-requires.a = ['x']", f"^build-requires {OF} names a, which sdists there does not"),
    (
        "sdists = ['a']\nbuild-requires.a = ['x y']",
        r"^a of \[tool.containerless.build-requires\] .* list of requirements",
    ),
    ("build-requires.project = ['x @ https://files.example/x.whl']", "must be a list of requirements"),
    ("build-requires.project = 'x'", "must be a list, not 'x'"),
    # processes
    ("processes = []", r"^\[tool.containerless.processes\] in pyproject.toml must be a table, not \[\]"),
    ("processes.web = ['gunicorn']", r"^web of \[tool.containerless.processes\] in pyproject.toml must be a command"),
    ("processes.worker = 'python x.py'", r"^\[tool.containerless.processes\] in pyproject.toml names no process web"),
    ("processes = {}", "names no process web"),
    (
        "processes.web = 'gunicorn $X'",
        r"^web of \[tool.containerless.processes\] in pyproject.toml \('gunicorn \$X'\): \$ needs",
    ),
    # timers
    ("timers.night = 'x'", r"^\[tool.containerless.timers.night\] in pyproject.toml must be a table"),
    (
        "timers.Night = {}",
        r"^\[tool.containerless.timers.Night\] in pyproject.toml: the name 'Night' of a process or timer",
    ),
    ("timers.night = {}", r"^\[tool.containerless.timers.night\] in pyproject.toml has no command and no schedule"),
    ("timers.night.command = 'python x.py'", "has no schedule$"),
    (
        "timers.night = {command = 'a | b', schedule = 'daily'}",
        r"^command of \[tool.containerless.timers.night\] .* needs a",
    ),
    ("timers.night = {command = 'A=1 b', schedule = 'daily'}", "variable A belongs into app_release_env"),
    *(
        (
            f"timers.night = {{command = 'a', schedule = {schedule}}}",
            r"^schedule of \[tool.containerless.timers.night\]",
        )
        for schedule in ('""', '" "', '"daily\\nOnBootSec=1"', '"%n"', '"daily;"', "1", '"täglich"')
    ),
]


@pytest.mark.parametrize(("text", "fault"), BAD)
def test_a_fault_is_named_with_key_and_file(text: str, fault: str) -> None:
    with pytest.raises(ContainerlessError, match=fault) as caught:
        read(text)
    assert "\n" not in str(caught.value)


KEYS = st.sampled_from([*_pyproject._KEYS, "collect", "ignore", "command", "schedule", "web", "project"])
VALUES: st.SearchStrategy[t.Any] = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["a b", "x>=1", "daily", "gunicorn a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | KEYS, inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(KEYS, VALUES, max_size=3))
def test_whatever_stands_there_is_read_or_refused_in_one_sentence(table: dict[str, t.Any]) -> None:
    try:
        said = repr(settings_of(table))
    except ContainerlessError as exc:
        said = str(exc)
    assert said.startswith("Settings(") or "pyproject.toml" in said
    assert "\n" not in said


DOCS = Path(_pyproject.__file__).resolve().parents[2] / "docs/project.md"
BLOCKS = re.findall(r"^```toml\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS)
def test_what_the_page_shows_is_taken(block: str) -> None:
    assert settings_of(tomllib.loads(block)["tool"]["containerless"]) != Settings()


def test_the_page_shows_every_key() -> None:
    shown = max((tomllib.loads(block)["tool"]["containerless"] for block in BLOCKS), key=len)
    assert set(shown) == set(_pyproject._KEYS)
    for key in (*_pyproject._KEYS, "static.collect", "static.ignore", "timers.NAME.command", "timers.NAME.schedule"):
        assert re.search(rf"^\| `{key}[`.]", DOCS.read_text(encoding="utf-8"), re.MULTILINE), key
