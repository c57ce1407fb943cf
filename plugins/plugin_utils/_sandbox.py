# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the sandbox, checked and in the one form that its template and a release's configuration take.

What stands in a unit file must be one word there: no spaces, colons, quotes, specifiers or line breaks.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..module_utils._core.errors import ContainerlessError
from ..module_utils._sandbox import directives

#: From the tightest to the one that is there for comparison.
PROFILES = ("strict", "standard", "compat", "talk2018")
#: Profiles that leave the host's network and say what of it.
_NETWORKED = ("standard", "compat")
_PATH = re.compile(r"(/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*)+")
#: A folder of the app's data.
FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_GROUP = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_BYTES = re.compile(r"[1-9][0-9]*[KMGT]?")
_QUOTA = re.compile(r"[1-9][0-9]*%")
#: What becomes of a unit when the kernel kills one of its processes for memory.
OOM_POLICIES = ("continue", "stop", "kill")
#: In every profile; those of the roles' defaults. Times in seconds.
_LIMITS: dict[str, Any] = {
    "memory_max": "512M",
    "memory_high": "",
    "tasks_max": 256,
    "cpu_quota": "200%",
    "nofile": 16384,
    "oom_policy": "continue",
    "log_interval": 30,
    "log_burst": 2000,
}
#: A proxy for each peer and activation: that many are a mistake.
MAX_PEERS = 32
_PEER = re.compile(r"(?P<name>[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?):(?P<port>[0-9]{1,5})")
_IPV4 = re.compile(r"[0-9]+([.][0-9]+){3}")
_ADDRESSES = [f"127.0.0.{last}" for last in range(2, 2 + 2 * MAX_PEERS)]
#: Names of systemd.resource-control(5); it takes them without a look at any resolver.
_NETWORKS = ("any", "localhost", "link-local", "multicast")


