# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils._project import (
    Options,
    Project,
    check_python,
    default_settings,
    read_project,
)
from ansible_collections.containerless.django.plugins.plugin_utils._source import open_source

from . import checkout
from .locks import uv_lock


def read(tmp_path: Path, files: Mapping[str, str | bytes | None] | None = None, **options: str) -> Project:
    source = open_source(checkout.make(tmp_path / "repo", files), "HEAD", allow_dirty=False)
    return read_project(source, Options(name=options.pop("name", "shop"), **options))  # type: ignore[arg-type]


def containerless(text: str) -> str:
    return f"{checkout.FILES['pyproject.toml']}[tool.containerless]\n{text}\n"


def test_a_django_project(tmp_path: Path) -> None:
    project = read(tmp_path)
    assert project.version == f"1.2.g{project.source.commit[:8]}"
    assert project.processes == {"web": ["gunicorn", "shop.wsgi"], "worker": ["python", "manage.py", "worker"]}
    assert (project.manage, project.settings_module) == ("manage.py", "shop.settings")
    assert (project.lock_name, project.lock_digest["kind"]) == ("requirements.txt", "requirements")
    assert (project.package, project.timers, project.sdists) == (False, {}, ())


@pytest.mark.parametrize(
    ("pyproject", "wanted", "expected"),
    [
        (None, "", "2024.03.01.g"),  # the commit's day is that of UTC
        ("[project]\ndynamic = ['version']\n", "", "2024.03.01.g"),
        ("[project]\nversion = '2.0'\n", "", "2.0.g"),
        ("[project]\nversion = '2.0'\n", "7", "7"),
    ],
)
def test_version(tmp_path: Path, pyproject: str | None, wanted: str, expected: str) -> None:
    project = read(tmp_path, {"pyproject.toml": pyproject}, version=wanted)
    assert project.version == expected + (project.source.commit[:8] if expected.endswith(".g") else "")


def test_a_dirty_version_says_so(tmp_path: Path) -> None:
    repo = checkout.make(tmp_path / "repo")
    checkout.write(repo, {"new.py": ""})
    project = read_project(open_source(repo, "HEAD", allow_dirty=True), Options(name="shop", version="7"))
    assert project.version == "7.dirty"


MANAGE = "src/manage.py"
DJANGO = [
    # manage.py, table, option: manage and settings of the project
    ("manage.py", "", "", ("manage.py", "shop.settings")),
    ("manage.py", "settings = 'of.table'", "", ("manage.py", "of.table")),
    ("manage.py", "settings = 'of.table'", "of.option", ("manage.py", "of.option")),
    (MANAGE, f"manage = '{MANAGE}'", "", (MANAGE, "shop.settings")),
    (MANAGE, "", "", (None, None)),
    ("", "", "", (None, None)),
    ("", "settings = 'of.table'", "", (None, "of.table")),
    ("", "", "of.option", (None, "of.option")),
]


@pytest.mark.parametrize(("manage", "table", "option", "expected"), DJANGO)
def test_the_way_into_django(
    tmp_path: Path, manage: str, table: str, option: str, expected: tuple[str | None, str | None]
) -> None:
    files = {"manage.py": None, "pyproject.toml": containerless(table)}
    project = read(
        tmp_path, {**files, **({manage: checkout.FILES["manage.py"]} if manage else {})}, settings_module=option
    )
    assert (project.manage, project.settings_module) == expected


def test_a_thin_project_is_a_lock_a_settings_module_and_processes(tmp_path: Path) -> None:
    table = "settings = 'wagtail.live'\n[tool.containerless.processes]\nweb = 'gunicorn wagtail.wsgi'"
    files = {"Procfile": None, "manage.py": None, "pyproject.toml": f"[tool.containerless]\n{table}\n"}
    project = read(tmp_path, files)
    assert (project.manage, project.settings_module) == (None, "wagtail.live")
    assert project.processes == {"web": ["gunicorn", "wagtail.wsgi"]}


def test_the_lock_of_the_option_goes_before_that_of_the_table(tmp_path: Path) -> None:
    lock = checkout.FILES["requirements.txt"]
    files = {"a.txt": lock, "b.txt": lock, "pyproject.toml": containerless("lock = 'a.txt'")}
    assert read(tmp_path, files).lock_name == "a.txt"
    assert read(tmp_path / "other", files, lock="b.txt").lock_name == "b.txt"


def test_a_file_may_say_its_encoding(tmp_path: Path) -> None:
    manage = "# coding: latin-1\n# é\nimport os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.b')\n"
    assert read(tmp_path, {"manage.py": manage.encode("latin-1")}).settings_module == "a.b"


