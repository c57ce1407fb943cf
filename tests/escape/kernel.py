# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempts at the kernel itself, for a virtual machine only: prints {"outcomes": {name: "allowed" | what refused it}}.

None does harm where it gets through: files are opened, not written; the clock is set to its own time; a call that would
end the machine is made with a command that does nothing. "allowed" is also an answer of the kernel behind the check.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
import stat
import time
import typing as t
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
#: x86-64
NUMBERS = {
    "iopl": 172, "ioperm": 173, "syslog": 103, "acct": 163, "quotactl": 179, "reboot": 169, "swapon": 167,
    "init_module": 175, "delete_module": 176, "finit_module": 313, "kexec_load": 246, "bpf": 321,
    "perf_event_open": 298, "clock_settime": 227, "settimeofday": 164, "adjtimex": 159, "sethostname": 170,
    "setdomainname": 171, "vhangup": 153, "pivot_root": 155, "open_by_handle_at": 304, "lookup_dcookie": 212,
}  # fmt: skip
Attempt = t.Callable[[], object]


def syscall(name: str, *arguments: object, behind: tuple[int, ...] = ()) -> int:
    """Make a call; `behind` are errnos that say the kernel went past its check of privileges."""
    wide = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result: int = LIBC.syscall(ctypes.c_long(NUMBERS[name]), *wide)
    if result == -1 and ctypes.get_errno() not in behind:
        raise OSError(ctypes.get_errno(), "")
    return result


def opened(path: str, flags: int) -> None:
    os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))


def read(path: str) -> None:
    with Path(path).open("rb") as file:
        file.read(64)


def addresses() -> None:
    """Addresses of the kernel are zeros to whoever may not see them."""
    with Path("/proc/kallsyms").open("rb") as file:
        # The first ones are offsets, and zero for everybody.
        if not any(int(line.split()[0], 16) for line in file):
            raise OSError(errno.EPERM, "")


def make_node() -> None:
    path = f"/dev/shm/node.{os.getpid()}"
    os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(8, 0))
    os.unlink(path)


def family(number: int) -> None:
    """A socket of a family whose module the kernel loads by itself."""
    for kind in (socket.SOCK_SEQPACKET, socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_RAW):
        try:
            socket.socket(number, kind).close()
        except OSError as error:
            last = error
        else:
            return
    raise last


