# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes a release runs, how often, and how its manage.py is called. Pure: manifest and config, nothing else.

A config that was staged by an earlier version has no scale: every process then runs once.
"""

from __future__ import annotations

import typing as t

from .._core.errors import ContainerlessError

WEB = "web"
MAX_SCALE = 64


def instances(manifest: dict[str, t.Any], config: dict[str, t.Any]) -> list[tuple[str, int]]:
    """Return each (process, number from 1) that runs, in the order of their names."""
    scale = config.get("scale", {})
    return [(name, k) for name in sorted(manifest["processes"]) for k in range(1, scale.get(name, 1) + 1)]


def running(manifest: dict[str, t.Any], config: dict[str, t.Any]) -> list[str]:
    """Return the processes that run at least once."""
    return [name for name, number in instances(manifest, config) if number == 1]


def commands(manifest: dict[str, t.Any], config: dict[str, t.Any]) -> dict[str, list[str]]:
    """Return the argv of the health command of each running process that has one."""
    found = config.get("health", {}).get("commands", {})
    return {name: found[name] for name in running(manifest, config) if name in found}


def check(manifest: dict[str, t.Any], config: dict[str, t.Any]) -> None:
    """Raise when an option names a process that the artifact does not have."""
    named = {
        "app_release_scale": config.get("scale", {}),
        "app_release_users": config.get("users", {}),
        "app_release_stop_timeouts": config.get("stop_timeouts", {}),
        "app_release_health_commands": config.get("health", {}).get("commands", {}),
    }
    for option, given in named.items():
        for name in sorted(set(given) - set(manifest["processes"])):
            what = "is a timer" if name in manifest["timers"] else "is no process of the artifact"
            known = ", ".join(sorted(manifest["processes"]))
            raise ContainerlessError(f"{option} names {name!r}, which {what}; its processes are {known}")


def manage(manifest: dict[str, t.Any], tree: str) -> list[str]:
    """Return the argv that a management command is appended to. Raises for a project that is none of Django's."""
    django = manifest["django"]
    if not django:
        raise ContainerlessError(f"{manifest['project']} is no Django project: it has no management commands")
    # Without a manage.py, Django itself takes the command; its settings are in the environment.
    script = [f"{tree}/{django['manage']}"] if django["manage"] else ["-m", "django"]
    return [f"{tree}/venv/bin/python", *script]
