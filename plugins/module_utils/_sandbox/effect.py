# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a sandbox asks for against what holds inside of it. Pure but for the host's own files that are looked at."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

from . import directives, inside

#: Directive -> (holds, open or unknown; what was seen).
Outcomes = t.Mapping[str, t.Sequence[str]]
_NAMESPACES = ("ipc", "mnt", "net", "user", "uts", "cgroup")
#: Dropped by IPAddressDeny=any whatever is allowed: a network for documentation (RFC 5737), and this host.
_ELSEWHERE, _LOOPBACK, _METADATA = "192.0.2.1", "127.0.0.1", "169.254.169.254"
_OPENING = ("localhost", "any", "127.")
_PROFILE = re.compile(r"^# Sandbox of .+, profile (\w+), for systemd", re.MULTILINE)
#: How the template begins and writes them.
_OPT_OUTS = "\n# Opted out of by app_sandbox_opt_out"
_OPTED_OUT = re.compile(r"^# (?P<directive>\w+): (?P<reason>.+)\n(?P=directive)=(?P<value>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Weak:
    """A directive that is asked for and does not hold."""

    directive: str
    why: str

    def __str__(self) -> str:
        return f"{self.directive} ({self.why})"


def profile(texts: t.Iterable[str]) -> str:
    """Return the profile that a drop-in of ours says; an empty text where there is none."""
    found = [match[1] for text in texts for match in _PROFILE.finditer(text)]
    return found[-1] if found else ""


def opted_out(texts: t.Iterable[str]) -> list[dict[str, str]]:
    """Return directive, reason and value of each opt-out that drop-ins of ours name."""
    named = [match.groupdict() for text in texts for match in _OPTED_OUT.finditer(text.partition(_OPT_OUTS)[2])]
    return [{key: str(value) for key, value in item.items()} for item in named]


def facts(texts: t.Sequence[str]) -> dict[str, t.Any]:
    """Return what the look from inside has to know of the host and of the texts. Runs outside, as root."""
    asked = directives.asked(texts)
    hidden = {
        "TemporaryFileSystem": [word.partition(":")[0] for word in asked.get("TemporaryFileSystem", "").split()],
        "InaccessiblePaths": [word.lstrip("-+") for word in asked.get("InaccessiblePaths", "").split()],
        "PrivateTmp": ["/tmp", "/var/tmp"],  # noqa: S108 - looked at, never written
        "PrivateDevices": ["/dev"],
    }
    return {
        "namespaces": _namespaces(),
        "hidden": {name: _identities(places) for name, places in hidden.items()},
        "noexec": [word.lstrip("-+") for word in asked.get("NoExecPaths", "").split()],
        "families": asked.get("RestrictAddressFamilies", "").split(),
        "denied": _denied(asked.get("IPAddressDeny", "").split(), asked.get("IPAddressAllow", "")),
    }


def _namespaces() -> dict[str, str]:
    """Return the host's own; none where somebody may not see them."""
    try:
        return {name: os.readlink(f"/proc/1/ns/{name}") for name in _NAMESPACES}
    except OSError:
        return {}


def _identities(places: t.Sequence[str]) -> dict[str, list[int]]:
    found = {path: os.stat(path) for path in places if os.path.exists(path)}
    return {path: [known.st_dev, known.st_ino] for path, known in found.items()}


def _denied(networks: t.Sequence[str], allowed: str) -> str:
    """Return an address that the filter has to drop; an empty text where none is sure."""
    if "any" not in networks:
        return _METADATA if any(network.startswith("169.254.") for network in networks) else ""
    return _ELSEWHERE if any(word in allowed for word in _OPENING) else _LOOPBACK


def weak(texts: t.Sequence[str], outcomes: Outcomes, accepted: t.Container[str] = ()) -> list[Weak]:
    """Return what is asked for and open. What nobody could see from inside is not said to be open."""
    asked = directives.protecting(texts)
    return [
        Weak(directive, detail)
        for directive, (state, detail) in sorted(outcomes.items())
        if state == inside.OPEN and directive in asked and directive not in accepted
    ]
