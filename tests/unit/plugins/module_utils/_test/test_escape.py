# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What attempts say about a sandbox. That the sets are those of the profiles is shown by tests/integration/sandbox."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._sandbox import remedies
from ansible_collections.containerless.django.plugins.module_utils._test import escape
from ansible_collections.containerless.django.plugins.module_utils._test.probes import escapes, neighbour

STRICT: dict[str, t.Any] = {"profile": "strict", "opt_out": [], "unenforced": [], "egress": [], "bind_read_only": []}


def facts(state: str, port: int) -> dict[str, t.Any]:
    return escape.few("/nowhere", state, port)


def test_an_attempt_that_is_stopped_says_by_what(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        given = facts(str(tmp_path), listening.getsockname()[1])
        done = subprocess.run(
            [sys.executable, str(escapes.__file__), json.dumps(given)], capture_output=True, text=True, check=True
        )
    said = json.loads(done.stdout)
    assert list(said) == ["outcomes"]
    outcomes = said["outcomes"]
    assert all(name.startswith(tuple(given["only"])) for name in outcomes)
    assert {prefix for prefix in given["only"] if not any(name.startswith(prefix) for name in outcomes)} == set()
    assert (outcomes["write: own code"], outcomes["tcp: loopback"]) == ("ENOENT", "allowed")
    assert outcomes[f"execute: program in {tmp_path}"] == "allowed"
    assert list(tmp_path.iterdir()) == []


OPENED = (*escape.OPENS.values(), *escape.ALLOWS.values())
GIVEN = {"state": "/s", "code": "/c", "port": 1}


def test_the_table_is_as_long_as_the_documents_say() -> None:
    assert len(escapes.attempts(neighbour.facts(GIVEN, 1))) == 75
    few = escape.few("/tree", "/s", 22)
    assert sum(name.startswith(tuple(few["only"])) for name in escapes.attempts(few)) == 8


def test_what_is_meant_names_attempts_of_the_table() -> None:
    """A name that was changed in the table alone would excuse nothing, or everything."""
    names = list(escapes.attempts(neighbour.facts(GIVEN, 1)))
    assert set(names) >= (escape.STANDARD | escape.COMPAT | escape.EGRESS | escape.ROOT_ONLY)
    for prefix in (*escape.OF_THE_KERNEL, *(name for opened in OPENED for name in opened)):
        assert any(name.startswith(prefix) for name in names), prefix


def test_what_gets_through_only_inside_is_void_or_of_the_kernel() -> None:
    inside = {"tcp: loopback": "EPERM", "syscall: kcmp": "EPERM", "write: /etc": "EROFS"}
    verdict = escape.judge(inside, {"write: /etc": "allowed"}, escape.meant(STRICT))
    assert (verdict.stopped, verdict.void, verdict.unknown) == (
        ("write: /etc",),
        ("tcp: loopback",),
        ("syscall: kcmp",),
    )
    assert not verdict.passed
    assert f"{verdict}" == "not possible outside either: tcp: loopback; this kernel refuses to everybody: syscall: kcmp"


def test_what_gets_through_is_an_escape_unless_it_is_configured() -> None:
    inside = dict.fromkeys(("unix: abstract", "write: /etc"), "allowed") | {"proc: uptime": "ENOENT"}
    outside = dict.fromkeys(inside, "allowed")
    verdict = escape.judge(inside, outside, escape.meant(STRICT))
    assert (verdict.passed, verdict.escaped) == (False, ("unix: abstract", "write: /etc"))
    assert escape.log(inside, outside, verdict).splitlines() == [
        "proc: uptime: ENOENT; outside: allowed",
        "unix: abstract: allowed; outside: allowed",
        "write: /etc: allowed; outside: allowed",
    ]
    verdict = escape.judge(inside, outside, escape.meant({**STRICT, "profile": "standard"}))
    assert (verdict.escaped, verdict.meant) == (("write: /etc",), ("unix: abstract",))


def test_the_sets_of_calls_are_those_of_systemd() -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not on this computer")
    told = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True)
    sets = remedies.filter_sets(told.stdout)

    def calls(name: str) -> set[str]:
        return {call for word in sets[name] for call in (calls(word) if word.startswith("@") else {word})}

    named = {word.partition("=")[2] for missing in escape.ALLOWS for word in missing if "=" in word}
    assert {name: set(known) for name, known in escape.SETS.items()} == {
        name: calls(name) & named for name in escape.SETS
    }


