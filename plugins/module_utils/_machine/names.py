# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses: derived from the checkout, so that several checkouts never meet."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

# The range that RFC 2544 sets aside for benchmarks: no real network has it.
POOL = ipaddress.IPv4Network("198.18.0.0/15")
SUBNETS = POOL.num_addresses // 4

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def check_name(name: str) -> str:
    """A machine's name becomes its host name: letters, digits and dashes."""
    if not _NAME.fullmatch(name):
        raise MachineError(
            f"name: {name!r} must start with a letter and hold at most 31 lower-case letters, digits and dashes."
        )
    return name


def check_project(project: str) -> str:
    """A project becomes the name of a folder."""
    if not _PROJECT.fullmatch(project):
        raise MachineError(f"project: {project!r} must hold at most 40 lower-case letters, digits and dashes.")
    return project


def project_of(owner: str) -> str:
    """The project that belongs to a folder, usually a checkout."""
    return hashlib.sha256(owner.encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Link:
    """One point-to-point network between the host and a machine."""

    index: int

    @property
    def interface(self) -> str:
        """The host's end; no prefix that a network manager acts upon, and at most 15 characters."""
        return f"clm{self.index:04x}"

    @property
    def network(self) -> ipaddress.IPv4Network:
        """Four addresses, two of them usable."""
        return ipaddress.IPv4Network((int(POOL.network_address) + 4 * self.index, 30))

    @property
    def host(self) -> str:
        """The host's address, with its prefix length."""
        return f"{self.network[1]}/30"

    @property
    def guest(self) -> str:
        """The machine's address, with its prefix length."""
        return f"{self.network[2]}/30"

    @property
    def address(self) -> str:
        """The machine's address as others connect to it."""
        return str(self.network[2])


def pick_link(key: str, taken: Container[int], routes: Iterable[str]) -> Link:
    """The first free network, beginning where the key points, so that a machine usually gets the same one again."""
    start = int(hashlib.sha256(key.encode()).hexdigest(), 16) % SUBNETS
    known = [ipaddress.IPv4Network(route, strict=False) for route in routes if route != "default"]
    busy = [network for network in known if network.prefixlen > 0 and network.overlaps(POOL)]
    for step in range(SUBNETS):
        link = Link((start + step) % SUBNETS)
        if link.index not in taken and not any(link.network.overlaps(network) for network in busy):
            return link
    raise MachineError(f"No free network is left in {POOL}: remove machines, or the host's own routes into it.")
