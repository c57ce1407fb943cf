# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which directive stands behind a refusal, and the smallest option that lets it through. Pure.

A deduction is a guess until a run with it worked; `_release.learn` makes that run. So nothing is guessed where the same
call fails without any sandbox: a file that is not there, a file mode that refuses the user.
"""

from __future__ import annotations

import posixpath
import re
import typing as t
from dataclasses import dataclass, field

from . import directives
from .refusals import Refusal

OPT_OUT, READ_ONLY, EGRESS = "app_sandbox_opt_out", "app_sandbox_bind_read_only", "app_sandbox_egress"
#: Rights that the user of an app has neither in nor outside of the sandbox, by the calls that want them.
_CAPABILITIES = {
    **dict.fromkeys(("chown", "fchown", "fchownat", "lchown"), "CAP_CHOWN"),
    **dict.fromkeys(("setuid", "setresuid", "setreuid", "setfsuid"), "CAP_SETUID"),
    **dict.fromkeys(("setgid", "setresgid", "setregid", "setfsgid", "setgroups"), "CAP_SETGID"),
    **dict.fromkeys(("mount", "umount2", "pivot_root", "sethostname", "swapon", "quotactl"), "CAP_SYS_ADMIN"),
    **dict.fromkeys(("clock_settime", "settimeofday", "adjtimex"), "CAP_SYS_TIME"),
    "bind": "CAP_NET_BIND_SERVICE",
    "chroot": "CAP_SYS_CHROOT",
    "mknod": "CAP_MKNOD",
    "mknodat": "CAP_MKNOD",
    "kill": "CAP_KILL",
    "reboot": "CAP_SYS_BOOT",
}
_FORKS = ("clone", "clone3", "fork", "vfork")
_NUMBERED = re.compile(r"/proc/\d+(/|$)")
_NOT_THERE = ("ENOENT", "EACCES", "EROFS", "EPERM", "ENXIO")


@dataclass(frozen=True)
class Place:
    """A path as the host has it, for the app's user and without any sandbox.

    folder: the nearest one that is there. reads, writes: whether its modes let the user; of what is not there, whether
    it could be made.
    """

    exists: bool = False
    folder: str = "/"
    reads: bool = False
    writes: bool = False


@dataclass(frozen=True)
class Facts:
    """What a deduction knows: what is asked for, which calls the filter lets through, and the host itself."""

    asked: t.Mapping[str, str]
    calls: t.Callable[[str], bool]
    places: t.Mapping[str, Place] = field(default_factory=dict)
    families: t.Container[str] = ()
    abstract: t.Container[str] = ()


@dataclass(frozen=True)
class Remedy:
    """What to set: an option and, of app_sandbox_opt_out, the directive; `allow` are single words or paths."""

    option: str
    directive: str = ""
    allow: tuple[str, ...] = ()

    @property
    def can_be_tried(self) -> bool:
        """Named peers take units of their own: only a release makes those."""
        return self.option in (OPT_OUT, READ_ONLY)

    def lines(self) -> list[str]:
        """Return the lines of a unit that it comes down to."""
        if self.option == READ_ONLY:
            return [f"BindReadOnlyPaths={path}" for path in self.allow]
        return [f"{key}={value}" for key, value in directives.taken_back(self.directive, self.allow)]

    def setting(self) -> t.Any:
        """Return the value of the option, as YAML writes it."""
        if self.option != OPT_OUT:
            return list(self.allow)
        return {"directive": self.directive, **({"allow": list(self.allow)} if self.allow else {})}


@dataclass(frozen=True)
class Need:
    """A refusal with the directive that stands behind it. Without one it is `why` that no option helps."""

    refusal: Refusal
    directive: str = ""
    remedy: Remedy | None = None
    why: str = ""


def deduce(refusals: t.Iterable[Refusal], facts: Facts) -> list[Need]:
    """Return what is worth a word, in the order of the refusals; what fails without a sandbox too is left out."""
    found = (_need(refusal, facts) for refusal in refusals)
    return [need for need in found if need is not None]


def merged(wanted: t.Sequence[Remedy]) -> list[Remedy]:
    """Return remedies without those for reading what another one of them lets be written: systemd keeps one of both."""
    writable = {path for remedy in wanted if remedy.directive == "BindPaths" for path in remedy.allow}
    return [remedy for remedy in wanted if remedy.option != READ_ONLY or not writable & set(remedy.allow)]


def together(wanted: t.Iterable[Remedy]) -> list[Remedy]:
    """Return remedies with what is let through of one directive or option in one."""
    found: dict[tuple[str, str], Remedy] = {}
    for remedy in wanted:
        key = (remedy.option, remedy.directive)
        known = found.get(key, Remedy(*key))
        found[key] = Remedy(*key, (*known.allow, *remedy.allow))
    return list(found.values())


def _need(refusal: Refusal, facts: Facts) -> Need | None:
    for ask in (_socket, _filter, _memory, _privilege, _network, _execution, _file, _limit, _capability):
        need = ask(refusal, facts)
        if need is not None:
            return need
    return None


def _opt_out(refusal: Refusal, directive: str, *allow: str) -> Need:
    return Need(refusal, directive, Remedy(OPT_OUT, directive, allow))


def _is_on(facts: Facts, directive: str) -> bool:
    return facts.asked.get(directive, directives.OPEN[directive]) != directives.OPEN[directive]


def _socket(refusal: Refusal, facts: Facts) -> Need | None:
    """RestrictAddressFamilies= answers so; the kernel as well, of a family that it does not have."""
    if refusal.errno != "EAFNOSUPPORT" or refusal.kind != "family" or refusal.subject not in facts.families:
        return None
    if refusal.subject in ("AF_INET", "AF_INET6") and _is_on(facts, "PrivateNetwork"):
        return Need(refusal, "PrivateNetwork", Remedy(EGRESS), "name its peers over TCP, or take profile standard")
    return _opt_out(refusal, "RestrictAddressFamilies", refusal.subject)


def _filter(refusal: Refusal, facts: Facts) -> Need | None:
    if refusal.errno == "EPERM" and not facts.calls(refusal.call):
        return _opt_out(refusal, "SystemCallFilter", refusal.call)
    return None


def _memory(refusal: Refusal, facts: Facts) -> Need | None:
    if refusal.errno not in ("EPERM", "EACCES") or "PROT_EXEC" not in refusal.flags:
        return None
    of_a_file = refusal.call == "mmap" and refusal.kind == "path" and "PROT_WRITE" not in refusal.flags
    directive = "NoExecPaths" if of_a_file else "MemoryDenyWriteExecute"
    return _opt_out(refusal, directive) if _is_on(facts, directive) else None


def _privilege(refusal: Refusal, facts: Facts) -> Need | None:
    if refusal.errno != "EPERM":
        return None
    if any(flag.startswith("CLONE_NEW") for flag in refusal.flags) or refusal.call == "setns":
        directive = "RestrictNamespaces"
    elif "set-id" in refusal.flags:
        directive = "RestrictSUIDSGID"
    else:
        directive = {"personality": "LockPersonality", "sched_setscheduler": "RestrictRealtime"}.get(refusal.call, "")
    return _opt_out(refusal, directive) if directive and _is_on(facts, directive) else None


def _network(refusal: Refusal, facts: Facts) -> Need | None:
    if refusal.kind == "abstract" and refusal.subject in facts.abstract and _is_on(facts, "PrivateNetwork"):
        return _opt_out(refusal, "PrivateNetwork")
    if refusal.kind != "peer":
        return None
    if refusal.errno in ("ENETUNREACH", "ECONNREFUSED", "EPERM") and _is_on(facts, "PrivateNetwork"):
        why = f"if {refusal.subject} is a peer of the app, name it as the app's settings do"
        return Need(refusal, "PrivateNetwork", Remedy(EGRESS), why)
    return _opt_out(refusal, "IPAddressDeny") if refusal.errno == "EPERM" and _is_on(facts, "IPAddressDeny") else None


def _execution(refusal: Refusal, facts: Facts) -> Need | None:
    runs = refusal.call in ("execve", "execveat") and refusal.errno == "EACCES" and _is_on(facts, "NoExecPaths")
    return _opt_out(refusal, "NoExecPaths") if runs and _below(refusal.subject, facts, "NoExecPaths") else None


def _file(refusal: Refusal, facts: Facts) -> Need | None:
    """A file that the user could use without a sandbox."""
    if refusal.kind not in ("path", "unix") or refusal.errno not in _NOT_THERE or refusal.subject not in facts.places:
        return None
    place = facts.places[refusal.subject]
    writes = refusal.writes or refusal.kind == "unix"
    if not (place.writes if writes else place.exists and place.reads):
        return None
    directive = _whole(refusal, facts)
    if directive:
        return _opt_out(refusal, directive) if _is_on(facts, directive) else None
    return _bound(refusal, place, facts)


def _whole(refusal: Refusal, facts: Facts) -> str:
    """Return the directive that can only be taken back as a whole; empty where single paths can be let in."""
    path = refusal.subject
    if path.startswith(("/dev/", "/proc/", "/sys/")) and not path.startswith("/dev/shm/"):  # noqa: S108 - compared
        return _kernel_file(path, facts, writes=refusal.writes)
    if _below(path, facts, "InaccessiblePaths"):
        return "InaccessiblePaths"
    if path.startswith(("/home/", "/root/", "/run/user/")) and _is_on(facts, "ProtectHome"):
        return "ProtectHome"
    return "PrivateTmp" if path.startswith(("/tmp/", "/var/tmp/")) else ""  # noqa: S108 - compared


def _bound(refusal: Refusal, place: Place, facts: Facts) -> Need | None:
    """A file that is hidden, or on what is read-only in there: single paths can be let in."""
    hidden = _below(refusal.subject, facts, "TemporaryFileSystem") and not _is_shown(refusal.subject, facts)
    directive = "TemporaryFileSystem" if hidden else "ProtectSystem"
    if not hidden and refusal.errno != "EROFS":
        return None
    if refusal.writes:
        return Need(refusal, directive, Remedy(OPT_OUT, "BindPaths", (place.folder,)))
    if not hidden:
        return None
    # Whoever listens at a socket may make it anew; its folder stays.
    path = posixpath.dirname(refusal.subject) if refusal.kind == "unix" else refusal.subject
    return Need(refusal, directive, Remedy(READ_ONLY, allow=(path,)))


def _kernel_file(path: str, facts: Facts, *, writes: bool) -> str:
    """Return the directive that rules a file of the kernel's own."""
    if path.startswith("/dev/"):
        return "PrivateDevices" if _is_on(facts, "PrivateDevices") else "DevicePolicy"
    if path.startswith("/sys/fs/cgroup/"):
        return "ProtectControlGroups"
    if path.startswith("/sys/") or writes:
        return "ProtectKernelTunables"
    return "ProtectProc" if _NUMBERED.match(path) else "ProcSubset"


