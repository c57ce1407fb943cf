# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a transient unit is asked for. That it is the same sandbox is shown by tests/integration/sandbox."""

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release import transient

JOINED = """\
[Unit]
Description=shop
BindsTo=containerless-shop-egress.net@%i.service
After=containerless-shop-gate.service
After=containerless-shop-egress.net@%i.service
JoinsNamespaceOf=containerless-shop-egress.net@%i.service
[Service]
User=cl-shop
"""
TASK = """\
# Written by containerless.django for activation %i
[Unit]
Description=shop, activation %i
StartLimitIntervalSec=0

[Service]
Type=oneshot
User=cl-shop
Environment=A=1 B=2
Environment="C=%% %i\u2028 d;e"
LoadCredential=KEY:/run/containerless/shop/%i/secrets/KEY
ExecStart=/srv/x/venv/bin/python /probe.py
StandardOutput=truncate:/run/containerless/shop/%i/applied.json
TimeoutStartSec=600
BindReadOnlyPaths=/opened/before

[Install]
WantedBy=nothing
"""
DROP_IN = """\
# Sandbox of shop
[Service]

CapabilityBoundingSet=
BindPaths=
; another way to say nothing
BindReadOnlyPaths=/usr /srv/x
CPUQuota=200%
PrivateTmp=disconnected
PrivateUsers=yes
ProtectControlGroups=strict
SystemCallFilter=
SystemCallFilter=~kcmp
"""


def test_each_line_of_the_service_becomes_a_property_in_order() -> None:
    assert transient.properties([TASK, DROP_IN], 7) == [
        "User=cl-shop",
        "Environment=A=1 B=2",
        'Environment="C=% 7\u2028 d;e"',
        "LoadCredential=KEY:/run/containerless/shop/7/secrets/KEY",
        "CapabilityBoundingSet=",
        "BindReadOnlyPaths=/usr /srv/x",
        "CPUQuota=200%",
        "PrivateTmpEx=disconnected",
        "PrivateUsers=yes",
        "ProtectControlGroupsEx=strict",
        "SystemCallFilter=",
        "SystemCallFilter=~kcmp",
    ]


@pytest.mark.parametrize(
    ("value", "filled_in"), [("%i", "7"), ("%%i", "%i"), ("%%%i", "%7"), ("50%", "50%"), ("%n", "%n")]
)
def test_specifiers_are_filled_in_once(value: str, filled_in: str) -> None:
    assert transient.properties([f"[Service]\nUMask={value}\n"], 7) == [f"UMask={filled_in}"]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_command_comes_last_and_is_taken_literally(terminal: bool) -> None:
    told = transient.argv(
        ["[Service]\nUser=x\n"],
        ["python", "-c", "$HOME %i"],
        unit="u",
        description="d",
        activation=7,
        terminal=terminal,
    )
    at = told.index("--")
    assert told[0] == "systemd-run"
    assert [word for word in told[:at] if word in ("--pty", "--pipe")] == ["--pty" if terminal else "--pipe"]
    assert {"--wait", "--collect", "--quiet", "--service-type=exec", "--unit=u", "--property=User=x"} <= set(told[:at])
    assert told[at + 1 :][-4:] == ["sh", "python", "-c", "$$HOME %i"]


def test_it_shares_the_network_of_its_activation_and_nothing_else_of_the_unit() -> None:
    anchor = "containerless-shop-egress.net@7.service"
    assert transient.properties([JOINED], 7) == [
        f"BindsTo={anchor}",
        f"After={anchor}",
        f"JoinsNamespaceOf={anchor}",
        "User=cl-shop",
    ]


@pytest.mark.parametrize(("folder", "kept"), [("containerless/shop/%i/web", True), ("", False)])
def test_its_end_takes_no_socket_of_a_running_server_away(folder: str, kept: bool) -> None:
    told = transient.properties([f"[Service]\nRuntimeDirectory=\nRuntimeDirectory={folder}\n"], 7)
    assert ("RuntimeDirectoryPreserve=yes" in told) is kept
