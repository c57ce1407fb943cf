# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What attempts to leave a sandbox say about it: which may get through as it is configured, and which prove nothing.

Pure. The attempts are in probes/escapes.py; that each set below is neither larger nor smaller is shown on machines by
tests/integration/sandbox.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .probes import neighbour

ALLOWED = "allowed"
#: TCP port of the neighbour's service.
PORT = 9999
#: Refused to the app's user outside as well; the control is root.
ROOT_ONLY = frozenset({"read: /etc/shadow"})
#: A kernel may refuse these to everybody; then nothing is known of the sandbox, and nothing is open either.
OF_THE_KERNEL = ("mount: ", "namespace: ", "process: ", "syscall: ", "tcp: loopback, IPv6")
_OTHER = neighbour.NAME

#: What a looser profile lets through although the next tighter one stops it.
STANDARD = frozenset(
    {
        "memory: execute a memfd",
        "proc: uptime",
        f"read: /run/{_OTHER}/secret",
        "socket: AF_INET, UDP",
        "syscall: mq_open",
        "tcp: listen",
        "tcp: loopback",
        "tcp: loopback, IPv6",
        "unix: abstract",
        "unix: other app",
    }
)
COMPAT = frozenset(
    {
        "memory: map writable code",
        "memory: turn data into code",
        "process: read a sibling",
        "process: renice",
        f"read: /mnt/{_OTHER}/secret",
        f"read: /opt/{_OTHER}/secret",
        f"read: /srv/containerless/{_OTHER}/secret",
        f"read: /var/lib/containerless/{_OTHER}/secret",
        "socket: AF_NETLINK",
        "syscall: kcmp",
        "syscall: name_to_handle_at",
        "syscall: userfaultfd",
        "unix: D-Bus",
    }
)
#: In a network of its own with nothing but a socket for each named peer.
EGRESS = frozenset({"socket: AF_INET, UDP", "tcp: listen"})
#: Of profile strict: what gets through once all of these directives are missing. A prefix stands for all of its kind.
OPENS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("NoExecPaths",): ("execute: ",),
    ("NoExecPaths", "MemoryDenyWriteExecute"): ("load: ",),
    ("MemoryDenyWriteExecute",): ("memory: map writable code", "memory: turn data into code"),
    ("SystemCallFilter",): (
        "memory: execute a memfd",
        "process: ",
        "syscall: io_uring_setup",
        "syscall: kcmp",
        "syscall: mq_open",
        "syscall: name_to_handle_at",
        "syscall: userfaultfd",
    ),
    ("SystemCallFilter", "RestrictNamespaces"): ("mount: ", "namespace: "),
    ("SystemCallFilter", "LockPersonality"): ("syscall: personality",),
    # /dev/shm among them is the app's own, and takes no programs.
    ("TemporaryFileSystem",): (
        "execute: by ld.so, /dev/shm",
        "execute: descriptor of /dev/shm",
        "execute: program in /dev/shm",
        "execute: script in /dev/shm",
        "load: library in /dev/shm",
        "read: ",
        "unix: D-Bus",
        "unix: other app",
        f"write: /dev/shm/{_OTHER}",
        f"write: /run/{_OTHER}",
    ),
    ("InaccessiblePaths",): (f"read: /etc/containerless/{_OTHER}/secret", "write: /dev/mqueue"),
    ("ProtectHome",): (f"read: /home/{_OTHER}/secret",),
    ("ProtectSystem",): ("write: ",),
    ("PrivateNetwork",): ("unix: abstract",),
    ("RestrictAddressFamilies",): ("socket: ", "tcp: listen"),
    ("RestrictAddressFamilies", "PrivateNetwork"): ("tcp: ",),
    ("RestrictSUIDSGID",): ("bits: setgid", "bits: setuid"),
    ("ProtectProc",): ("proc: other user",),
    ("ProcSubset",): ("proc: uptime",),
}
_CALL, _FAMILY = "SystemCallFilter=", "RestrictAddressFamilies="
_NAMESPACES = (f"{_CALL}unshare", "RestrictNamespaces")
#: The same where single words of a directive are allowed and the rest of it stands.
ALLOWS: dict[tuple[str, ...], tuple[str, ...]] = {
    **{(_CALL + call,): (f"syscall: {call}",) for call in ("io_uring_setup", "kcmp", "mq_open", "userfaultfd")},
    (f"{_CALL}name_to_handle_at",): ("syscall: name_to_handle_at",),
    (f"{_CALL}memfd_create",): ("memory: execute a memfd",),
    (f"{_CALL}process_vm_readv",): ("process: read a sibling",),
    (f"{_CALL}ptrace",): ("process: trace a sibling",),
    (f"{_CALL}setpriority",): ("process: renice",),
    (f"{_CALL}personality", "LockPersonality"): ("syscall: personality",),
    (f"{_CALL}setns", "RestrictNamespaces"): ("namespace: enter",),
    _NAMESPACES: tuple(f"namespace: {kind}" for kind in ("user", "net", "pid", "uts")),
    (*_NAMESPACES, f"{_CALL}mount"): ("mount: tmpfs",),
    (*_NAMESPACES, f"{_CALL}chroot"): ("mount: chroot",),
    (*_NAMESPACES, f"{_CALL}fsopen"): ("mount: open a file system",),
    (f"{_FAMILY}AF_NETLINK",): ("socket: AF_NETLINK",),
    (f"{_FAMILY}AF_INET",): ("socket: AF_INET, UDP", "tcp: listen"),
    (f"{_FAMILY}AF_INET", "PrivateNetwork"): ("tcp: loopback", "tcp: metadata service"),
    (f"{_FAMILY}AF_INET6", "PrivateNetwork"): ("tcp: loopback, IPv6",),
}
#: Which of those calls stand in a set of systemd's.
_IPC = ("memfd_create", "mq_open", "process_vm_readv")
_SERVICE = (
    "io_uring_setup",
    "kcmp",
    "name_to_handle_at",
    "personality",
    "setns",
    "setpriority",
    "unshare",
    "userfaultfd",
)
SETS: dict[str, tuple[str, ...]] = {
    "@aio": ("io_uring_setup",),
    "@debug": ("ptrace",),
    "@ipc": _IPC,
    "@mount": ("chroot", "fsopen", "mount"),
    "@privileged": ("chroot",),
    "@process": ("setns", "unshare"),
    "@resources": ("setpriority",),
    "@system-service": (*_IPC, *_SERVICE),
}
#: Never meant, whatever is opted out of.
_NEVER = ("read: /etc/shadow", "write: own code")