def options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template is rendered with, every key of it. Raises ContainerlessError naming the option."""
    profile = given.get("profile", PROFILES[0])
    if profile not in PROFILES:
        raise ContainerlessError(f"app_sandbox_profile {profile!r} must be one of {', '.join(PROFILES)}")
    return {
        "profile": profile,
        "limits": _limits(given.get("limits", {})),
        "bind_read_only": _paths(given.get("bind_read_only", [])),
        "media": _media(given.get("media", {})),
        "ip_allow": _networks(given.get("ip_allow", []), profile),
        "egress": _egress(given.get("egress", []), profile),
        "opt_out": [_opted_out(item) for item in given.get("opt_out", [])],
        "unenforced": [_reasoned(item, "app_sandbox_unenforced") for item in given.get("unenforced", [])],
    }


@dataclass(frozen=True)
class Peer:
    """A peer that an app in strict may reach: `address` is where it finds it, within its own network namespace."""

    number: int
    name: str
    port: int
    address: str


def peers(egress: Sequence[str]) -> list[Peer]:
    """Return the peers; each name has an address of its own, and an address of the loopback network keeps it."""
    named = [(name, int(port)) for name, _, port in (item.rpartition(":") for item in egress)]
    given = {name: _own_address(name) for name, _port in named}
    taken = {address for address in given.values() if address}
    free = (address for address in _ADDRESSES if address not in taken)
    known = {name: address or next(free) for name, address in given.items()}
    return [Peer(number, name, port, known[name]) for number, (name, port) in enumerate(named, 1)]


def _own_address(name: str) -> str:
    if name == "localhost":
        return "127.0.0.1"
    return name if _IPV4.fullmatch(name) else ""


def _egress(given: Sequence[Any], profile: str) -> list[str]:
    if given and profile != "strict":
        raise ContainerlessError(f"app_sandbox_egress is for profile strict; {profile} has the host's network")
    found = [_peer(str(item)) for item in given]
    if len(set(found)) != len(found):
        raise ContainerlessError("app_sandbox_egress names a peer twice")
    if len(found) > MAX_PEERS:
        raise ContainerlessError(f"app_sandbox_egress names {len(found)} peers; it takes at most {MAX_PEERS}")
    return found


def _peer(given: str) -> str:
    match = _PEER.fullmatch(given)
    if not match or not 1 <= int(match["port"]) <= 65535:
        raise ContainerlessError(
            f"app_sandbox_egress holds {given!r}, which is no name and port such as db.internal:5432"
        )
    name = match["name"].lower()
    if _IPV4.fullmatch(name) and not name.startswith("127."):
        raise ContainerlessError(
            f"app_sandbox_egress holds {given!r}: an app in strict has no address but those of its loopback; give the"
            " peer a name in DNS or the host's /etc/hosts, and use that name in the app's settings too"
        )
    return f"{name}:{int(match['port'])}"


def _opted_out(item: Any) -> dict[str, Any]:
    """Return an opt-out with the value that takes its directive back."""
    known = _reasoned(item, "app_sandbox_opt_out")
    name, allow = known["directive"], [str(word) for word in item.get("allow") or []]
    if allow and name not in directives.ALLOWING:
        raise ContainerlessError(
            f"app_sandbox_opt_out {name} takes no allow, which is for {', '.join(directives.ALLOWING)}"
        )
    if name in directives.ADDED and not allow:
        raise ContainerlessError(f"app_sandbox_opt_out {name} needs an allow, such as [/var/lib/other]")
    for word in allow:
        if not directives.ALLOWING[name].fullmatch(word):
            raise ContainerlessError(f"app_sandbox_opt_out {name} allows {word!r}, which is no word of that directive")
    (_, value), *also = directives.taken_back(name, allow)
    return {**known, "allow": allow, "value": value, "also": [f"{key}={more}" for key, more in also]}


def _reasoned(item: Any, option: str) -> dict[str, str]:
    """Return directive and reason of an item, both checked."""
    if not isinstance(item, Mapping) or not {"directive", "reason"} <= set(item):
        raise ContainerlessError(f"{option} holds {item!r}, which lacks a directive or a reason")
    name, reason = str(item["directive"]), str(item["reason"]).strip()
    known = {*directives.OPEN, *(directives.ADDED if option == "app_sandbox_opt_out" else ())}
    if name not in known:
        near = difflib.get_close_matches(name, sorted(known), n=1)
        raise ContainerlessError(
            f"{option} names {name!r}, which is no directive of a profile that can be opted out of"
            + (f" (did you mean {near[0]}?)" if near else "")
        )
    if not reason or not reason.isprintable() or reason.endswith("\\"):
        raise ContainerlessError(
            f"{option} {name} needs a reason of one line, such as: callbacks of old cffi in pycares"
        )
    return {"directive": name, "reason": reason}


def _limits(given: Mapping[str, Any]) -> dict[str, Any]:
    limits = {**_LIMITS, **given}
    for name, pattern, such, empty in (
        ("memory_max", _BYTES, "512M", False),
        ("memory_high", _BYTES, "400M", True),
        ("cpu_quota", _QUOTA, "200%", True),
    ):
        value = str(limits[name])
        if not pattern.fullmatch(value) and (value or not empty):
            raise ContainerlessError(f"app_sandbox_{name} {value!r} must look like {such}")
    for name in ("tasks_max", "nofile", "log_interval", "log_burst"):
        # 0 turns systemd's limit of the journal off, and with it what keeps an app from filling the disk.
        if int(limits[name]) < 1:
            raise ContainerlessError(f"app_sandbox_{name} is {limits[name]}; it must be at least 1")
    if limits["oom_policy"] not in OOM_POLICIES:
        raise ContainerlessError(
            f"app_sandbox_oom_policy {limits['oom_policy']!r} must be one of {', '.join(OOM_POLICIES)}"
        )
    return limits


def _paths(given: Sequence[Any]) -> list[str]:
    for path in given:
        if not _PATH.fullmatch(str(path)):
            raise ContainerlessError(
                f"app_sandbox_bind_read_only holds {path!r}, which is no absolute path of letters, digits and ._@+-"
            )
    return [str(path) for path in given]


def _media(given: Mapping[str, Any]) -> dict[str, Any]:
    group, dirs = str(given.get("group", "")), [str(name) for name in given.get("dirs", [])]
    if group and not _GROUP.fullmatch(group):
        raise ContainerlessError(f"app_sandbox_media_group {group!r} is no name of a group, such as www-data")
    for name in dirs:
        if not FOLDER.fullmatch(name):
            raise ContainerlessError(f"app_sandbox_media_dirs holds {name!r}, which is not a plain folder name")
    return {"group": group, "dirs": sorted(dirs)}


def _networks(given: Sequence[Any], profile: str) -> list[str]:
    if given and profile not in _NETWORKED:
        raise ContainerlessError(
            f"app_sandbox_ip_allow is for profiles {' and '.join(_NETWORKED)}; {profile} has no use for it"
        )
    return [_network(str(network)) for network in given]


def _network(given: str) -> str:
    try:
        return given if given in _NETWORKS else str(ipaddress.ip_network(given))
    except ValueError:
        raise ContainerlessError(
            f"app_sandbox_ip_allow holds {given!r}, which is no network such as 10.0.0.0/8 or localhost"
        ) from None
