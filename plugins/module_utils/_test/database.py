# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL's database and role of a test. They outlast the app's removal, so they are made anew and taken away.

The role carries a comment that says so, and what it owns goes with it; nothing else is ever dropped. A host runs this
file by itself too, when nothing of ours is left to import: it imports nothing of ours.
"""

from __future__ import annotations

import subprocess
import typing as t

#: argv -> exit code, what it said, what it complained of
Run = t.Callable[[t.Sequence[str]], "tuple[int, str, str]"]

MARK = "made by a test of app_test"
_LOOK = """
select 'database ' || datname, coalesce(shobj_description(datdba, 'pg_authid'), '') from pg_database
  where datname = '{app}'
union all
select 'role ' || rolname, coalesce(shobj_description(oid, 'pg_authid'), '') from pg_roles where rolname = 'cl-{app}'
"""
_OWNED = "select d.datname from pg_database d join pg_roles r on r.oid = d.datdba where r.rolname = 'cl-{app}'"
_MAKE = (
    # One transaction: there is no role of ours without its mark.
    'create role "cl-{app}" login {createdb}; comment on role "cl-{app}" is \'{mark}\'',
    'create database "{app}" owner "cl-{app}"',
)


class DatabaseError(Exception):
    """What PostgreSQL can't do, or must not; one sentence."""


def run(argv: t.Sequence[str]) -> tuple[int, str, str]:
    """Run a program to its end."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def make(app: str, *, createdb: bool, run: Run = run) -> None:
    """Make role and database of an app, empty; `createdb`: its tests make databases of their own.

    Raises DatabaseError where they are there, and not from a test.
    """
    others = [what for what, comment in _look(app, run).items() if comment != MARK]
    if others:
        raise DatabaseError(
            f"PostgreSQL of this host has {' and '.join(others)}, which no test has made; name hosts in app_test_hosts"
            " that can be thrown away, or leave postgresql out of app_test_services"
        )
    drop(app, run)
    known = {"app": app, "mark": MARK, "createdb": "createdb" if createdb else "nocreatedb"}
    _ask([line.format(**known) for line in _MAKE], run)


def drop(app: str, run: Run = run) -> bool:
    """Drop what a test has made, with the databases that its role owns; say whether there was anything."""
    try:
        found = _look(app, run)
    except DatabaseError:
        return False  # no server here, or none that runs
    if found.get(f"role cl-{app}") != MARK:
        return False
    owned = _ask([_OWNED.format(app=app)], run).splitlines()
    _ask([*(f'drop database "{name}" with (force)' for name in owned), f'drop role "cl-{app}"'], run)
    return True


def _look(app: str, run: Run) -> dict[str, str]:
    """Return role and database of an app with the comment of the role, as far as they are there."""
    lines = _ask([_LOOK.format(app=app)], run).splitlines()
    return {what: comment for what, _bar, comment in (line.partition("|") for line in lines)}


def _ask(commands: t.Sequence[str], run: Run) -> str:
    """Have PostgreSQL's administrator run commands, each by itself: a database is not made in a transaction."""
    if not commands:
        return ""
    argv = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]
    code, said, complaint = run([*argv, *(word for command in commands for word in ("-c", " ".join(command.split())))])
    if code:
        lines = complaint.strip().splitlines()
        raise DatabaseError(f"PostgreSQL of this host: {lines[-1] if lines else f'psql ended with {code}'}")
    return said
