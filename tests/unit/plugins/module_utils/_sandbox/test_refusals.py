# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._sandbox import refusals
from ansible_collections.containerless.django.plugins.module_utils._sandbox.refusals import Refusal

P = "31<python>"
READ = [
    (
        "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = -1 EAFNOSUPPORT (Address",
        "family",
        "AF_NETLINK",
        False,
    ),
    ('openat(AT_FDCWD</srv/x>, "/var/lib/o/a", O_WRONLY|O_CREAT, 0666) = -1 ENOENT (No', "path", "/var/lib/o/a", True),
    ('openat(AT_FDCWD</srv/x>, "../a", O_RDONLY) = -1 ENOENT (No such', "path", "/srv/a", False),
    ('mkdir("/var/lib/o/a b", 0777)  = -1 EROFS (Read-only', "path", "/var/lib/o/a b", True),
    ('unlinkat(5</srv/d>, "f", 0) = -1 EROFS (Read-only', "path", "/srv/d/f", True),
    (
        'connect(3<socket:[9]>, {sa_family=AF_UNIX, sun_path="/run/a.sock"}) = -1 E1 (',
        "unix",
        "/run/a.sock",
        False,
    ),
    ('connect(3<socket:[9]>, {sa_family=AF_UNIX, sun_path=@"bus"}, 7) = -1 ECONNREFUSED (', "abstract", "bus", False),
    (
        'connect(3<s>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}) = -1 E1 (',
        "peer",
        "192.0.2.1:80",
        False,
    ),
    (
        'connect(3<s>, {sa_family=AF_INET6, sin6_port=htons(443), inet_pton(AF_INET6, "2001:db8::1", &a)}) = -1 E1 (',
        "peer",
        "[2001:db8::1]:443",
        False,
    ),
    ("setpriority(PRIO_PROCESS, 0, -5) = -1 EPERM (Operation", "call", "", False),
    ("mmap(NULL, 4096, PROT_READ|PROT_EXEC, MAP_PRIVATE, 3</tmp/x.so>, 0) = -1 EPERM (Op", "path", "/tmp/x.so", False),
]


@pytest.mark.parametrize(("line", "kind", "subject", "writes"), READ)
def test_a_line_says_what_was_refused(line: str, kind: str, subject: str, writes: bool) -> None:
    (found,) = refusals.read([f"{P} {line} x)"])
    assert (found.process, found.kind, found.subject, found.writes) == ("python", kind, subject, writes)


def test_what_a_directive_looks_at_is_kept_and_nothing_else() -> None:
    lines = [
        f"{P} mmap(NULL, 4096, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 EPERM (Op)",
        f"{P} fchmod(3</tmp/PROT_EXEC>, 04755) = -1 EPERM (Op)",
        f'{P} sendto(3<socket:[9]>, "secret AF_INET", 14, 0, NULL, 0) = -1 EPERM (Op)',
    ]
    mapped, chmod, sent = refusals.read(lines)
    assert {"PROT_WRITE", "PROT_EXEC"} <= mapped.flags
    assert "set-id" in chmod.flags
    assert sent == Refusal("python", "sendto", "EPERM")


def test_lines_that_refuse_nothing_are_passed_over_and_each_refusal_is_told_once() -> None:
    call = f"{P} setpriority(PRIO_PROCESS, 0, -5) = -1 EPERM (Operation not permitted)"
    other = [f"{P} close(3) = 0", f"{P} --- SIGCHLD {{}} ---", f"{P} read(3, ...) = ? ERESTARTSYS (To be)", "", "x"]
    assert len(refusals.read([call, *other, call])) == 1


def test_how_a_process_ended() -> None:
    lines = ["32<sh> +++ exited with 7 +++", "31<python> +++ exited with 0 +++", "33<a> +++ killed by SIGKILL +++"]
    assert [refusals.ended(lines, pid) for pid in (31, 32, 33, 34)] == ["0", "7", "SIGKILL", ""]
