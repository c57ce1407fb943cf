# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a machine learns who it is: one tmpfiles.d text, handed over as a systemd credential by both backends."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from .recipes import USER

SSH_PORT = 22


@dataclass(frozen=True)
class Identity:
    """What differs between two machines of one image."""

    name: str
    authorized_key: str
    host_key: str
    host_public_key: str


def tmpfiles(identity: Identity) -> str:
    """Lines for systemd-tmpfiles: content is base64, so that it can hold anything."""
    hosts = f"127.0.0.1 localhost\n127.0.1.1 {identity.name}\n::1 localhost ip6-localhost\n"
    files = (
        ("/etc/hostname", "0644 root root", identity.name + "\n"),
        ("/etc/hosts", "0644 root root", hosts),
        ("/etc/ssh/ssh_host_ed25519_key", "0600 root root", identity.host_key),
        ("/etc/ssh/ssh_host_ed25519_key.pub", "0644 root root", identity.host_public_key),
        (f"/home/{USER}/.ssh/authorized_keys", f"0600 {USER} {USER}", identity.authorized_key),
    )
    lines = [f"d /home/{USER}/.ssh 0700 {USER} {USER}"]
    lines += [f"f+~ {path} {access} - {_encode(text)}" for path, access, text in files]
    return "\n".join(lines) + "\n"


def known_hosts(host: str, port: int, host_public_key: str) -> str:
    """The line by which ssh recognises the machine."""
    where = host if port == SSH_PORT else f"[{host}]:{port}"
    kind, key = host_public_key.split()[:2]
    return f"{where} {kind} {key}\n"


def ssh_options(known_hosts: str, control_path: str) -> list[str]:
    """What ssh needs to trust the machine and nothing else.

    A connection that is kept open is shared under the machine's own folder: the next machine with this address must
    not inherit it.
    """
    return [
        "-o", f"UserKnownHostsFile={known_hosts}",
        "-o", "GlobalKnownHostsFile=/dev/null",
        "-o", "StrictHostKeyChecking=yes",
        "-o", "IdentitiesOnly=yes",
        "-o", f"ControlPath={control_path}",
    ]  # fmt: skip


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
