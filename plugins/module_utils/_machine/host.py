# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this room wants from the host: run a tool, say which is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Which Debian package brings a tool.
PACKAGE_OF = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "sysctl": "procps",
    "unshare": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mkfs.ext4": "e2fsprogs",
    "newuidmap": "uidmap",
}

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def search_path() -> str:
    """PATH with the administrator's folders, which a user's own PATH often lacks."""
    return os.pathsep.join(dict.fromkeys([*os.environ.get("PATH", "/usr/bin:/bin").split(os.pathsep), *_SBIN]))


def require(tools: Sequence[str]) -> None:
    """Name all missing packages in one sentence."""
    missing = sorted({PACKAGE_OF[tool] for tool in tools if shutil.which(tool, path=search_path()) is None})
    if missing:
        raise MachineError(f"Throwaway machines need {', '.join(missing)}: apt-get install {' '.join(missing)}.")


def run(argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Run a tool; its last line of complaint is the error."""
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env=with_path(env), stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        complaint = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise MachineError(f"{argv[0]} failed ({done.returncode}): {complaint}")
    return done.stdout


def with_path(env: Mapping[str, str] | None) -> dict[str, str]:
    """The environment, able to find the administrator's tools."""
    return {**(os.environ if env is None else env), "PATH": search_path()}


def is_root() -> bool:
    """Whether this process may do everything on this host."""
    return os.geteuid() == 0


def is_booted() -> bool:
    """Whether systemd runs this host and hands out cgroups."""
    return Path("/run/systemd/system").is_dir()


def give_to_user(path: Path) -> None:
    """What a person needs to reach a machine belongs to the person who used sudo, not to root."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if is_root() and uid.isdigit() and gid.isdigit():
        os.chown(path, int(uid), int(gid))
