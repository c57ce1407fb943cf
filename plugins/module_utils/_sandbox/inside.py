# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs inside of a sandbox and prints what holds there: {directive: [state, detail]}, by what the kernel answers.

A file of its own without imports of ours: its text is handed over, as nothing of the host's tool is visible in there.
Started with one argument, the JSON that effect.facts() makes. Nothing here touches the kernel's own state.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import json
import mmap
import os
import resource
import socket
import stat
import sys
import tempfile
import typing as t

HOLDS, OPEN, UNKNOWN = "holds", "open", "unknown"
_NAMESPACES = {
    "PrivateIPC": "ipc",
    "PrivateMounts": "mnt",
    "PrivateNetwork": "net",
    "PrivateUsers": "user",
    "ProtectHostname": "uts",
}
_FAMILIES = {"AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16, "AF_PACKET": 17, "AF_ALG": 38, "AF_VSOCK": 40}
_CLONE_NEWUSER, _ADDR_NO_RANDOMIZE = 0x10000000, 0x0040000
_KEYCTL = {"x86_64": 250, "aarch64": 219}
_LIBC = ctypes.CDLL(None, use_errno=True)

Facts = dict[str, t.Any]
Said = tuple[str, str]


def attempt(what: t.Callable[[], object]) -> Said:
    """Try in a child, so that nothing stays: an error is the sandbox's refusal."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            what()
            said = ""
        except OSError as exc:
            said = errno.errorcode.get(exc.errno or 0, str(exc.errno))
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        refused = stream.read().decode()
    _pid, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return HOLDS, f"signal {os.WTERMSIG(status)}"
    return (HOLDS, refused) if refused else (OPEN, "allowed")


def _call(name: str, *words: t.Any) -> None:
    if getattr(_LIBC, name)(*words) == -1:
        raise OSError(ctypes.get_errno(), name)


def _status() -> dict[str, str]:
    with open("/proc/self/status", encoding="ascii") as lines:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _is(holds: bool, detail: str) -> Said:
    return (HOLDS if holds else OPEN), detail


def _privileges() -> t.Iterator[tuple[str, Said]]:
    status = _status()
    yield "NoNewPrivileges", _is(status["NoNewPrivs"] == "1", f"NoNewPrivs {status['NoNewPrivs']}")
    yield "CapabilityBoundingSet", _is(int(status["CapBnd"], 16) == 0, f"CapBnd {status['CapBnd']}")
    yield "RestrictSUIDSGID", attempt(_set_bit)
    yield "LockPersonality", attempt(lambda: _call("personality", _ADDR_NO_RANDOMIZE))
    yield "RestrictNamespaces", attempt(lambda: _call("unshare", _CLONE_NEWUSER))
    yield "SystemCallFilter", _filtered(status)
    core = resource.getrlimit(resource.RLIMIT_CORE)[1]
    yield "LimitCORE", _is(core == 0, f"{core} bytes")
    mask = os.umask(0o077)
    os.umask(mask)
    yield "UMask", _is(mask & 0o007 == 0o007, f"{mask:04o}")


def _set_bit() -> None:
    with tempfile.NamedTemporaryFile() as file:
        os.fchmod(file.fileno(), 0o4700 | stat.S_ISUID)


def _filtered(status: dict[str, str]) -> Said:
    number = _KEYCTL.get(os.uname().machine)
    if status.get("Seccomp") != "2" or number is None:
        return _is(status.get("Seccomp") == "2", f"Seccomp {status.get('Seccomp')}")
    # KEYCTL_GET_KEYRING_ID of the session: reads only.
    return attempt(lambda: _call("syscall", ctypes.c_long(number), ctypes.c_long(0), ctypes.c_long(-3), 0))


def _memory() -> t.Iterator[tuple[str, Said]]:
    everything = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    yield "MemoryDenyWriteExecute", attempt(lambda: mmap.mmap(-1, 4096, prot=everything))


def _namespaces(facts: Facts) -> t.Iterator[tuple[str, Said]]:
    for directive, name in _NAMESPACES.items():
        own, hosts = os.readlink(f"/proc/self/ns/{name}"), facts["namespaces"].get(name)
        yield directive, _is(own != hosts, own) if hosts else (UNKNOWN, own)


def _network(facts: Facts) -> t.Iterator[tuple[str, Said]]:
    opened = []
    for name in sorted(set(_FAMILIES) - set(facts["families"])):
        state, _ = attempt(functools.partial(_open, name))
        opened += [name] if state == OPEN else []
    yield "RestrictAddressFamilies", _is(not opened, ", ".join(opened) or "EAFNOSUPPORT")
    if not facts["denied"] or "AF_INET" not in facts["families"]:
        return  # without sockets of that kind there is nothing to drop
    state, detail = attempt(lambda: _send(facts["denied"]))
    # Only EPERM is the filter's answer: without a route nothing was sent.
    yield "IPAddressDeny", (state if state == OPEN or detail == "EPERM" else UNKNOWN, f"{facts['denied']}: {detail}")


def _open(family: str) -> None:
    kind = socket.SOCK_SEQPACKET if family == "AF_ALG" else socket.SOCK_DGRAM
    socket.socket(_FAMILIES[family], kind).close()


def _send(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(b"", (address, 9))


def _files(facts: Facts) -> t.Iterator[tuple[str, Said]]:
    for directive, places in facts["hidden"].items():
        seen = [path for path, known in places.items() if _identity(path) == known]
        yield directive, _is(not seen, f"the host's own: {', '.join(seen)}" if seen else "none of the host's own")
    writable = [path for path in ("/usr", "/etc", "/boot") if not _has(path, os.ST_RDONLY)]
    yield "ProtectSystem", _is(not writable, f"not read-only: {', '.join(writable)}" if writable else "read-only")
    runs = [path for path in facts["noexec"] if not _has(path, os.ST_NOEXEC)]
    yield "NoExecPaths", _is(not runs, f"not noexec: {', '.join(runs)}" if runs else "noexec")
    yield "ProtectHome", attempt(lambda: os.listdir("/home"))
    yield "ProtectKernelTunables", _is(_has("/proc/sys", os.ST_RDONLY), "/proc/sys")
    yield "ProtectControlGroups", _is(_has("/sys/fs/cgroup", os.ST_RDONLY), "/sys/fs/cgroup")
    yield "ProtectProc", attempt(lambda: os.stat("/proc/1"))
    yield "ProcSubset", attempt(lambda: os.stat("/proc/uptime"))


def _identity(path: str) -> list[int]:
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [found.st_dev, found.st_ino]


def _has(path: str, flag: int) -> bool:
    """Say whether a place is mounted so: what is not there has everything."""
    try:
        return bool(os.statvfs(path).f_flag & flag)
    except OSError:
        return True


def _limits() -> t.Iterator[tuple[str, Said]]:
    for directive, name in (("MemoryMax", "memory.max"), ("TasksMax", "pids.max"), ("CPUQuota", "cpu.max")):
        value = _limit(name)
        yield directive, _is(value not in ("", "max"), f"{name} {value or 'is not there'}")


def _limit(name: str) -> str:
    with open("/proc/self/cgroup", encoding="utf-8") as lines:
        own = next((line.strip().split(":", 2)[2] for line in lines if line.startswith("0::")), "/")
    try:
        with open(f"/sys/fs/cgroup{own.rstrip('/')}/{name}", encoding="ascii") as file:
            return file.read().split()[0]
    except OSError:
        return ""


def look(facts: Facts) -> dict[str, Said]:
    """Return what holds, by directive."""
    parts = (_privileges(), _memory(), _namespaces(facts), _network(facts), _files(facts), _limits())
    return {directive: said for part in parts for directive, said in part}


if __name__ == "__main__":
    print(json.dumps(look(json.loads(sys.argv[1]))))
