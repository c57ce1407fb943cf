# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.containerless.django.plugins.filter.sandbox_options import sandbox_options
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _sandbox

MDWE = "MemoryDenyWriteExecute"


def opted(**item: Any) -> dict[str, Any]:
    return {"opt_out": [{"directive": MDWE, "reason": "old cffi", **item}]}


def test_nothing_given_is_strict() -> None:
    made = _sandbox.options({})
    assert made["profile"] == "strict"
    assert made["opt_out"] == made["unenforced"] == made["ip_allow"] == []
    assert made["limits"]["memory_max"] == "512M"


@pytest.mark.parametrize("given", [{}, opted(), opted(directive="SystemCallFilter", allow=["setpriority"])])
def test_options_of_options_are_the_same(given: dict[str, Any]) -> None:
    """What a release stores is taken for options again when its units are rendered."""
    assert _sandbox.options(_sandbox.options(given)) == _sandbox.options(given)


def test_an_address_that_is_given_is_nobody_else_s() -> None:
    found = _sandbox.peers(["a:1", "127.0.0.2:5", "b:1", "localhost:9", "a:2"])
    assert [(peer.number, peer.address) for peer in found] == [
        (1, "127.0.0.3"),
        (2, "127.0.0.2"),
        (3, "127.0.0.4"),
        (4, "127.0.0.1"),
        (5, "127.0.0.3"),
    ]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"profile": "loose"}, "app_sandbox_profile 'loose' must be one of strict, standard"),
    ({"bind_read_only": ["/run/a b"]}, "app_sandbox_bind_read_only holds '/run/a b'"),
    ({"limits": {"memory_max": ""}}, "app_sandbox_memory_max"),
    ({"limits": {"tasks_max": 0}}, "app_sandbox_tasks_max"),
    ({"limits": {"nofile": 0}}, "app_sandbox_nofile is 0; it must be at least 1"),
    ({"limits": {"log_burst": 0}}, "app_sandbox_log_burst is 0"),
    ({"limits": {"log_interval": -1}}, "app_sandbox_log_interval is -1"),
    ({"limits": {"oom_policy": "ignore"}}, "app_sandbox_oom_policy 'ignore' must be one of continue, stop, kill"),
    ({"ip_allow": ["localhost"]}, "app_sandbox_ip_allow is for profiles standard and compat; strict"),
    ({"profile": "standard", "ip_allow": ["db.internal"]}, "app_sandbox_ip_allow holds 'db.internal'"),
    ({"profile": "standard", "ip_allow": ["10.0.0.1/8"]}, "app_sandbox_ip_allow holds '10.0.0.1/8'"),
    *(
        ({"egress": [item]}, re.escape(f"app_sandbox_egress holds {item!r}, which is no name and port"))
        for item in ("db", "db:", ":5432", "db:0", "db:65536", "db internal:1", "[::1]:5432", "a\n:1", "-a:1", "db:x")
    ),
    ({"egress": ["10.0.0.5:5432"]}, "an app in strict has no address but those of its loopback"),
    ({"egress": ["db:1", "DB:1"]}, "app_sandbox_egress names a peer twice"),
    ({"egress": [f"db:{port}" for port in range(1, 34)]}, "names 33 peers; it takes at most 32"),
    ({"egress": ["db:1"], "profile": "standard"}, "app_sandbox_egress is for profile strict; standard"),
    (opted(directive="MemoryDenyWrite"), f"app_sandbox_opt_out names 'MemoryDenyWrite', .*did you mean {MDWE}"),
    (opted(directive="ReadWritePaths"), "app_sandbox_opt_out names 'ReadWritePaths'"),
    (opted(directive="BindPaths"), "app_sandbox_opt_out BindPaths needs an allow"),
    (opted(directive="BindPaths", allow=["/a b"]), "allows '/a b'"),
    (opted(directive="BindPaths", allow=["/a/../etc"]), "allows '/a/../etc'"),
    ({"unenforced": [{"directive": "BindPaths", "reason": "x"}]}, "app_sandbox_unenforced names 'BindPaths'"),
    (opted(reason=""), f"app_sandbox_opt_out {MDWE} needs a reason"),
    (opted(reason="  "), "needs a reason"),
    (opted(reason="a\nPrivateUsers=no"), "needs a reason of one line"),
    (opted(reason="a\\"), "needs a reason of one line"),  # the next line would go on with it
    (opted(allow=["x"]), f"app_sandbox_opt_out {MDWE} takes no allow"),
    (opted(directive="SystemCallFilter", allow=["~@mount"]), "allows '~@mount'"),
    (opted(directive="RestrictAddressFamilies", allow=["any"]), "allows 'any'"),
    ({"media": {"group": "a b"}}, "app_sandbox_media_group 'a b'"),
    ({"media": {"group": "www-data", "dirs": ["../x"]}}, "app_sandbox_media_dirs holds '../x'"),
    ({"opt_out": [MDWE]}, "lacks a directive or a reason"),
    ({"opt_out": [{"directive": MDWE}]}, "lacks a directive or a reason"),
    ({"unenforced": [{"directive": "MemoryMax", "reason": ""}]}, "app_sandbox_unenforced MemoryMax needs a reason"),
]


@pytest.mark.parametrize(("given", "sentence"), REFUSED)
def test_refusals_name_the_option(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ContainerlessError, match=sentence):
        _sandbox.options(given)


def test_the_filter_says_the_same() -> None:
    assert sandbox_options({"profile": "compat"}) == _sandbox.options({"profile": "compat"})
    with pytest.raises(AnsibleFilterError, match="app_sandbox_profile"):
        sandbox_options({"profile": "loose"})
