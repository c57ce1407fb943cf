# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attempts to leave the sandbox, each in a process of its own: prints {"outcomes": {name: how it ended}}.

An attempt ends as "allowed", with an errno or with a signal. Started as `python -c SOURCE JSON` with the JSON of where
things are: {"state", "code", "writable", "foreign", "pid", "port"}. "foreign" holds what belongs to somebody else and
is open to everybody, so that only a sandbox can keep this user out (neighbour.py makes it). With "only", prefixes of
names, the others are left out; with "census" it also says what can be seen and written.

Nothing here touches the kernel's own state: machines of the nspawn backend share the host's kernel. The whole table
stands here and nowhere else: level `default` takes a few, level `full` and the campaign take all.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import json
import mmap
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import typing as t
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x00020000, 0x04000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
# The generic table, which is all that x86_64 and aarch64 do not share; taken by name so that a reader can check it.
NUMBERS = {
    "x86_64": {
        "io_uring_setup": 425, "kcmp": 312, "fsopen": 430, "name_to_handle_at": 303, "personality": 135,
        "process_vm_readv": 310, "ptrace": 101, "setns": 308, "userfaultfd": 323, "mq_open": 240, "mlock": 149,
    },
    "aarch64": {
        "io_uring_setup": 425, "kcmp": 272, "fsopen": 430, "name_to_handle_at": 264, "personality": 92,
        "process_vm_readv": 270, "ptrace": 117, "setns": 268, "userfaultfd": 282, "mq_open": 180, "mlock": 228,
    },
}[os.uname().machine]  # fmt: skip

Attempt = t.Callable[[], object]


def check(result: int) -> int:
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


def syscall(name: str, *arguments: object) -> int:
    # As long: an int leaves the upper half of its register, or of its place on the stack, to chance.
    wide = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    return check(LIBC.syscall(ctypes.c_long(NUMBERS[name]), *wide))


def outcome(attempt: Attempt, seconds: int = 10) -> str:
    """Run the attempt in a child; an OSError is told by its errno, success is "allowed"."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        try:
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


def run(argv: list[str], executable: str | int | None = None) -> None:
    """Execute and wait: an OSError of execve(2) is passed on, a program that could not load says ENOEXEC."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.execve(argv[0] if executable is None else executable, argv, {})  # noqa: S606 - the attempt itself
        except OSError as error:
            os.write(writer, str(error.errno).encode())
        os._exit(127)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        failed = stream.read()
    _, status = os.waitpid(child, 0)
    if failed:
        raise OSError(int(failed), "")
    if status:
        raise OSError(errno.ENOEXEC, "")


def libraries() -> Path:
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("libc.so.6"):
            return Path(line.split(None, 5)[5]).parent
    raise AssertionError("no libc is mapped")


def loader() -> str:
    return next(
        str(path) for path in (Path("/lib64/ld-linux-x86-64.so.2"), Path("/lib/ld-linux-aarch64.so.1")) if path.exists()
    )


# --- Running what was written ---


def planted(folder: str, source: str | Path) -> str:
    target = Path(folder, f"planted.{os.getpid()}")
    shutil.copyfile(source, target)
    target.chmod(0o755)
    return str(target)


@contextlib.contextmanager
def planted_file(folder: str, source: str | Path) -> t.Iterator[str]:
    path = planted(folder, source)
    try:
        yield path
    finally:
        os.unlink(path)


def execute(folder: str) -> None:
    with planted_file(folder, "/usr/bin/true") as path:
        run([path])


def execute_script(folder: str) -> None:
    with planted_file(folder, "/usr/bin/true") as path:
        Path(path).write_text("#!/bin/sh\n")
        run([path])


def execute_descriptor(folder: str) -> None:
    with planted_file(folder, "/usr/bin/true") as path:
        run(["true"], os.open(path, os.O_RDONLY))


def execute_by_loader(folder: str) -> None:
    with planted_file(folder, "/usr/bin/true") as path:
        run([loader(), path])


def load_library(folder: str) -> None:
    with planted_file(folder, libraries() / "libz.so.1") as path:
        try:
            ctypes.CDLL(path)
        except OSError as error:  # dlopen(3) gives a sentence and no errno
            raise OSError(errno.EPERM if "not permitted" in str(error) else errno.EACCES, str(error)) from None


