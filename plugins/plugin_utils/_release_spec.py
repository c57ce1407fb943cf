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
    "domain": {"type": "str", "required": True},
    "health": {"type": "dict", "options": _HEALTH, "apply_defaults": True},
    "scale": {"type": "dict", "default": {}},
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

SPEC: dict[str, Any] = {
    "argument_spec": {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "rolled_back", "absent"], "default": "present"},
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
        "drain": {"type": "int", "default": 30},
        "lock_wait": {"type": "int", "default": 0},
        "migrations": {"type": "str", "choices": ["expand", "accept"], "default": "expand"},
        "to": {"type": "str", "default": ""},
        "accept_newer_schema": {"type": "bool", "default": False},
        "remove_data": {"type": "bool", "default": False},
    },
    "required_if": [("state", "present", ("store", "observed", "config", "templates", "sandbox_templates"))],
}
