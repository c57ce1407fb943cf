# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside of a sandbox: which system calls and socket families get through to the kernel. Prints JSON.

The sandbox answers a call that it stops with ENOTNAM here, which no call itself ever says.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket

#: x86-64 has no higher number; a kernel says ENOSYS to those that it does not know.
CALLS = 480
FAMILIES = 46
#: They return twice, or never to Python: nothing but the filter keeps them from the kernel, and everything needs them.
NOT_TRIED = {15: "rt_sigreturn", 56: "clone", 57: "fork", 58: "vfork", 60: "exit", 231: "exit_group"}
_LIBC = ctypes.CDLL(None, use_errno=True)


def answer(number: int) -> int:
    """Make a call with senseless arguments in a child; return its errno, 0 for success or an end without an answer."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(2)
        ctypes.set_errno(0)
        wrong = [ctypes.c_long(-1)] * 6
        _LIBC.syscall(ctypes.c_long(number), *wrong)
        os.write(writer, ctypes.get_errno().to_bytes(2, "big"))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = stream.read(2)
    os.waitpid(child, 0)
    return int.from_bytes(said, "big")


def families() -> list[int]:
    """Return the numbers of the families of which a socket of some kind can be made."""
    found = []
    for family in range(FAMILIES):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                socket.socket(family, kind).close()
            except OSError:
                continue
            found.append(family)
            break
    return found


def main() -> None:
    stopped = (errno.ENOTNAM, errno.ENOSYS)
    calls = [number for number in range(CALLS) if number in NOT_TRIED or answer(number) not in stopped]
    print(json.dumps({"calls": calls, "families": families()}))


if __name__ == "__main__":
    main()
