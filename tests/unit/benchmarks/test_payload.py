# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheel of the payload: Django without its translations, still a wheel that is what its RECORD says."""

from __future__ import annotations

import base64
import hashlib
import typing as t
import zipfile

import pytest
from ansible_collections.containerless.django.tests.benchmarks.payload import strip

if t.TYPE_CHECKING:
    from pathlib import Path

INFO = "django-5.2.dist-info"
KEPT = (
    "django/__init__.py",
    "django/conf/locale/__init__.py",
    "django/conf/locale/__pycache__/__init__.cpython-313.pyc",
    "django/conf/locale/en/LC_MESSAGES/django.mo",
    "django/conf/locale/en/formats.py",
    "django/contrib/admin/locale/en/LC_MESSAGES/djangojs.mo",
    "django/utils/relocale/de/no_translation.py",
    f"{INFO}/METADATA",
)
LEFT_OUT = (
    "django/conf/locale/de/LC_MESSAGES/django.mo",
    "django/conf/locale/de/formats.py",
    "django/conf/locale/en_GB/LC_MESSAGES/django.mo",
    "django/conf/locale/zh_Hant/__init__.py",
    "django/contrib/admin/locale/sr_Latn/LC_MESSAGES/djangojs.po",
)


def line(name: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(name)}"


@pytest.fixture
def stripped(tmp_path: Path) -> zipfile.ZipFile:
    whole, dest = tmp_path / "whole.whl", tmp_path / "less.whl"
    names = sorted([*KEPT, *LEFT_OUT])
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o755 << 16 if name.endswith("__init__.py") else 0o644 << 16
            wheel.writestr(info, name)
        wheel.writestr(f"{INFO}/RECORD", "".join(f"{each}\n" for each in [*map(line, names), f"{INFO}/RECORD,,"]))
    strip(whole, dest)
    return zipfile.ZipFile(dest)


def test_translations_are_left_out_and_nothing_else(stripped: zipfile.ZipFile) -> None:
    assert sorted(stripped.namelist()) == sorted([*KEPT, f"{INFO}/RECORD"])


def test_files_stay_as_they_are(stripped: zipfile.ZipFile) -> None:
    assert {name: stripped.read(name).decode() for name in KEPT} == {name: name for name in KEPT}
    modes = {name: stripped.getinfo(name).external_attr >> 16 for name in KEPT}
    assert modes == {name: 0o755 if name.endswith("__init__.py") else 0o644 for name in KEPT}


def test_its_record_names_what_is_in_it(stripped: zipfile.ZipFile) -> None:
    lines = stripped.read(f"{INFO}/RECORD").decode().splitlines()
    assert lines == [*map(line, sorted(KEPT)), f"{INFO}/RECORD,,"]
