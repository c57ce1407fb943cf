# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of a machine, and the proof that it answers."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from . import host
from .errors import MachineError
from .identity import SSH_PORT, ssh_options
from .recipes import USER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .paths import MachinePaths

# What ssh exits with when it never came as far as the command.
NO_CONNECTION = 255
# One login costs a virtual machine without KVM several seconds: it must not be cut off at every try.
LOGIN_SECONDS = 60


def make_key(path: Path, comment: str) -> None:
    """A fresh key pair without a passphrase."""
    host.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def public_key(path: Path) -> str:
    """The public half of a key pair."""
    return path.with_name(path.name + ".pub").read_text()


def argv(paths: MachinePaths, address: str, port: int) -> list[str]:
    """The command line by which a person reaches the machine."""
    where = [] if port == SSH_PORT else ["-p", str(port)]
    return ["ssh", "-i", str(paths.key), *options(paths), *where, f"{USER}@{address}"]


def options(paths: MachinePaths) -> list[str]:
    """What every ssh to the machine is told."""
    return ssh_options(str(paths.known_hosts), str(paths.control))


def end_shared_connection(paths: MachinePaths) -> None:
    """Ansible keeps a connection open for a minute; it would outlive the machine."""
    if paths.control.exists():
        subprocess.run(["ssh", "-S", str(paths.control), "-O", "exit", "machine"], capture_output=True, check=False)


def wait(paths: MachinePaths, address: str, port: int, deadline: float, alive: Callable[[], bool]) -> str:
    """Wait until a login works and systemd has started everything; says in which state it is then."""
    complaint = "no answer"
    login = argv(paths, address, port)
    command = [
        login[0],
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=5",
        "-o",
        "ControlMaster=no",
        *login[1:],
        "systemctl is-system-running --wait",
    ]
    while time.monotonic() < deadline:
        if not alive():
            raise MachineError(
                f"The machine ended while it booted; {paths.console} says why: {last_words(paths.console)}"
            )
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=LOGIN_SECONDS
            )
        except subprocess.TimeoutExpired:
            continue
        if done.returncode != NO_CONNECTION and done.stdout.strip():
            return done.stdout.strip()
        complaint = (done.stderr.strip() or complaint).splitlines()[-1]
        time.sleep(0.05)
    raise MachineError(f"timeout: the machine did not answer over SSH in time ({complaint}); see {paths.console}.")


def last_words(console: Path) -> str:
    """The last line that a machine said."""
    try:
        lines = [line.strip() for line in console.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing"
