# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of a release as it goes into its id: options of the roles, checked and in one normal form."""

from __future__ import annotations

import re
from typing import Any

from ..module_utils._core.errors import ContainerlessError

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PUBLIC = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d+)?")
_PATH = re.compile(r"/[!-~]*")
_EXPOSURE = re.compile(r"\d{1,2}(\.\d)?")


def _text(value: Any) -> str:
    """An environment holds text only; YAML's true and 5 become what a shell would have written."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _env(option: str, names: Any) -> None:
    for name in names:
        if not isinstance(name, str) or not _ENV_NAME.fullmatch(name):
            raise ContainerlessError(f"{option} has the name {name!r}; use letters, digits and _, with no digit first")


def _check_values(env: dict[str, Any], secrets: dict[str, Any]) -> None:
    _env("app_release_env", env)
    _env("app_release_secrets", secrets)
    for name, value in env.items():
        if not isinstance(value, (str, int, float)) or "\0" in str(value):
            raise ContainerlessError(f"app_release_env {name} is not a text; quote it in YAML")
    for name, value in secrets.items():
        if not isinstance(value, str) or "\0" in value:
            raise ContainerlessError(f"app_release_secrets {name} is not a text; quote it in YAML")


def _check_numbers(options: dict[str, Any]) -> None:
    numbers = {
        "app_release_health_consecutive": options["health"]["consecutive"],
        "app_release_health_timeout": options["health"]["timeout"],
        "app_release_start_timeout": options["start_timeout"],
        "app_release_stop_timeout": options["stop_timeout"],
        "app_release_task_timeout": options["task_timeout"],
    }
    for option, number in numbers.items():
        if number < 1:
            raise ContainerlessError(f"{option} is {number}; it must be at least 1")
    if not options["health"]["status"]:
        raise ContainerlessError(
            "app_release_health_status is empty; it must list at least one good status, such as 200"
        )


def make(options: dict[str, Any]) -> dict[str, Any]:
    """Return the config document. Raises ContainerlessError naming the option that is wrong."""
    env, secrets = options["env"], options["secrets"]
    _check_values(env, secrets)
    _check_numbers(options)
    both = sorted(set(env) & set(secrets))
    if both:
        raise ContainerlessError(f"{', '.join(both)} stands in both app_release_env and app_release_secrets")
    for folder in options["public_dirs"]:
        if not _PUBLIC.fullmatch(folder):
            raise ContainerlessError(f"app_release_public_dirs holds {folder!r}, which is not a plain folder name")
    if not _HOST.fullmatch(options["domain"]):
        raise ContainerlessError(f"app_release_domain {options['domain']!r} is not a host name")
    if not _PATH.fullmatch(options["health"]["path"]):
        raise ContainerlessError(
            f"app_release_health_path {options['health']['path']!r} must start with / and hold no space"
        )
    if not _EXPOSURE.fullmatch(options["max_exposure"]) or float(options["max_exposure"]) > 10:
        raise ContainerlessError(
            f"app_sandbox_max_exposure {options['max_exposure']!r} must look like 0.5, from 0 to 10"
        )
    return {
        "env": {name: _text(value) for name, value in env.items()},
        "secrets": sorted(secrets),
        "secrets_as": options["secrets_as"],
        "health": {
            "path": options["health"]["path"],
            "host": options["domain"],
            "scheme": options["health"]["scheme"],
            "status": sorted(options["health"]["status"]),
            "body": options["health"]["body"],
            "consecutive": options["health"]["consecutive"],
            "timeout": options["health"]["timeout"],
            "stay_up": options["health"]["stay_up"],
        },
        "proxy_group": options["proxy_group"],
        "public_dirs": sorted(options["public_dirs"]),
        "start_timeout": options["start_timeout"],
        "stop_timeout": options["stop_timeout"],
        "task_timeout": options["task_timeout"],
        "max_exposure": options["max_exposure"],
        "sandbox": options["sandbox"],
    }