def _below(path: str, facts: Facts, directive: str) -> bool:
    """Say whether a path is one of a directive's places or below it."""
    words = [word.lstrip("-+").partition(":")[0] for word in facts.asked.get(directive, "").split()]
    return _is_in(path, words)


def _is_shown(path: str, facts: Facts) -> bool:
    """Say whether a path is shown although what is around it is hidden."""
    own = [f"/var/lib/{word.partition(':')[0]}" for word in facts.asked.get("StateDirectory", "").split()]
    return _is_in(path, own) or _below(path, facts, "BindReadOnlyPaths") or _below(path, facts, "BindPaths")


def _is_in(path: str, folders: t.Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _limit(refusal: Refusal, _facts: Facts) -> Need | None:
    if refusal.call in _FORKS and refusal.errno == "EAGAIN":
        return Need(refusal, "TasksMax", Remedy("app_sandbox_tasks_max"), "more processes and threads than that")
    if refusal.errno == "EMFILE":
        return Need(refusal, "LimitNOFILE", Remedy("app_sandbox_nofile"), "more open files than that")
    return None


def _capability(refusal: Refusal, _facts: Facts) -> Need | None:
    name = _CAPABILITIES.get(refusal.call)
    if name and refusal.errno in ("EPERM", "EACCES"):
        return Need(
            refusal, "CapabilityBoundingSet", None, f"{name} is no right of the app's user, in or out of a sandbox"
        )
    return None


def filter_sets(text: str) -> dict[str, list[str]]:
    """Return the members of each set of `systemd-analyze syscall-filter`."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        word = line.strip()
        if line.startswith("@"):
            current = found.setdefault(word, [])
        elif word and not word.startswith("#") and line.startswith(" "):
            current.append(word)
    return found


def passes(texts: t.Iterable[str], sets: t.Mapping[str, t.Sequence[str]]) -> t.Callable[[str], bool]:
    """Return whether the SystemCallFilter= lines of unit texts let a call through (systemd.exec(5))."""
    listed: set[str] = set()
    allows: bool | None = None
    for value in (value for text in texts for key, value in directives.assignments(text) if key == "SystemCallFilter"):
        inverted = value.startswith("~")
        members = set(_members(value.lstrip("~").split(), sets))
        if not value:
            listed, allows = set(), None
        elif allows is None:
            allows = not inverted
            listed = members | (set(_members(["@default"], sets)) if allows else set())
        elif inverted is allows:
            listed -= members
        else:
            listed |= members
    return lambda call: allows is None or (call in listed) is allows


def _members(words: t.Iterable[str], sets: t.Mapping[str, t.Sequence[str]]) -> t.Iterator[str]:
    for word in (word.partition(":")[0] for word in words):
        if word.startswith("@"):
            yield from _members(sets.get(word, ()), sets)
        else:
            yield word
