# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the applied migrations of every database of a Django project: [[alias, app, name], ...]."""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    # Settings may print; the answer stands alone.
    answer, sys.stdout = sys.stdout, sys.stderr
    sys.path.insert(0, os.getcwd())
    import django
    from django.db import connections
    from django.db.migrations.recorder import MigrationRecorder

    django.setup()
    found = []
    for alias in connections:
        for app, name in MigrationRecorder(connections[alias]).applied_migrations():
            found.append([alias, app, name])
    json.dump(sorted(found), answer)


if __name__ == "__main__":
    main()
