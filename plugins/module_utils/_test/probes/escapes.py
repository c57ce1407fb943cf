# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attempts to get out of a sandbox: prints {name: "allowed" or why not} as JSON.

Started as `python -c SOURCE JSON` with {"tree", "state", "port"}: the release's tree, the folder that its app may write
to, and a port at which this host listens. Nothing here outlasts the attempt, or touches the kernel's own state: some
machines share the kernel of their host. The long suite is tests/integration/sandbox.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import typing as t

_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17
_SECONDS = 5


def network(places: dict[str, t.Any]) -> None:
    """Reach what listens on this host."""
    socket.create_connection(("127.0.0.1", places["port"]), _SECONDS).close()


def write_tree(places: dict[str, t.Any]) -> None:
    """Leave a file beside the app's own code."""
    _write(f"{places['tree']}/app")


def write_etc(_places: dict[str, t.Any]) -> None:
    """Leave a file in the host's configuration."""
    _write("/etc")


def read_shadow(_places: dict[str, t.Any]) -> None:
    """Read the host's passwords."""
    with open("/etc/shadow", "rb") as handle:
        handle.read(1)


def execute_state(places: dict[str, t.Any]) -> None:
    """Run a program that the app wrote."""
    with tempfile.NamedTemporaryFile(dir=places["state"], prefix=".probe-", delete=False) as handle:
        path = handle.name
    try:
        shutil.copyfile("/bin/true", path)
        os.chmod(path, 0o700)
        subprocess.run([path], check=True)
    finally:
        os.unlink(path)


def mount(_places: dict[str, t.Any]) -> None:
    """Mount something over a folder."""
    libc = ctypes.CDLL(None, use_errno=True)
    with tempfile.TemporaryDirectory(prefix="probe-") as folder:
        _checked(libc.mount(b"probe", folder.encode(), b"tmpfs", 0, None))
        _checked(libc.umount(folder.encode()))


def trace(_places: dict[str, t.Any]) -> None:
    """Take over another process of the same user."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    child = os.fork()
    if child == 0:
        time.sleep(_SECONDS)
        os._exit(0)
    try:
        _checked(libc.ptrace(_PTRACE_ATTACH, child, None, None))
        os.waitpid(child, 0)
        libc.ptrace(_PTRACE_DETACH, child, None, None)
    finally:
        os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


ATTEMPTS: tuple[t.Callable[[dict[str, t.Any]], None], ...] = (
    network,
    write_tree,
    write_etc,
    read_shadow,
    execute_state,
    mount,
    trace,
)


def attempt(what: t.Callable[[dict[str, t.Any]], None], places: dict[str, t.Any]) -> str:
    """Return "allowed", or the name of the error that stopped the attempt."""
    try:
        what(places)
    except OSError as exc:
        return errno.errorcode.get(exc.errno or 0, type(exc).__name__)
    except subprocess.CalledProcessError as exc:
        return f"exit code {exc.returncode}"
    return "allowed"


def _write(folder: str) -> None:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-"):
        pass


def _checked(result: int) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    json.dump({what.__name__: attempt(what, given) for what in ATTEMPTS}, sys.stdout)
