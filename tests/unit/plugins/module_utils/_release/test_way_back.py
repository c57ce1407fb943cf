# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script is asked as on a host, and what it says is compared with what `migrate` of the very project then does."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release.probes import way_back as probe

pytest.importorskip("django")

SETTINGS = """
print("settings may print")
SECRET_KEY = "x"
USE_TZ = True
INSTALLED_APPS = ["shop", "blog"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
"""
MIGRATION = """
from django.db import migrations
def nothing(*_): pass
class Migration(migrations.Migration):
    dependencies = {needs}
    replaces = {replaces}
    operations = [migrations.RunPython(nothing{back})]
"""


CHILD = """
import io, json, sys
import django
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

def applied():
    return sorted(MigrationRecorder(connection).applied_migrations())

told, sys.stdout = sys.stdout, io.StringIO()
django.setup()
call_command("migrate", verbosity=0)
before, sys.stdout = applied(), io.StringIO()
answer = sys.stdout
exec(open(sys.argv[2]).read())
said, untouched = json.loads(answer.getvalue()), applied() == before
for app, name in said["calls"]:
    call_command("migrate", app, name, verbosity=0)
json.dump([said, untouched, sorted(set(before) - set(applied()))], told)
"""


def project(folder: Path, lines: str) -> None:
    """Write a project of two apps whose migrations are those of `lines`: what < what it needs = what it replaces."""
    (folder / "live.py").write_text(SETTINGS, "utf-8")
    for app in ("shop", "blog"):
        (folder / app / "migrations").mkdir(parents=True)
        for package in ("", "migrations/"):
            (folder / app / package / "__init__.py").touch()
    for line in lines.split(";"):
        key, _, rest = line.strip().partition("<")
        needs, _, replaces = rest.partition("=")
        ((app, name),) = keys([key.strip().rstrip("!")])
        back = "" if "!" in key else ", nothing"
        text = MIGRATION.format(needs=keys(needs.split()), replaces=keys(replaces.split()), back=back)
        (folder / app / "migrations" / f"{name}.py").write_text(text, "utf-8")


def run(folder: Path, *words: str) -> t.Any:
    argv, environment = [sys.executable, "-B", *words], {"DJANGO_SETTINGS_MODULE": "live", "PYTHONPATH": str(folder)}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def ask(folder: Path, live: str, newer: str) -> tuple[dict[str, list[str]], bool, list[str]]:
    """Migrate, ask for the way back and take it; return what was said, if that changed nothing, and what is undone."""
    project(folder, live)
    said, untouched, undone = run(folder, "-c", CHILD, json.dumps(keys(newer.split())), str(probe.__file__))
    return {name: labels(found) for name, found in said.items()}, untouched, labels(undone)


def labels(found: t.Iterable[list[str]]) -> list[str]:
    return [".".join(key) for key in found]


def keys(names: t.Iterable[str]) -> list[tuple[str, str]]:
    return [(name.partition(".")[0], name.partition(".")[2]) for name in names]


CHAIN = "shop.1 < ; shop.2 < shop.1 ; shop.3 < shop.2"
MERGED = f"{CHAIN} ; shop.2b < shop.1 ; shop.4 < shop.3 shop.2b"
# migrations of the live code, newer ones -> calls
WAYS = [
    (CHAIN, "shop.3", "shop.2"),
    (CHAIN, "shop.2 shop.3", "shop.1"),
    (CHAIN, "shop.1 shop.2 shop.3", "shop.zero"),
    # The order of the names is not that of the graph.
    ("shop.initial < ; shop.add < shop.initial ; shop.later < shop.add", "shop.later", "shop.add"),
    ("shop.1 < ; shop.3_b < shop.1 ; shop.3_a < shop.3_b ; shop.4 < shop.3_a", "shop.4", "shop.3_a"),
    (MERGED, "shop.4", "shop.2b"),
    # Not by shop.1, which would take back shop.2 too.
    ("shop.1 < ; shop.2 < shop.1 ; shop.3 < shop.2 shop.1", "shop.3", "shop.2"),
    # What another app's stands on.
    (f"{CHAIN} ; blog.1 < shop.3", "shop.3 blog.1", "blog.zero shop.2"),
    (f"{CHAIN} ; blog.1 < ; blog.2 < blog.1 shop.3", "shop.2 shop.3 blog.2", "blog.1 shop.1"),
    # Two branches of one app.
    (f"{MERGED} ; shop.5 < shop.4", "shop.2 shop.2b shop.3 shop.4 shop.5", "shop.1"),
    ("shop.1 < ; shop.2 < shop.1 ; shop.3 < shop.2 = shop.2x ; shop.4 < shop.3", "shop.4", "shop.3"),
]


@pytest.mark.parametrize(("live", "newer", "calls"), WAYS)
def test_migrate_takes_back_what_is_newer_and_nothing_else(tmp_path: Path, live: str, newer: str, calls: str) -> None:
    said, untouched, undone = ask(tmp_path, live, newer)
    assert said == {"calls": calls.split(), "left": [], "more": [], "stuck": []}
    assert untouched
    assert undone == sorted(newer.split())


# migrations of the live code, newer ones -> what no call takes back alone, what would go with it, what has no way back
NO_WAYS = [
    (CHAIN, "shop.2", ("shop.2", "shop.3", "")),
    (MERGED, "shop.2b shop.4", ("shop.2b", "shop.2 shop.3", "")),
    (f"{CHAIN} ; blog.1 < shop.3", "shop.3", ("shop.3", "blog.1", "")),
    (CHAIN, "shop.9", ("shop.9", "", "")),
    ("shop.1 < ; shop.2! < shop.1 ; shop.3 < shop.2", "shop.2 shop.3", ("", "", "shop.2")),
    # The beginning of two names.
    ("shop.1 < ; shop.11 < shop.1", "shop.11", ("shop.11", "", "")),
    # Of a squashed one Django would take back all that it replaces.
    ("shop.1 < ; shop.2 < shop.1 ; shop.1_2 < = shop.1 shop.2", "shop.1_2", ("shop.1_2", "shop.1 shop.2", "")),
]


MIGRATE = """
import sys
told, sys.stdout = sys.stdout, sys.stderr
import django
from django.core.management import call_command
django.setup()
call_command("migrate")
print("null", file=told)
"""


@pytest.mark.parametrize(("live", "newer", "named"), NO_WAYS)
def test_what_can_not_be_taken_back_alone_is_named(
    tmp_path: Path, live: str, newer: str, named: tuple[str, str, str]
) -> None:
    project(tmp_path, live)
    run(tmp_path, "-c", MIGRATE)
    said = run(tmp_path, "-c", Path(probe.__file__).read_text("utf-8"), json.dumps(keys(newer.split())))
    assert tuple(" ".join(labels(said[name])) for name in ("left", "more", "stuck")) == named


def test_its_text_is_safe_to_be_handed_over() -> None:
    """systemd-run hands words on, and systemd 252 may read these two anew (transient.argv)."""
    assert not {";", "$"} & set(Path(probe.__file__).read_text("utf-8"))
