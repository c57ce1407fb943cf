# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directives of a sandbox: how each is taken back, and what a text asks for in the end. Pure."""

from __future__ import annotations

import re
import typing as t

#: What a directive says when it protects nothing: the only ones that one can opt out of.
OPEN: dict[str, str] = {
    **dict.fromkeys(
        (
            "LockPersonality",
            "MemoryDenyWriteExecute",
            "NoNewPrivileges",
            "PrivateDevices",
            "PrivateIPC",
            "PrivateMounts",
            "PrivateNetwork",
            "PrivateTmp",
            "PrivateUsers",
            "ProtectClock",
            "ProtectControlGroups",
            "ProtectHome",
            "ProtectHostname",
            "ProtectKernelLogs",
            "ProtectKernelModules",
            "ProtectKernelTunables",
            "ProtectSystem",
            "RemoveIPC",
            "RestrictNamespaces",
            "RestrictRealtime",
            "RestrictSUIDSGID",
        ),
        "no",
    ),
    **dict.fromkeys(
        (
            "CPUQuota",
            "IPAddressDeny",
            "InaccessiblePaths",
            "NoExecPaths",
            "RestrictAddressFamilies",
            "SystemCallArchitectures",
            "SystemCallFilter",
            "TemporaryFileSystem",
        ),
        "",
    ),
    **dict.fromkeys(("LimitCORE", "MemoryMax", "MemorySwapMax", "TasksMax"), "infinity"),
    "CapabilityBoundingSet": "~",
    "DevicePolicy": "auto",
    "OOMPolicy": "stop",
    "ProcSubset": "all",
    "ProtectProc": "default",
    "UMask": "0022",
}

#: Lists of what is let through: one may let through a word more instead of all.
ALLOWING = {
    "RestrictAddressFamilies": re.compile(r"AF_[A-Z0-9_]+"),
    "SystemCallFilter": re.compile(r"@?[a-z0-9_-]+"),
    "BindPaths": re.compile(r"(/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*)+"),
}
#: Of no profile: what it lets in is all that it says.
ADDED = frozenset({"BindPaths"})
_LISTS = frozenset(
    {
        *ALLOWING,
        "BindPaths",
        "BindReadOnlyPaths",
        "ExecPaths",
        "IPAddressAllow",
        "IPAddressDeny",
        "InaccessiblePaths",
        "NoExecPaths",
        "TemporaryFileSystem",
    }
)


def taken_back(directive: str, allow: t.Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return the assignments that take a directive back, or let single words of `allow` through."""
    value = " ".join(allow) or OPEN[directive]
    # A path that is bound is a mount of its own, which no other line makes noexec.
    also = [("NoExecPaths", value)] if directive == "BindPaths" else []
    return [(directive, value), *also]


def assignments(text: str, section: str = "Service") -> t.Iterator[tuple[str, str]]:
    """Yield the assignments of a section of a unit's text, in order."""
    current = ""
    # Not splitlines(): for systemd only a line feed ends a line.
    for line in text.split("\n"):
        if line.startswith("["):
            current = line.strip()
        elif current == f"[{section}]" and re.match("[A-Za-z]", line):
            key, _, value = line.partition("=")
            yield key.strip(), value.strip()


def asked(texts: t.Iterable[str]) -> dict[str, str]:
    """Return what unit texts, in the order in which systemd reads them, say of each directive in the end."""
    found: dict[str, str] = {}
    for key, value in (line for text in texts for line in assignments(text)):
        grows = key in _LISTS and value and found.get(key)
        found[key] = f"{found[key]} {value}" if grows else value
    return found


def protecting(texts: t.Iterable[str]) -> dict[str, str]:
    """Return the directives that protect something, with what they say."""
    return {key: value for key, value in asked(texts).items() if key in OPEN and value != OPEN[key]}