def test_nothing_tried_is_no_success() -> None:
    assert not escape.judge({}, {}, escape.meant(STRICT)).passed
    assert f"{escape.judge({}, {}, escape.meant(STRICT))}" == "no attempt was made"


def allowing(directive: str, *words: str, also: str = "") -> dict[str, t.Any]:
    """Return opt-outs as a configuration has them: single words of one directive, all of another."""
    others = [{"directive": also, "allow": []}] if also else []
    return {"opt_out": [{"directive": directive, "allow": list(words)}, *others]}


MEANT: list[tuple[dict[str, t.Any], str, bool]] = [
    ({}, "tcp: listen", False),
    ({"egress": ["db:5432"]}, "tcp: listen", True),
    ({"egress": ["db:5432"]}, "tcp: loopback", False),
    ({"profile": "compat"}, "unix: D-Bus", True),
    ({"profile": "standard"}, "unix: D-Bus", False),
    ({"opt_out": [{"directive": "MemoryDenyWriteExecute"}]}, "memory: map writable code", True),
    ({"opt_out": [{"directive": "MemoryDenyWriteExecute"}]}, "load: library in /tmp", False),
    (
        {"opt_out": [{"directive": "MemoryDenyWriteExecute"}, {"directive": "NoExecPaths"}]},
        "load: library in /tmp",
        True,
    ),
    ({"opt_out": [{"directive": "TemporaryFileSystem"}]}, "read: /etc/shadow", False),
    ({"opt_out": [{"directive": "ProtectSystem"}]}, "write: own code", False),
    ({"bind_read_only": ["/opt"]}, "read: /opt/x/secret", True),
    ({"bind_read_only": ["/opt"]}, "read: /optional/secret", False),
    ({"unenforced": [{"directive": "IPAddressDeny"}]}, "tcp: metadata service", False),
    ({"profile": "standard", "unenforced": [{"directive": "IPAddressDeny"}]}, "tcp: metadata service", True),
    ({"profile": "talk2018"}, "namespace: user", True),
    (allowing("SystemCallFilter", "setpriority"), "process: renice", True),
    (allowing("SystemCallFilter", "setpriority"), "process: trace a sibling", False),
    (allowing("SystemCallFilter", "setpriority"), "syscall: kcmp", False),
    (allowing("SystemCallFilter", "@ipc", "kcmp"), "memory: execute a memfd", True),
    (allowing("SystemCallFilter", "@ipc", "kcmp"), "syscall: kcmp", True),
    (allowing("SystemCallFilter", "@ipc", "kcmp"), "syscall: userfaultfd", False),
    (allowing("SystemCallFilter", "unshare"), "namespace: user", False),
    (allowing("SystemCallFilter", "unshare", also="RestrictNamespaces"), "namespace: user", True),
    (allowing("SystemCallFilter", "unshare", also="RestrictNamespaces"), "mount: tmpfs", False),
    (allowing("SystemCallFilter", "unshare", "@mount", also="RestrictNamespaces"), "mount: tmpfs", True),
    (allowing("RestrictAddressFamilies", "AF_NETLINK"), "socket: AF_NETLINK", True),
    (allowing("RestrictAddressFamilies", "AF_NETLINK"), "socket: AF_INET, UDP", False),
    (allowing("RestrictAddressFamilies", "AF_INET", also="PrivateNetwork"), "tcp: loopback", True),
    (allowing("RestrictAddressFamilies", "AF_INET"), "tcp: loopback", False),
]


@pytest.mark.parametrize(("given", "name", "expected"), MEANT)
def test_what_is_open_as_configured(given: dict[str, t.Any], name: str, expected: bool) -> None:
    assert escape.meant({**STRICT, **given})(name) is expected


def test_the_control_is_the_apps_user_where_that_can() -> None:
    user, root = (
        {"read: /etc/shadow": "EACCES", "write: /x": "allowed"},
        dict.fromkeys(("read: /etc/shadow", "write: /x"), "root's"),
    )
    assert escape.controls(user, root) == {"read: /etc/shadow": "root's", "write: /x": "allowed"}
