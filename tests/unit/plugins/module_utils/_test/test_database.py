# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Only what a test has made is dropped; a server that is not there is fine for the end, and none for the begin.

That the commands do this to a real server is shown on machines (tests/integration/overlay).
"""

from __future__ import annotations

import inspect
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._test import database, guest

OURS = f"database shop|{database.MARK}\nrole cl-shop|{database.MARK}\n"


class Server:
    """Answers to looks, and keeps what else it was told."""

    def __init__(self, looks: str = "", owned: str = "", complaint: str = "") -> None:
        self.looks, self.owned, self.complaint, self.told = looks, owned, complaint, []

    def __call__(self, argv: t.Sequence[str]) -> tuple[int, str, str]:
        assert list(argv[:5]) == ["runuser", "-u", "postgres", "--", "psql"]
        if self.complaint:
            return 2, "", self.complaint
        commands = [word for before, word in zip(argv, argv[1:]) if before == "-c"]
        if "union all" in commands[0]:
            return 0, self.looks, ""
        if commands[0].startswith("select"):
            return 0, self.owned, ""
        self.told += commands
        return 0, "", ""


def test_what_a_test_made_goes_with_all_that_its_role_owns_before_it_is_made_again() -> None:
    server = Server(OURS, "shop\ntest_shop\n")
    database.make("shop", createdb=True, run=server)
    assert server.told == [
        'drop database "shop" with (force)',
        'drop database "test_shop" with (force)',
        'drop role "cl-shop"',
        f'create role "cl-shop" login createdb; comment on role "cl-shop" is \'{database.MARK}\'',
        'create database "shop" owner "cl-shop"',
    ]


@pytest.mark.parametrize(
    ("looks", "names"),
    [
        ("database shop|\n", "database shop"),
        ("database shop|\nrole cl-shop|\n", "database shop and role cl-shop"),
        (f"database shop|ours\nrole cl-shop|{database.MARK}\n", "database shop"),
    ],
)
def test_what_is_somebody_s_is_refused_and_stays(looks: str, names: str) -> None:
    server = Server(looks)
    with pytest.raises(database.DatabaseError, match=f"^PostgreSQL of this host has {names}, which no test has made; "):
        database.make("shop", createdb=False, run=server)
    assert server.told == []


def test_the_end_drops_nothing_of_others_and_needs_no_server() -> None:
    for server in (Server("database shop|\nrole cl-shop|\n"), Server(""), Server(complaint="no server")):
        assert not database.drop("shop", server)
        assert server.told == []
    assert database.drop("shop", Server(OURS, "shop\n"))


def test_without_a_server_none_is_made() -> None:
    with pytest.raises(database.DatabaseError, match="^PostgreSQL of this host: no server$"):
        database.make("shop", createdb=False, run=Server(complaint="warning\nno server\n"))


def test_a_host_runs_the_file_by_itself() -> None:
    """What a lease runs is one program: it has to compile, and systemd must not expand anything in it."""
    told = {"tools": "/x", "package": "y", "app": "shop", "why": "a test", "patience": 1, "client": "c"}
    program = inspect.getsource(database) + guest._LEAVE.format(**told)
    compile(program, "lease", "exec")
    assert "$" not in program
    assert program.rstrip().endswith("drop('shop')")
