# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print what a Django project's settings say: {"static_url": text, "own_apps": [labels with migrations]}.

Own apps are those of the project's code: what a distribution brings is not the project's to migrate.
Started as `python -c SOURCE FOLDER` with the folder that holds the distributions.
"""

from __future__ import annotations

import json
import os
import sys
import typing as t


def own_apps(configs: t.Iterable[t.Any], distributions: str) -> list[str]:
    """Return the labels of the apps that stand outside of the distributions and have migrations."""
    return sorted(
        config.label
        for config in configs
        if not os.path.realpath(config.path).startswith(f"{os.path.realpath(distributions)}/")
        and os.path.isdir(os.path.join(config.path, "migrations"))
    )


def main() -> None:
    # Settings may print; the answer stands alone.
    answer, sys.stdout = sys.stdout, sys.stderr
    sys.path.insert(0, os.getcwd())
    import django
    from django.apps import apps
    from django.conf import settings

    django.setup()
    found = {"static_url": settings.STATIC_URL or "", "own_apps": own_apps(apps.get_app_configs(), sys.argv[1])}
    json.dump(found, answer)


if __name__ == "__main__":
    main()
