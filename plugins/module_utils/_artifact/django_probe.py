# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks a Django project, in its own environment, for what the manifest says about it, and collects its static files.

Runs as `python -m <package>.django_probe REQUEST ANSWER` in the folder of manage.py; both are JSON files.
"""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

from . import migrations

NOTHING = {"collected": False, "manifest": None}


class CannotCollect(Exception):
    """A sentence for the user."""


def collect(static_root: str, ignore: list[str], own_root: object) -> dict[str, t.Any]:
    """Collect into static_root; a project without staticfiles, or whose files live elsewhere, has none to collect.

    `ignore` holds patterns as `collectstatic --ignore` takes them; `own_root` is what the settings call STATIC_ROOT.
    """
    from django.apps import apps
    from django.core.files.storage import FileSystemStorage
    from django.core.management import call_command

    if not apps.is_installed("django.contrib.staticfiles"):
        return NOTHING
    from django.contrib.staticfiles.storage import staticfiles_storage

    if not isinstance(staticfiles_storage, FileSystemStorage):
        return NOTHING
    if Path(staticfiles_storage.location) != Path(static_root):
        raise CannotCollect("STORAGES['staticfiles'] names a location; leave it out, STATIC_ROOT is set by the build")
    manifest = getattr(staticfiles_storage, "manifest_name", None)
    # A host sets the variable; a storage that looks for the names of its files elsewhere fails on every page.
    beside = getattr(getattr(staticfiles_storage, "manifest_storage", None), "location", None)
    if manifest and beside == staticfiles_storage.location and Path(str(own_root or "")) != Path(static_root):
        raise CannotCollect(
            f"STORAGES['staticfiles'] would look for {manifest} in STATIC_ROOT {str(own_root)!r}, where a host has"
            ' none; write STATIC_ROOT = os.environ["STATIC_ROOT"] in the settings'
        )
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=ignore)
    return {"collected": True, "manifest": manifest}


def answer(static_root: str, static: dict[str, t.Any]) -> dict[str, t.Any]:
    """Set Django up and return its version, migrations, static files, and the names of the settings that are set."""
    import django
    from django.conf import settings

    # Names, never values: what the next release changes is worth a line.
    names = sorted(name for name in dir(settings) if name.isupper() and settings.is_overridden(name))
    own_root, settings.STATIC_ROOT = settings.STATIC_ROOT, static_root
    django.setup()
    from django.db.migrations.loader import MigrationLoader
    from django.db.migrations.state import ProjectState

    return {
        "version": django.get_version(),
        "settings": names,
        "static": collect(static_root, static["ignore"], own_root) if static["collect"] else NOTHING,
        "migrations": migrations.read(MigrationLoader(None), ProjectState()),
    }


def main(request: str, dest: str) -> None:
    """Read the request, write the answer."""
    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    try:
        found = answer(asked["static_root"], asked["static"])
    except CannotCollect as exc:
        sys.exit(str(exc))
    Path(dest).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
