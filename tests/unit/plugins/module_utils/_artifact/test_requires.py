# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import requires

DEBIAN12 = requires.environment("3.11", "x86_64")
MARKERS: list[tuple[str, bool]] = [
    ("", True),
    ('python_version < "3.11"', False),
    ("python_version >= '3.9'", True),
    ('python_version < "3.9" or python_version > "3.10"', True),
    ('"3.12" <= python_version', False),
    # 3.9 is less than 3.11, though not as text.
    ('python_version > "3.9"', True),
    ("python_full_version < '3.13'", True),
    # The micro version is not known: the lock has decided.
    ("python_full_version < '3.11.4'", True),
    ("python_full_version < '3.12.4'", True),
    ("python_full_version > '3.12.4'", False),
    ('sys_platform == "win32"', False),
    ('sys_platform != "win32" and (os_name == "posix" or os_name == "java")', True),
    ('platform_machine in "x86_64 amd64"', True),
    ('platform_system not in "Linux Darwin"', False),
    ("platform_python_implementation != 'PyPy'", True),
    ("extra == 'binary'", False),
    ("python_version ~= '3.8'", True),
    ("python_version is '3.8'", True),
    ("extra == 'dev' and python_version ~= '3.8'", False),
    ("platform_release >= '5'", True),
    ("not a marker", True),
]


@pytest.mark.parametrize(("marker", "expected"), MARKERS)
def test_markers(marker: str, expected: bool) -> None:
    assert requires.holds(marker, DEBIAN12) is expected


@pytest.mark.parametrize(
    ("line", "name", "extras", "marker"),
    [
        ("Django>=5", "django", (), ""),
        ("zope.interface (>=4.0) ; python_version<'3'", "zope-interface", (), "python_version<'3'"),
        ("psycopg[binary, Pool] ; extra == 'pg'", "psycopg", ("binary", "pool"), "extra == 'pg'"),
        ("shop @ https://example.org/a;b.whl ; os_name == 'nt'", "shop", (), "os_name == 'nt'"),
        ("shop @ https://example.org/a;b.whl", "shop", (), ""),
    ],
)
def test_lines(line: str, name: str, extras: tuple[str, ...], marker: str) -> None:
    assert requires.parse(line) == requires.Requirement(name, frozenset(extras), marker)


def test_a_line_that_is_none_is_left_out() -> None:
    assert requires.parse("-> nothing") is None
    assert requires.graph({"a": ["-> nothing", "b"], "b": []}, DEBIAN12) == {"a": {"b"}, "b": set()}


def test_who_needs_whom() -> None:
    lines = {
        "django": ["asgiref>=3", "sqlparse", "tzdata; sys_platform == 'win32'", "argon2-cffi; extra == 'argon2'"],
        "asgiref": ["typing_extensions; python_version < '3.11'", "pytest; extra == 'tests'"],
        "shop": ["Django[argon2]", "psycopg[all]", "absent"],
        "psycopg": [
            "psycopg-binary; extra == 'binary'",
            "psycopg-pool; extra == 'pool'",
            "psycopg[pool]; extra == 'all'",
        ],
        **{name: [] for name in ("sqlparse", "tzdata", "argon2-cffi", "typing-extensions", "pytest")},
        **{name: [] for name in ("psycopg-binary", "psycopg-pool")},
    }
    found = {name: sorted(needs) for name, needs in requires.graph(lines, DEBIAN12).items() if needs}
    assert found == {
        "django": ["argon2-cffi", "asgiref", "sqlparse"],
        "shop": ["django", "psycopg"],
        # Of the extras the one that was asked for, through another one of its own.
        "psycopg": ["psycopg-pool"],
    }
