# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arguments of the release action, as ansible-core's validator reads them; plugins/modules/release.py says more."""

from __future__ import annotations

from typing import Any

_HEALTH: dict[str, Any] = {
    "path": {"type": "str", "default": "/"},
    "scheme": {"type": "str", "choices": ["http", "https"], "default": "https"},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "body": {"type": "str", "default": ""},
    "consecutive": {"type": "int", "default": 2},
    "timeout": {"type": "int", "default": 60},
    "stay_up": {"type": "int", "default": 2},
    "headers": {"type": "dict", "default": {}},
    "commands": {"type": "dict", "default": {}},
}

_CONFIG: dict[str, Any] = {
    "env": {"type": "dict", "default": {}},
    "secrets_as": {"type": "str", "choices": ["credentials", "env"], "default": "credentials"},
    "secrets_encrypted": {"type": "bool", "default": False},
    "domain": {"type": "str", "required": True},
    "health": {"type": "dict", "options": _HEALTH, "apply_defaults": True},
    "scale": {"type": "dict", "default": {}},
    "users": {"type": "dict", "default": {}},
    "listen": {"type": "str", "default": ""},
    "listen_connections": {"type": "int", "default": 1024},
    "proxy_group": {"type": "str", "default": "www-data"},
    "public_dirs": {"type": "list", "elements": "str", "default": []},
    "start_timeout": {"type": "int", "default": 90},
    "stop_timeout": {"type": "int", "default": 30},
    "stop_timeouts": {"type": "dict", "default": {}},
    "task_timeout": {"type": "int", "default": 600},
    "max_exposure": {"type": "str", "default": "0.5"},
    "sandbox": {"type": "dict", "default": {}},
}

#: What steers a run and is no part of a release; plugins/modules/release_on_host.py takes the same names.
_STEERING: dict[str, Any] = {
    "drain": {"type": "int", "default": 30},
    "watch": {"type": "int", "default": 10},
    "watch_errors": {"type": "int", "default": 10},
    "confirm_timeout": {"type": "int", "default": 60},
    "lock_wait": {"type": "int", "default": 120},
    "migrations": {"type": "str", "choices": ["expand", "accept", "maintenance"], "default": "expand"},
    "overlap": {"type": "str", "choices": ["overlap", "hold"], "default": "overlap"},
    "keep": {"type": "int", "default": 5},
    "accept_newer_schema": {"type": "bool", "default": False},
    "reverse_migrations": {"type": "bool", "default": False},
    "secrets_from": {"type": "str", "choices": ["newest", "snapshot"], "default": "newest"},
}
STEERING = tuple(_STEERING)

SPEC: dict[str, Any] = {
    "argument_spec": {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "rolled_back", "pruned", "absent"], "default": "present"},
        "phase": {
            "type": "str",
            "choices": ["all", "stage", "hold", "activate", "renew", "confirm"],
            "default": "all",
        },
        "run": {"type": "str", "default": ""},
        "verdict": {"type": "dict"},
        "store": {"type": "str"},
        "channel": {"type": "str", "default": "production"},
        "index_id": {"type": "str", "default": ""},
        "observed": {"type": "dict"},
        "config": {"type": "dict", "options": _CONFIG},
        "secrets": {"type": "dict", "default": {}, "no_log": True},
        "templates": {"type": "path"},
        "sandbox_templates": {"type": "path"},
        "require_test_record": {"type": "bool", "default": True},
        "untested_reason": {"type": "str", "default": ""},
        "signers": {"type": "list", "elements": "str", "default": []},
        "allow_older": {"type": "bool"},
        "reason": {"type": "str", "default": ""},
        "timers": {"type": "str", "choices": ["first", "all", "none"], "default": "first"},
        **_STEERING,
        "to": {"type": "str", "default": ""},
        "remove_data": {"type": "bool", "default": False},
    },
    "required_if": [("phase", phase, ("run",)) for phase in ("hold", "activate", "renew", "confirm")],
}