LOCKED = "".join(f"{pin} --hash=sha256:{checkout.PIN}\n" for pin in ("gunicorn==27.0.1", "flask==3"))
TIMER = "[tool.containerless.timers.{}]\ncommand = '{}'\nschedule = 'daily'"
BAD: list[tuple[dict[str, str | bytes | None], dict[str, str], str]] = [
    ({"Procfile": None}, {}, "has no Procfile in its commit"),
    ({"Procfile": "worker: python manage.py worker\n"}, {}, "names no process web"),
    ({"Procfile": "web: gunicorn shop.wsgi --bind $PORT\n"}, {}, "Procfile line 1"),
    ({"Procfile": "web: hypercorn shop.asgi\n"}, {}, "runs 'hypercorn'"),
    ({"Procfile": b"web: gunicorn shop.wsgi # \xe9\n"}, {}, r"^Procfile is not UTF-8 \(byte 27\)"),
    (
        {"pyproject.toml": containerless("processes.web = 'gunicorn shop.wsgi'")},
        {},
        "has a Procfile and processes of .tool.containerless. in pyproject.toml; remove one",
    ),
    (
        {"pyproject.toml": containerless(TIMER.format("worker", "python x.py"))},
        {},
        "^worker is both a process and a timer of",
    ),
    ({"pyproject.toml": containerless(TIMER.format("night", "./x.sh"))}, {}, "night starts './x.sh', which is neither"),
    (
        {"requirements.txt": None},
        {},
        r"has no uv.lock, pylock.toml or requirements.txt in its commit \(app_build_lock\)",
    ),
    ({}, {"lock": "locks/live.txt"}, r"^locks/live.txt is not in the commit of .* \(app_build_lock\)"),
    ({"requirements.txt": "django==5.2\n"}, {}, r"requirements.txt has lines without .*: line 1 \(django==5.2\);"),
    ({"requirements.txt": LOCKED}, {}, "the project has a manage.py, but requirements.txt holds no django"),
    (
        {"requirements.txt": LOCKED, "manage.py": None},
        {"settings_module": "a.b"},
        "the project has the settings module a.b, but requirements.txt holds no django",
    ),
    ({"requirements.txt": b"\xff\xfe"}, {}, "^requirements.txt is not UTF-8"),
    ({"pyproject.toml": "[project\n"}, {}, "pyproject.toml is not TOML"),
    ({"pyproject.toml": b"# \xe9"}, {}, r"pyproject.toml is not UTF-8 \(byte 3\)"),
    (
        {"pyproject.toml": "[tool]\ncontainerless = 1\n"},
        {},
        r"\[tool.containerless\] in pyproject.toml must be a table",
    ),
    ({"pyproject.toml": containerless("manage = 'x.py'")}, {}, "x.py is not in the commit, but"),
    ({"pyproject.toml": containerless("sdists = ['b', 'django', 'A']")}, {}, "names a, b, which requirements.txt does"),
    ({"pyproject.toml": "[project]\nversion = '1.0+local'\n"}, {}, r"version '1.0\+local.* \(app_build_version\)"),
    ({"manage.py": "x\n"}, {}, "manage.py sets no DJANGO_SETTINGS_MODULE; name one in app_build_settings_module"),
    ({"manage.py": "x\nprint 'hello'\n"}, {}, "^manage.py line 2 is not Python: Missing parentheses"),
    ({"manage.py": b"\xe9"}, {}, "^manage.py( line 1)? is not Python: "),
    ({"manage.py": b"\0"}, {}, "^manage.py is not Python: "),
    ({}, {"name": "Shop"}, "app_name 'Shop' must be"),
]


@pytest.mark.parametrize(("files", "options", "fault"), BAD, ids=[case[2] for case in BAD])
def test_what_can_not_be_built_is_refused(
    tmp_path: Path, files: dict[str, str | bytes | None], options: dict[str, str], fault: str
) -> None:
    with pytest.raises(ContainerlessError, match=fault) as caught:
        read(tmp_path, files, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("manage", "expected"),
    [
        ("import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.b')", "a.b"),
        ("from os import environ\nif True:\n    environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.b')", "a.b"),
        ("import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', f'{x}.b')", None),
        ("print('hello')", None),
    ],
)
def test_default_settings(manage: str, expected: str | None) -> None:
    assert default_settings(manage.encode(), "manage.py") == expected


@pytest.mark.parametrize(
    ("lock", "table", "expected"),
    [
        (None, "", False),
        (None, "package = true", True),
        ("editable", "", True),
        ("virtual", "", False),
        ("editable", "package = false", False),
        ("virtual", "package = true", True),
    ],
)
def test_whether_the_project_is_a_package(tmp_path: Path, lock: str | None, table: str, expected: bool) -> None:
    files: dict[str, str | None] = {"pyproject.toml": containerless(table)}
    if lock:
        files["uv.lock"] = uv_lock(source=lock)
    assert read(tmp_path, files).package is expected


@pytest.mark.parametrize(
    ("line", "python", "good"),
    [
        ("", "3.11.2", True),
        ("requires-python = '>=3.11'", "3.11.2", True),
        ("requires-python = '>=3.11,<3.12'", "3.13.5", False),
        ("requires-python = '>=3.11.4'", "3.11.2", False),
    ],
)
def test_a_platform_has_the_python_that_the_project_asks_for(
    tmp_path: Path, line: str, python: str, good: bool
) -> None:
    project = read(tmp_path, {"pyproject.toml": f"{checkout.FILES['pyproject.toml']}{line}\n"})
    if good:
        check_python(project, python, "debian12")
    else:
        fault = rf"^project.requires-python of pyproject.toml is \S+, but debian12 has Python {python} \(app_build_pl"
        with pytest.raises(ContainerlessError, match=fault):
            check_python(project, python, "debian12")
