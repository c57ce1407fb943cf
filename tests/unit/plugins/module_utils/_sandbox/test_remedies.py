# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._sandbox import remedies
from ansible_collections.containerless.django.plugins.module_utils._sandbox.refusals import Refusal
from ansible_collections.containerless.django.plugins.module_utils._sandbox.remedies import (
    EGRESS,
    OPT_OUT,
    READ_ONLY,
    Place,
)

STRICT = {
    "PrivateNetwork": "yes",
    "RestrictAddressFamilies": "AF_UNIX",
    "MemoryDenyWriteExecute": "yes",
    "NoExecPaths": "/",
    "TemporaryFileSystem": "/run:ro /srv:ro /var:ro /dev/shm:rw,size=64m",
    "InaccessiblePaths": "-/etc/containerless",
    "BindReadOnlyPaths": "/usr /srv/app -/run/systemd/journal/socket",
    "StateDirectory": "app",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "DevicePolicy": "closed",
    "ProcSubset": "pid",
    "ProtectProc": "invisible",
    "ProtectKernelTunables": "yes",
    "ProtectControlGroups": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
}
REFUSED_CALLS = ("setpriority", "unshare")
OPEN_TO_USER = Place(True, "/var/lib/other", reads=True, writes=True)
READABLE = Place(True, "/opt/data", reads=True)
CREATABLE = Place(False, "/var/lib/other", writes=True)


def refused(call: str, errno: str, subject: str = "", kind: str = "call", *flags: str, writes: bool = False) -> Refusal:
    return Refusal("python", call, errno, subject, kind, writes, frozenset(flags))


def deduced(refusal: Refusal, place: Place | None = None, **asked: str) -> list[remedies.Need]:
    facts = remedies.Facts(
        asked={**STRICT, **asked},
        calls=lambda call: call not in REFUSED_CALLS,
        places={refusal.subject: place} if place else {},
        families=("AF_NETLINK", "AF_INET"),
        abstract=("bus",),
    )
    return remedies.deduce([refusal], facts)


def path(call: str, errno: str, name: str, **more: t.Any) -> Refusal:
    return refused(call, errno, name, "path", **more)


EXEC, WRITE = "PROT_EXEC", "PROT_WRITE"
NEEDS: list[tuple[Refusal, Place | None, str, tuple[str, str, tuple[str, ...]]]] = [
    (
        refused("socket", "EAFNOSUPPORT", "AF_NETLINK", "family"),
        None,
        "RestrictAddressFamilies",
        (OPT_OUT, "RestrictAddressFamilies", ("AF_NETLINK",)),
    ),
    (refused("socket", "EAFNOSUPPORT", "AF_INET", "family"), None, "PrivateNetwork", (EGRESS, "", ())),
    (refused("connect", "ENETUNREACH", "192.0.2.1:80", "peer"), None, "PrivateNetwork", (EGRESS, "", ())),
    (refused("connect", "ECONNREFUSED", "bus", "abstract"), None, "PrivateNetwork", (OPT_OUT, "PrivateNetwork", ())),
    (refused("setpriority", "EPERM"), None, "SystemCallFilter", (OPT_OUT, "SystemCallFilter", ("setpriority",))),
    (
        refused("mmap", "EPERM", "", "call", EXEC, WRITE),
        None,
        "MemoryDenyWriteExecute",
        (OPT_OUT, "MemoryDenyWriteExecute", ()),
    ),
    (
        refused("mprotect", "EACCES", "", "call", EXEC),
        None,
        "MemoryDenyWriteExecute",
        (OPT_OUT, "MemoryDenyWriteExecute", ()),
    ),
    (refused("mmap", "EPERM", "/tmp/x.so", "path", EXEC), None, "NoExecPaths", (OPT_OUT, "NoExecPaths", ())),
    (path("execve", "EACCES", "/tmp/x"), Place(), "NoExecPaths", (OPT_OUT, "NoExecPaths", ())),
    (
        refused("clone", "EPERM", "", "call", "CLONE_NEWUSER"),
        None,
        "RestrictNamespaces",
        (OPT_OUT, "RestrictNamespaces", ()),
    ),
    (refused("fchmod", "EPERM", "", "call", "set-id"), None, "RestrictSUIDSGID", (OPT_OUT, "RestrictSUIDSGID", ())),
    (
        path("openat", "ENOENT", "/var/lib/other/x", writes=True),
        CREATABLE,
        "TemporaryFileSystem",
        (OPT_OUT, "BindPaths", ("/var/lib/other",)),
    ),
    (
        path("openat", "EROFS", "/etc/x", writes=True),
        OPEN_TO_USER,
        "ProtectSystem",
        (OPT_OUT, "BindPaths", ("/var/lib/other",)),
    ),
    (path("openat", "ENOENT", "/srv/data/x"), READABLE, "TemporaryFileSystem", (READ_ONLY, "", ("/srv/data/x",))),
    (
        refused("connect", "ENOENT", "/run/redis/s", "unix"),
        OPEN_TO_USER,
        "TemporaryFileSystem",
        (READ_ONLY, "", ("/run/redis",)),
    ),
    (path("openat", "ENOENT", "/proc/meminfo"), READABLE, "ProcSubset", (OPT_OUT, "ProcSubset", ())),
    (path("openat", "ENOENT", "/proc/1/stat"), READABLE, "ProtectProc", (OPT_OUT, "ProtectProc", ())),
    (
        path("openat", "EROFS", "/proc/sys/a", writes=True),
        OPEN_TO_USER,
        "ProtectKernelTunables",
        (OPT_OUT, "ProtectKernelTunables", ()),
    ),
    (path("openat", "ENOENT", "/dev/fuse"), READABLE, "PrivateDevices", (OPT_OUT, "PrivateDevices", ())),
    (path("openat", "EACCES", "/home/a/x"), READABLE, "ProtectHome", (OPT_OUT, "ProtectHome", ())),
    (
        path("openat", "EACCES", "/etc/containerless/x"),
        READABLE,
        "InaccessiblePaths",
        (OPT_OUT, "InaccessiblePaths", ()),
    ),
    (path("openat", "ENOENT", "/tmp/x"), READABLE, "PrivateTmp", (OPT_OUT, "PrivateTmp", ())),
    (refused("clone", "EAGAIN"), None, "TasksMax", ("app_sandbox_tasks_max", "", ())),
]