def timespec() -> ctypes.Array[ctypes.c_long]:
    now = time.clock_gettime_ns(time.CLOCK_REALTIME)
    return (ctypes.c_long * 2)(now // 10**9, now % 10**9)


def timeval() -> ctypes.Array[ctypes.c_long]:
    now = time.clock_gettime_ns(time.CLOCK_REALTIME)
    return (ctypes.c_long * 2)(now // 10**9, now % 10**9 // 1000)


def tick() -> None:
    """Set the length of a tick to what it is: ADJ_TICK of timex, whose size is 208."""
    timex = ctypes.create_string_buffer(208)
    syscall("adjtimex", timex)
    timex[0:4] = (0x4000).to_bytes(4, "little")
    syscall("adjtimex", timex)


def program() -> None:
    """The smallest program of BPF: return 0."""
    code = ctypes.create_string_buffer(bytes.fromhex("b7000000000000009500000000000000"), 16)
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = ctypes.create_string_buffer(128)
    # BPF_PROG_TYPE_CGROUP_SKB, which only privileges load.
    attributes[0:8] = (8).to_bytes(4, "little") + (2).to_bytes(4, "little")
    attributes[8:24] = ctypes.addressof(code).to_bytes(8, "little") + ctypes.addressof(licence).to_bytes(8, "little")
    os.close(syscall("bpf", 5, attributes, 128))


def event() -> None:
    """A counter of every process of processor 0."""
    attributes = ctypes.create_string_buffer(128)
    attributes[0:8] = (1).to_bytes(4, "little") + (128).to_bytes(4, "little")
    os.close(syscall("perf_event_open", attributes, -1, 0, -1, 0))


def attempts() -> dict[str, Attempt]:
    name = socket.gethostname().encode()
    garbage = ctypes.create_string_buffer(64)
    return {
        # F11
        "device: memory": lambda: opened("/dev/mem", os.O_RDONLY),
        "device: ports": lambda: opened("/dev/port", os.O_RDONLY),
        "device: kernel log": lambda: opened("/dev/kmsg", os.O_WRONLY),
        "device: disk": lambda: opened("/dev/vda", os.O_RDONLY),
        "device: loop": lambda: opened("/dev/loop-control", os.O_RDONLY),
        "device: fuse": lambda: opened("/dev/fuse", os.O_RDWR),
        "device: tun": lambda: opened("/dev/net/tun", os.O_RDWR),
        "device: terminal": lambda: opened("/dev/ttyS0", os.O_RDWR | os.O_NOCTTY),
        "device: make a node": make_node,
        # F12
        "kernel: write core_pattern": lambda: opened("/proc/sys/kernel/core_pattern", os.O_WRONLY),
        "kernel: write modprobe": lambda: opened("/proc/sys/kernel/modprobe", os.O_WRONLY),
        "kernel: write sysrq-trigger": lambda: opened("/proc/sysrq-trigger", os.O_WRONLY),
        "kernel: write huge pages": lambda: opened("/sys/kernel/mm/transparent_hugepage/enabled", os.O_WRONLY),
        "kernel: write power state": lambda: opened("/sys/power/state", os.O_WRONLY),
        "kernel: read kcore": lambda: read("/proc/kcore"),
        "kernel: read addresses": addresses,
        "kernel: read log": lambda: opened("/proc/kmsg", os.O_RDONLY),
        # K4
        "module: init_module": lambda: syscall("init_module", garbage, 64, b"", behind=(errno.ENOEXEC,)),
        "module: finit_module": lambda: syscall("finit_module", -1, b"", 0, behind=(errno.EBADF,)),
        "module: delete_module": lambda: syscall("delete_module", b"no_such", 0, behind=(errno.ENOENT,)),
        "module: load by AF_ALG": lambda: family(38),
        "module: load by AF_VSOCK": lambda: family(40),
        "module: load by AF_PACKET": lambda: family(17),
        # K5
        "call: bpf": program,
        "call: perf_event_open": event,
        "call: kexec_load": lambda: syscall("kexec_load", 0, 0, 0, 0),
        # LINUX_REBOOT_CMD_CAD_OFF, as systemd has set it
        "call: reboot": lambda: syscall("reboot", 0xFEE1DEAD, 672274793, 0, 0),
        "call: swapon": lambda: syscall("swapon", b"/no/such", 0, behind=(errno.ENOENT,)),
        "call: iopl": lambda: syscall("iopl", 3),
        "call: ioperm": lambda: syscall("ioperm", 0x80, 1, 1),
        "call: syslog": lambda: syscall("syslog", 3, garbage, 64),
        "call: acct": lambda: syscall("acct", b"/no/such", behind=(errno.ENOENT,)),
        "call: quotactl": lambda: syscall("quotactl", 0x80000100, 0, 0, 0),
        "call: vhangup": lambda: syscall("vhangup"),
        "call: pivot_root": lambda: syscall("pivot_root", b"/no", b"/no", behind=(errno.ENOENT,)),
        "call: open_by_handle_at": lambda: syscall("open_by_handle_at", -1, garbage, 0, behind=(errno.EINVAL,)),
        # K10, K11
        "clock: clock_settime": lambda: syscall("clock_settime", 0, timespec()),
        "clock: settimeofday": lambda: syscall("settimeofday", timeval(), None),
        "clock: adjtimex": tick,
        "clock: device": lambda: opened("/dev/rtc0", os.O_RDONLY),
        "name: sethostname": lambda: syscall("sethostname", name, len(name)),
        "name: setdomainname": lambda: syscall("setdomainname", b"(none)", 6),
    }  # fmt: skip


def outcome(attempt: Attempt) -> str:
    """Make an attempt in a process of its own, in a session of its own: one of them hangs its terminal up."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            os.setsid()
            attempt()
            text = "allowed"
        except OSError as error:
            text = errno.errorcode.get(error.errno or 0, repr(error))
        except BaseException as error:  # noqa: BLE001 - the parent wants to see whatever it was
            text = repr(error)
        os.write(writer, text.encode()[:500])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        text = stream.read().decode()
    _, status = os.waitpid(child, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else text


if __name__ == "__main__":
    print(json.dumps({"outcomes": {name: outcome(attempt) for name, attempt in attempts().items()}}))
