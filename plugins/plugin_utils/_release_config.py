# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of a release as it goes into its id: options of the roles, checked and in one normal form."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from ..module_utils._artifact import procfile
from ..module_utils._core.errors import ContainerlessError
from ..module_utils._core.names import SHARED_PREFIX, USER_PREFIX
from ..module_utils._release.processes import MAX_SCALE, WEB
from . import _sandbox

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d+)?")
_PATH = re.compile(r"/[!-~]*")
_EXPOSURE = re.compile(r"\d{1,2}(\.\d)?")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LISTEN = re.compile(r"(\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+)):(?P<port>[1-9][0-9]{0,4})")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
MAX_CONNECTIONS = 65536


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
        **{f"app_release_stop_timeouts {name}": seconds for name, seconds in options["stop_timeouts"].items()},
    }
    for option, number in numbers.items():
        if not _is_number(number) or number < 1:
            raise ContainerlessError(f"{option} is {number!r}; it must be a whole number, at least 1")
    if options["health"]["stay_up"] < 0:
        raise ContainerlessError("app_release_health_stay_up is seconds and can't be negative")
    if not 1 <= options["listen_connections"] <= MAX_CONNECTIONS:
        raise ContainerlessError(
            f"app_release_listen_connections is {options['listen_connections']}; it must be from 1 to {MAX_CONNECTIONS}"
        )
    if not options["health"]["status"]:
        raise ContainerlessError(
            "app_release_health_status is empty; it must list at least one good status, such as 200"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_public(folders: list[str], group: str, media: dict[str, Any]) -> None:
    for folder in folders:
        if not _sandbox.FOLDER.fullmatch(folder):
            raise ContainerlessError(f"app_release_public_dirs holds {folder!r}, which is not a plain folder name")
    both = sorted(set(folders) & set(media["dirs"]))
    if both and media["group"] not in ("", group):
        raise ContainerlessError(
            f"{', '.join(both)} stands in both app_release_public_dirs, for {group}, and app_sandbox_media_dirs, for"
            f" {media['group']}; a folder has one group"
        )


def _scale(given: dict[str, Any]) -> dict[str, int]:
    for name, number in given.items():
        least = 1 if name == WEB else 0
        if not _is_number(number) or not least <= number <= MAX_SCALE:
            raise ContainerlessError(
                f"app_release_scale {name} is {number!r}; it must be a whole number from {least} to {MAX_SCALE}"
            )
    return dict(given)


def _users(given: dict[str, Any]) -> dict[str, str]:
    for name, user in given.items():
        if name == WEB:
            raise ContainerlessError("app_release_users names web, which has the user of the app itself")
        ours = str(user).startswith((USER_PREFIX, SHARED_PREFIX))
        if not isinstance(user, str) or not _USER.fullmatch(user) or ours or user == "root":
            raise ContainerlessError(
                f"app_release_users {name} is {user!r}, which is no name for a user of its own, such as shop-worker"
            )
    return dict(given)


def _listen(given: str) -> str:
    """Return the address in the one form that ListenStream= takes and that everybody writes."""
    match = _LISTEN.fullmatch(given)
    try:
        if not given:
            return ""
        if not match or int(match["port"]) > 65535:
            raise ValueError  # noqa: TRY301 - the sentence below is about either
        if match["v4"]:
            return f"{ipaddress.IPv4Address(match['v4'])}:{match['port']}"
        return f"[{ipaddress.IPv6Address(match['v6'])}]:{match['port']}"
    except ValueError:
        raise ContainerlessError(
            f"app_release_listen {given!r} is no address and port such as 0.0.0.0:8000 or [::]:8000"
        ) from None


def _headers(given: dict[str, Any]) -> dict[str, str]:
    """Return the wanted headers; their names in lower case, as they mean the same in any."""
    found: dict[str, str] = {}
    for name, value in given.items():
        text = _text(value)
        if not isinstance(name, str) or not _HEADER.fullmatch(name) or name.lower() in found:
            raise ContainerlessError(
                f"app_release_health_headers has {name!r}, which is no header or stands there twice"
            )
        if not isinstance(value, (str, int, float)) or not text.isprintable():
            raise ContainerlessError(f"app_release_health_headers {name} is not a line of text; quote it in YAML")
        found[name.lower()] = text
    return found


def _commands(given: dict[str, Any]) -> dict[str, list[str]]:
    """Return the argv of each health command, split by the rules of a Procfile."""
    found: dict[str, list[str]] = {}
    for name, text in given.items():
        try:
            found[name] = procfile.command(str(text), "app_release_env")
        except ContainerlessError as exc:
            raise ContainerlessError(f"app_release_health_commands {name} ({text!r}): {exc}") from None
    return found


def make(options: dict[str, Any]) -> dict[str, Any]:
    """Return the config document. Raises ContainerlessError naming the option that is wrong."""
    env, secrets = options["env"], options["secrets"]
    _check_values(env, secrets)
    _check_numbers(options)
    sandbox = _sandbox.options(options["sandbox"])
    both = sorted(set(env) & set(secrets))
    if both:
        raise ContainerlessError(f"{', '.join(both)} stands in both app_release_env and app_release_secrets")
    _check_public(options["public_dirs"], options["proxy_group"], sandbox["media"])
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
        "secrets_encrypted": options["secrets_encrypted"],
        "health": {
            "path": options["health"]["path"],
            "host": options["domain"],
            "scheme": options["health"]["scheme"],
            "status": sorted(options["health"]["status"]),
            "body": options["health"]["body"],
            "consecutive": options["health"]["consecutive"],
            "timeout": options["health"]["timeout"],
            "stay_up": options["health"]["stay_up"],
            "headers": _headers(options["health"]["headers"]),
            "commands": _commands(options["health"]["commands"]),
        },
        "scale": _scale(options["scale"]),
        "users": _users(options["users"]),
        "listen": _listen(options["listen"]),
        "listen_connections": options["listen_connections"],
        "proxy_group": options["proxy_group"],
        "public_dirs": sorted(options["public_dirs"]),
        "start_timeout": options["start_timeout"],
        "stop_timeout": options["stop_timeout"],
        "stop_timeouts": dict(options["stop_timeouts"]),
        "task_timeout": options["task_timeout"],
        "max_exposure": options["max_exposure"],
        "sandbox": sandbox,
    }