def execute_memory() -> None:
    descriptor = os.memfd_create("planted")
    os.write(descriptor, Path("/usr/bin/true").read_bytes())
    run(["true"], descriptor)


def map_writable_code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def turn_data_into_code() -> None:
    page = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    check(LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), mmap.PROT_READ | mmap.PROT_EXEC))


# --- Files ---


def read(path: str) -> None:
    Path(path).read_bytes()


def write(folder: str) -> None:
    path = Path(folder, f"probe.{os.getpid()}")
    path.touch()
    path.unlink()


def append(path: str) -> None:
    with Path(path).open("ab"):
        pass


def set_bit(folder: str, bit: int) -> None:
    path = Path(folder, f"bit.{os.getpid()}")
    path.touch()
    try:
        path.chmod(0o755 | bit)
    finally:
        path.unlink()


def become_root(program: str) -> None:
    said = subprocess.run([program, "-u"], capture_output=True, text=True, check=True).stdout
    if said.strip() != "0":
        raise OSError(errno.EPERM, f"it ran as {said.strip()}")


# --- Peers ---


def connect_tcp(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as peer:
        peer.settimeout(5)
        peer.connect((address, port))


def listen_tcp(address: str) -> None:
    socket.create_server((address, 0)).close()


def connect_unix(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(5)
        peer.connect(address)


def open_socket(family: int, kind: int) -> None:
    socket.socket(family, kind).close()


# --- Processes and the kernel's interfaces ---


def unshare(flags: int) -> None:
    check(LIBC.unshare(flags))


def mount() -> None:
    unshare(CLONE_NEWUSER | CLONE_NEWNS)
    check(LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None))


def open_file_system() -> None:
    unshare(CLONE_NEWUSER | CLONE_NEWNS)
    syscall("fsopen", b"tmpfs", 0)


def change_root() -> None:
    unshare(CLONE_NEWUSER)
    os.chroot("/usr")


def enter_namespace() -> None:
    with Path("/proc/self/ns/uts").open() as own:
        try:
            syscall("setns", own.fileno(), CLONE_NEWNET)
        except OSError as error:
            if error.errno != errno.EINVAL:  # the kernel's own answer to a descriptor of another kind
                raise


def on_a_child(attempt: t.Callable[[int], object]) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        attempt(child)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def trace(pid: int) -> None:
    syscall("ptrace", 16, pid, None, None)


def read_memory(pid: int) -> None:
    class Vector(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    there = ctypes.create_string_buffer(16)
    here = ctypes.create_string_buffer(16)
    vectors = [ctypes.byref(Vector(ctypes.addressof(buffer), 16)) for buffer in (here, there)]
    syscall("process_vm_readv", pid, vectors[0], 1, vectors[1], 1, 0)


def handle_of_file() -> None:
    handle = ctypes.create_string_buffer((128).to_bytes(4, sys.byteorder), 8 + 128)
    syscall("name_to_handle_at", -100, b"/dev", handle, ctypes.byref(ctypes.c_int()), 0)


def open_queue() -> None:
    """Only looked for: a missing one is the kernel's own answer."""
    try:
        syscall("mq_open", b"no-such-queue", os.O_RDONLY, 0, None)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def renice() -> None:
    os.nice(1)


def attempts(facts: dict[str, t.Any]) -> dict[str, Attempt]:
    state, foreign, port = facts["state"], facts["foreign"], facts["port"]
    table: dict[str, Attempt] = {
        "memory: execute a memfd": execute_memory,
        "memory: map writable code": map_writable_code,
        "memory: turn data into code": turn_data_into_code,
        "tcp: loopback": lambda: connect_tcp("127.0.0.1", port),
        "tcp: loopback, IPv6": lambda: connect_tcp("::1", port),
        "tcp: metadata service": lambda: connect_tcp("169.254.169.254", port),
        "socket: AF_INET, UDP": lambda: open_socket(socket.AF_INET, socket.SOCK_DGRAM),
        "socket: AF_NETLINK": lambda: open_socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "unix: abstract": lambda: connect_unix("\0containerless-foreign"),
        "unix: other app": lambda: connect_unix(foreign["socket"]),
        "unix: D-Bus": lambda: connect_unix("/run/dbus/system_bus_socket"),
        "proc: other user": lambda: os.stat(f"/proc/{facts['pid']}"),
        "proc: uptime": lambda: read("/proc/uptime"),
        "process: trace a sibling": lambda: on_a_child(trace),
        "process: read a sibling": lambda: on_a_child(read_memory),
        "process: renice": renice,
        "namespace: user": lambda: unshare(CLONE_NEWUSER),
        "namespace: net": lambda: unshare(CLONE_NEWUSER | CLONE_NEWNET),
        "namespace: pid": lambda: unshare(CLONE_NEWUSER | CLONE_NEWPID),
        "namespace: uts": lambda: unshare(CLONE_NEWUSER | CLONE_NEWUTS),
        "namespace: enter": enter_namespace,
        "mount: tmpfs": mount,
        "mount: chroot": change_root,
        "syscall: io_uring_setup": lambda: syscall("io_uring_setup", 1, ctypes.create_string_buffer(120)),
        "syscall: kcmp": lambda: syscall("kcmp", os.getpid(), os.getpid(), 0, 0, 1),
        "syscall: name_to_handle_at": handle_of_file,
        "syscall: personality": lambda: syscall("personality", 0xFFFFFFFF),
        "syscall: userfaultfd": lambda: syscall("userfaultfd", 1),
        "syscall: mq_open": open_queue,
        "bits: setuid": lambda: set_bit(state, stat.S_ISUID),
        "bits: setgid": lambda: set_bit(state, stat.S_ISGID),
        "read: /etc/shadow": lambda: read("/etc/shadow"),
        "write: own code": lambda: append(facts["code"]),
        "bits: execute a setuid program": lambda: become_root(foreign["setuid"]),
        "tcp: listen": lambda: listen_tcp("127.0.0.1"),
        "mount: open a file system": open_file_system,
    }
    bound = functools.partial
    for folder in facts["writable"]:
        table[f"execute: program in {folder}"] = bound(execute, folder)
        table[f"execute: script in {folder}"] = bound(execute_script, folder)
        table[f"execute: descriptor of {folder}"] = bound(execute_descriptor, folder)
        table[f"execute: by ld.so, {folder}"] = bound(execute_by_loader, folder)
        table[f"load: library in {folder}"] = bound(load_library, folder)
    for path in foreign["files"]:
        table[f"read: {path}"] = bound(read, path)
    for folder in foreign["folders"]:
        table[f"write: {folder}"] = bound(write, folder)
    return table


# --- Census ---


def writable_folders() -> list[str]:
    """The topmost folders, anywhere, in which this process can make a file; /proc holds no folders of that kind."""
    found: list[str] = []
    for folder, below, _ in os.walk("/"):
        below[:] = sorted(name for name in below if os.path.join(folder, name) != "/proc")
        if os.access(folder, os.W_OK | os.X_OK):
            found.append(folder)
            below[:] = []
    return found


def writable_files(folders: list[str]) -> list[str]:
    """Everything else that could be opened for writing, outside those folders: devices and sockets among them."""
    found = []
    for folder, below, files in os.walk("/"):
        below[:] = [name for name in below if os.path.join(folder, name) not in {"/proc", *folders}]
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and os.access(path, os.W_OK):
                found.append(path)
    return sorted(found)


def mount_options() -> dict[str, list[str]]:
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {fields[4]: fields[5].split(",") for fields in lines}


def census() -> dict[str, t.Any]:
    folders = writable_folders()
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "folders": folders,
        "files": writable_files(folders),
        "mounts": mount_options(),
        "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")},
        "status": {
            name: status[name] for name in ("NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        },
        "interfaces": [line.split(":")[0].strip() for line in Path("/proc/self/net/dev").read_text().splitlines()[2:]],
        "core": [int(value) for value in resource.getrlimit(resource.RLIMIT_CORE)],
    }


def main(facts: dict[str, t.Any]) -> dict[str, t.Any]:
    only = tuple(facts.get("only", [""]))
    outcomes = {name: outcome(attempt) for name, attempt in attempts(facts).items() if name.startswith(only)}
    return {"outcomes": outcomes, **({"census": census()} if facts.get("census") else {})}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
