# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._sandbox import effect, inside

TEXT = "[Service]\nPrivateTmp=yes\nMemoryMax=512M\nPrivateIPC=yes\nPrivateIPC=no\n"
HOLDS, OPEN, UNKNOWN = ("holds", "so"), ("open", "so"), ("unknown", "so")
WEAK: list[tuple[dict[str, t.Any], list[str]]] = [
    ({"PrivateTmp": HOLDS, "MemoryMax": HOLDS}, []),
    ({"PrivateTmp": OPEN, "MemoryMax": OPEN}, ["MemoryMax (so)", "PrivateTmp (so)"]),
    ({"PrivateTmp": UNKNOWN}, []),
    ({"PrivateIPC": OPEN}, []),  # taken back by the text itself
    ({"PrivateUsers": OPEN}, []),  # not asked for
]


@pytest.mark.parametrize(("outcomes", "weak"), WEAK)
def test_what_is_asked_for_and_open_is_weak(outcomes: dict[str, t.Any], weak: list[str]) -> None:
    assert [str(item) for item in effect.weak([TEXT], outcomes)] == weak


def test_what_was_accepted_is_not() -> None:
    assert effect.weak([TEXT], {"MemoryMax": OPEN, "PrivateTmp": OPEN}, ["MemoryMax", "PrivateTmp"]) == []


DENIED = [
    ("IPAddressDeny=any\n", "127.0.0.1"),
    ("IPAddressDeny=any\nIPAddressAllow=localhost\n", "192.0.2.1"),
    ("IPAddressDeny=any\nIPAddressAllow=127.0.0.2/32\n", "192.0.2.1"),
    ("IPAddressDeny=169.254.0.0/16 fe80::/10\n", "169.254.169.254"),
    ("IPAddressDeny=10.0.0.0/8\n", ""),
    ("", ""),
]


@pytest.mark.parametrize(("lines", "address"), DENIED)
def test_an_address_that_has_to_be_dropped(lines: str, address: str) -> None:
    assert effect.facts([f"[Service]\n{lines}"])["denied"] == address


def test_only_places_that_are_there_are_compared() -> None:
    facts = effect.facts(
        ["[Service]\nTemporaryFileSystem=/usr:ro /no-such\nInaccessiblePaths=-/etc\nNoExecPaths=/ /tmp\n"]
    )
    usr = os.stat("/usr")
    assert facts["hidden"]["TemporaryFileSystem"] == {"/usr": [usr.st_dev, usr.st_ino]}
    assert list(facts["hidden"]["InaccessiblePaths"]) == ["/etc"]
    assert facts["noexec"] == ["/", "/tmp"]


def test_without_a_sandbox_nothing_is_said_to_hold_that_does_not() -> None:
    """The look itself, as it is run: by its text alone."""
    asked = "TemporaryFileSystem=/usr\nNoExecPaths=/usr\nRestrictAddressFamilies=AF_UNIX\nInaccessiblePaths=/etc\n"
    facts = effect.facts([f"[Service]\n{asked}"])
    with open(inside.__file__, encoding="utf-8") as source:
        argv = [sys.executable, "-IS", "-c", source.read(), json.dumps(facts)]
    said = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    opened = {directive for directive, (state, _detail) in said.items() if state == "open"}
    assert opened >= {
        "InaccessiblePaths",
        "MemoryDenyWriteExecute",
        "NoExecPaths",
        "PrivateDevices",
        "PrivateTmp",
        "ProcSubset",
        "ProtectProc",
        "RestrictAddressFamilies",
        "TemporaryFileSystem",
    }
