# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the project's settings name against what the sandbox lets through. Pure: the settings are read in the sandbox.

A peer is (setting, host, port or None); a host that starts with a slash is the path of a unix socket or its folder.
"""

from __future__ import annotations

import os
import typing as t

#: (setting, host or path, port)
Peer = t.Sequence[t.Any]


def unreachable(peers: t.Iterable[Peer], sandbox: dict[str, t.Any], state: str = "") -> list[str]:
    """Return a sentence for each peer that the sandbox does not let through; `state` is the app's own folder."""
    folders = [*sandbox.get("bind_read_only", []), *([state] if state else [])]
    egress = {str(named).lower() for named in sandbox.get("egress", [])}
    found = []
    for setting, host, port in peers:
        if host.startswith("/"):
            place, option, open_ = host, "app_sandbox_bind_read_only", _is_below(host, folders)
        else:
            place, option, open_ = _address(host, port), "app_sandbox_egress", _is_named(host, port, egress)
        if not open_:
            found.append(f"{setting} names {place}, which the sandbox does not let through ({option})")
    return list(dict.fromkeys(found))


def _is_below(path: str, folders: t.Iterable[str]) -> bool:
    wanted = os.path.normpath(path)
    return any(wanted == folder or wanted.startswith(f"{folder}/") for folder in map(os.path.normpath, folders))


def _is_named(host: str, port: int | None, egress: set[str]) -> bool:
    if port is not None:
        return _address(host, port).lower() in egress
    return any(named.rpartition(":")[0] in (host.lower(), _bracketed(host).lower()) for named in egress)


def _address(host: str, port: int | None) -> str:
    return host if port is None else f"{_bracketed(host)}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