@pytest.mark.parametrize(("refusal", "place", "directive", "remedy"), NEEDS)
def test_a_refusal_leads_to_a_directive_and_the_smallest_way_past_it(
    refusal: Refusal, place: Place | None, directive: str, remedy: tuple[str, str, tuple[str, ...]]
) -> None:
    (need,) = deduced(refusal, place)
    assert need.directive == directive
    assert need.remedy == remedies.Remedy(*remedy)


NOT_THE_SANDBOX_S: list[tuple[Refusal, Place | None]] = [
    (path("openat", "ENOENT", "/srv/data/x"), Place(False, "/srv/data")),  # nowhere
    (path("openat", "EACCES", "/srv/data/x"), Place(True, "/srv/data")),  # file modes
    (path("openat", "ENOENT", "/var/lib/other/x", writes=True), Place(False, "/var/lib")),  # no folder of that name
    (path("unlink", "ENOENT", "/var/lib/app/x", writes=True), Place(False, "/var/lib/app", writes=True)),  # its own
    (path("openat", "ENOENT", "/srv/app/x.py"), READABLE),  # shown, so it went meanwhile
    (path("openat", "ENOENT", "/usr/lib/x"), READABLE),
    (refused("socket", "EAFNOSUPPORT", "AF_QIPCRTR", "family"), None),  # the kernel has none
    (refused("connect", "ECONNREFUSED", "nobody", "abstract"), None),
    (refused("ioctl", "ENOTTY"), None),
]


@pytest.mark.parametrize(("refusal", "place"), NOT_THE_SANDBOX_S)
def test_what_fails_without_a_sandbox_too_is_left_out(refusal: Refusal, place: Place | None) -> None:
    assert deduced(refusal, place) == []


def test_a_right_that_the_user_never_has_is_told_without_a_remedy() -> None:
    (need,) = deduced(refused("fchown", "EPERM"))
    assert need.remedy is None
    assert "CAP_CHOWN" in need.why


def test_what_is_off_already_is_not_blamed() -> None:
    assert deduced(refused("mprotect", "EPERM", "", "call", EXEC), MemoryDenyWriteExecute="no") == []
    (need,) = deduced(path("openat", "EPERM", "/dev/fuse"), READABLE, PrivateDevices="no")
    assert need.directive == "DevicePolicy"


SETS = """\
@a
    # Some
    one
    two
@default
    brk

@b
    # Nested
    @a
    three

# Others:
#   four
"""
FILTERS = [
    (["@b", "~two"], {"one", "three", "brk"}),
    (["@b", "~@a", "two"], {"two", "three", "brk"}),
    (["~@a"], {"three", "four", "brk"}),
    (["~@a", "two"], {"two", "three", "four", "brk"}),
    (["@a", "", "three"], {"three", "brk"}),
    ([], {"one", "two", "three", "four", "brk"}),
]


@pytest.mark.parametrize(("lines", "through"), FILTERS)
def test_a_filter_is_read_as_systemd_does(lines: list[str], through: set[str]) -> None:
    text = "[Service]\n" + "".join(f"SystemCallFilter={line}\n" for line in lines)
    passes = remedies.passes([text], remedies.filter_sets(SETS))
    assert {call for call in ("one", "two", "three", "four", "brk") if passes(call)} == through


def test_a_remedy_is_lines_of_a_unit_and_a_setting() -> None:
    bound = remedies.Remedy(OPT_OUT, "BindPaths", ("/var/lib/other",))
    assert bound.lines() == ["BindPaths=/var/lib/other", "NoExecPaths=/var/lib/other"]
    assert bound.setting() == {"directive": "BindPaths", "allow": ["/var/lib/other"]}
    assert remedies.Remedy(OPT_OUT, "PrivateTmp").lines() == ["PrivateTmp=no"]
    assert remedies.Remedy(READ_ONLY, allow=("/run/redis",)).setting() == ["/run/redis"]
    assert not remedies.Remedy(EGRESS).can_be_tried


def test_what_is_let_in_to_be_written_is_not_let_in_to_be_read_as_well() -> None:
    reads = [remedies.Remedy(READ_ONLY, allow=(path,)) for path in ("/var/lib/other", "/opt/data")]
    writes = remedies.Remedy(OPT_OUT, "BindPaths", ("/var/lib/other",))
    assert remedies.merged([*reads, writes]) == [reads[1], writes]
