# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils._project import (
    Options,
    Project,
    default_settings,
    read_project,
)
from ansible_collections.containerless.django.plugins.plugin_utils._source import open_source

from . import checkout


def read(tmp_path: Path, files: dict[str, str | None] | None = None, **options: str) -> Project:
    source = open_source(checkout.make(tmp_path / "repo", files), "HEAD", allow_dirty=False)
    return read_project(source, Options(name=options.pop("name", "shop"), **options))  # type: ignore[arg-type]


def test_a_django_project(tmp_path: Path) -> None:
    project = read(tmp_path)
    assert project.version == f"1.2.g{project.source.commit[:8]}"
    assert project.processes == {"web": ["gunicorn", "shop.wsgi"], "worker": ["python", "manage.py", "worker"]}
    assert (project.manage, project.settings_module) == ("manage.py", "shop.settings")
    assert project.lock_digest["kind"] == "requirements"


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


def test_no_django(tmp_path: Path) -> None:
    project = read(tmp_path, {"manage.py": None}, settings_module="of.the.release")
    assert (project.manage, project.settings_module) == (None, None)


def test_manage_in_a_folder(tmp_path: Path) -> None:
    tool = "[tool.containerless]\nmanage = 'src/manage.py'\n"
    files = {"manage.py": None, "src/manage.py": "x\n", "pyproject.toml": tool}
    project = read(tmp_path, files, settings_module="shop.live")
    assert (project.manage, project.settings_module) == ("src/manage.py", "shop.live")


BAD = [
    ({"Procfile": None}, {}, "has no Procfile in its commit"),
    ({"Procfile": "worker: python manage.py worker\n"}, {}, "names no process web"),
    ({"Procfile": "web: gunicorn shop.wsgi --bind $PORT\n"}, {}, "Procfile line 1"),
    ({"Procfile": "web: hypercorn shop.asgi\n"}, {}, "runs 'hypercorn'"),
    ({"requirements.txt": None}, {}, r"requirements.txt is not in the commit of .* \(app_build_lock\)"),
    ({}, {"lock": "locks/live.txt"}, "locks/live.txt is not in the commit"),
    ({"requirements.txt": "django==5.2\n"}, {}, r"requirements.txt line 1 \(django==5.2\) has no --hash"),
    ({"requirements.txt": f"gunicorn==27.0.1 --hash=sha256:{checkout.PIN}\n"}, {}, "requirements.txt holds no django"),
    ({"pyproject.toml": "[project\n"}, {}, "pyproject.toml is not TOML"),
    ({"pyproject.toml": "[tool.containerless]\nmanage = 'x.py'\n"}, {}, "x.py is not in the commit"),
    ({"pyproject.toml": "[tool.containerless]\nmanage = '../x.py'\n"}, {}, "is not a path in the project"),
    ({"pyproject.toml": "[project]\nversion = '1.0+local'\n"}, {}, r"version '1.0\+local.* \(app_build_version\)"),
    ({"manage.py": "x\n"}, {}, "manage.py sets no DJANGO_SETTINGS_MODULE; name one in app_build_settings_module"),
    ({}, {"name": "Shop"}, "app_name 'Shop' must be"),
]


@pytest.mark.parametrize(("files", "options", "fault"), BAD, ids=[case[2] for case in BAD])
def test_what_can_not_be_built_is_refused(
    tmp_path: Path, files: dict[str, str | None], options: dict[str, str], fault: str
) -> None:
    with pytest.raises(ContainerlessError, match=fault):
        read(tmp_path, files, **options)


@pytest.mark.parametrize(
    ("manage", "expected"),
    [
        ("import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.b')", "a.b"),
        ("from os import environ\nif True:\n    environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.b')", "a.b"),
        ("import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', f'{x}.b')", None),
        ("print('hello')", None),
        ("print 'hello'", None),
    ],
)
def test_default_settings(manage: str, expected: str | None) -> None:
    assert default_settings(manage) == expected
