# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release import peers

STATE = "/var/lib/containerless/shop/data"
SANDBOX: dict[str, t.Any] = {
    "profile": "strict",
    "bind_read_only": ["/run/postgresql", "/run/redis/"],
    "egress": ["mail.internal:587", "[::1]:6379"],
}
# host, port -> whether the sandbox lets through
CASES: list[tuple[str, int | None, bool]] = [
    ("/run/postgresql", None, True),
    ("/run/postgresql/.s.PGSQL.5432", None, True),
    ("/run/redis/redis.sock", None, True),
    ("/run/postgresql-other", None, False),
    ("/run/postgresql/../other", None, False),
    ("/run", None, False),
    ("/var/run/postgresql", None, False),
    (f"{STATE}/own.sock", None, True),
    ("/tmp/redis.sock", None, False),
    ("mail.internal", 587, True),
    ("MAIL.internal", 587, True),
    ("mail.internal", 25, False),
    ("mail.internal", None, True),
    ("internal", None, False),
    ("::1", 6379, True),
    ("::1", None, True),
    ("::1", 80, False),
    ("localhost", 5432, False),
]


@pytest.mark.parametrize(("host", "port", "through"), CASES)
def test_what_the_sandbox_lets_through(host: str, port: int | None, through: bool) -> None:
    assert (peers.unreachable([["REDIS_URL", host, port]], SANDBOX, STATE) == []) is through


def test_the_sentences_name_setting_place_and_option() -> None:
    named: list[peers.Peer] = [
        ["CACHES['default']", "redis.internal", 6379],
        ["CACHES['default']", "redis.internal", 6379],
        ["DATABASES['default']", "/run/other", None],
        ["REDIS_URL", "2001:db8::1", 1],
        ["X", "named", None],
    ]
    assert peers.unreachable(named, {"bind_read_only": []}) == [
        "CACHES['default'] names redis.internal:6379, which the sandbox does not let through (app_sandbox_egress)",
        "DATABASES['default'] names /run/other, which the sandbox does not let through (app_sandbox_bind_read_only)",
        "REDIS_URL names [2001:db8::1]:1, which the sandbox does not let through (app_sandbox_egress)",
        "X names named, which the sandbox does not let through (app_sandbox_egress)",
    ]


def test_a_sandbox_without_any_key_lets_nothing_through() -> None:
    assert len(peers.unreachable([["X", "/run/x", None], ["X", "x", 1]], {})) == 2