Outcomes = t.Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """`escaped`: got through and should not have; `void`: proves nothing; `meant`: open, as it is configured."""

    stopped: tuple[str, ...]
    escaped: tuple[str, ...]
    void: tuple[str, ...]
    unknown: tuple[str, ...]
    meant: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return bool(self.stopped) and not self.escaped and not self.void

    def __str__(self) -> str:
        said = [f"{len(self.stopped)} attempts were stopped"] if self.passed else []
        for names, what in (
            (self.escaped, "possible in the sandbox"),
            (self.void, "not possible outside either"),
            (self.unknown, "this kernel refuses to everybody"),
            (self.meant, "open as configured"),
        ):
            said += [f"{what}: {', '.join(names)}"] if names else []
        return "; ".join(said) or "no attempt was made"


def few(tree: str, state: str, port: int) -> dict[str, t.Any]:
    """Return the facts for the attempts of level `default`: nothing is prepared on the host, and few are made."""
    return {
        "state": state,
        "code": f"{tree}/venv/pyvenv.cfg",
        "writable": [state],
        "port": port,
        "pid": 1,
        "foreign": {"socket": tree, "setuid": tree, "files": [], "folders": ["/etc"]},
        "only": [
            f"execute: program in {state}",
            "mount: tmpfs",
            "process: trace a sibling",
            "read: /etc/shadow",
            "tcp: loopback",
            "write: ",
        ],
    }


def meant(sandbox: t.Mapping[str, t.Any]) -> t.Callable[[str], bool]:
    """Return what says of an attempt whether it may get through, in a sandbox in the form of a configuration."""
    profile = sandbox["profile"]
    lacking = {word for name in ("opt_out", "unenforced") for item in sandbox.get(name, []) for word in _lacks(item)}
    known = [*OPENS.items(), *ALLOWS.items()]
    opened = [name for missing, names in known if lacking.issuperset(missing) for name in names]
    opened += [f"read: {path}/" for path in sandbox.get("bind_read_only", [])]
    opened += EGRESS if sandbox.get("egress") else ()
    opened += STANDARD if profile in ("standard", "compat") else ()
    opened += COMPAT if profile == "compat" else ()
    if profile != "strict" and "IPAddressDeny" in lacking:
        opened.append("tcp: metadata service")
    # What is there for comparison promises nothing.
    opened += [""] if profile == "talk2018" else []
    return lambda name: name.startswith(tuple(opened)) and name not in _NEVER


def _lacks(item: t.Mapping[str, t.Any]) -> list[str]:
    """Return the directive that an item takes back; of one that stands, what it allows of it: `NAME=word`."""
    words = [word for allowed in item.get("allow") or () for word in (allowed, *SETS.get(allowed, ()))]
    return [f"{item['directive']}={word}" for word in words] or [item["directive"]]


def judge(inside: Outcomes, outside: Outcomes, is_meant: t.Callable[[str], bool]) -> Verdict:
    """Return what the attempts say: `outside` is how the same ones ended without any sandbox."""
    open_ = [name for name, what in inside.items() if what == ALLOWED]
    idle = [name for name in inside if name not in open_ and outside.get(name) != ALLOWED]
    return Verdict(
        stopped=tuple(name for name in inside if name not in (*open_, *idle)),
        escaped=tuple(name for name in open_ if not is_meant(name)),
        void=tuple(name for name in idle if not name.startswith(OF_THE_KERNEL)),
        unknown=tuple(name for name in idle if name.startswith(OF_THE_KERNEL)),
        meant=tuple(name for name in open_ if is_meant(name)),
    )


def log(inside: Outcomes, outside: Outcomes, verdict: Verdict) -> str:
    """Return each attempt with how it ended: what is to be looked at comes last, where a report shows it."""
    bad = (*verdict.void, *verdict.escaped)
    names = [*(name for name in inside if name not in bad), *bad]
    return "\n".join(f"{name}: {inside[name]}; outside: {outside.get(name, 'not tried')}" for name in names)


def controls(user: Outcomes, root: Outcomes) -> dict[str, str]:
    """Return how the attempts end outside: for the app's own user, and for root where only root can."""
    return {name: (root if name in ROOT_ONLY else user)[name] for name in user}
