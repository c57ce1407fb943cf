# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`containerless learn APP`: what of a sandbox stands in an app's way, and the smallest opt-out that it works with.

A process of a release, or a command, runs in the very sandbox of that release, as a transient unit of an activation of
its own: beside what is live, with a socket, a network and files of secrets of its own. strace(1) watches from outside.
What it was refused is traced back to a directive (`_sandbox.remedies`); then it runs again without that until it works,
and again without each single opt-out: what is named in the end was needed, and was enough.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import time
import typing as t
from dataclasses import dataclass, field, replace

from .._core.errors import ContainerlessError
from .._core.names import MAX_ACTIVATION, PREFIX, Layout
from .._sandbox import directives, refusals, remedies
from . import evidence, files, health, processes, transient
from .activations import Activations
from .journal import Ref
from .state import State, Stored
from .systemd import Systemd

if t.TYPE_CHECKING:
    from .._artifact.processes import Process

_PYTHON = "/usr/bin/python3"
#: More walls than that one after the other are no app for this profile.
_ROUNDS = 8
#: Seconds for its end after it was asked to end.
_STOP = 10
#: Lines of output that are shown of a run that did not work.
_SAID = 20
#: What starts it again or names sockets: a run happens once.
_LEFT_OUT = ("Restart", "RestartSec", "RestartSteps", "RestartMaxDelaySec", "Sockets", "TimeoutStopSec")
#: Waits until somebody traces it, makes its socket and becomes the program: not one call of that is missed.
_LAUNCHER = """
import os, socket, sys, time
def traced():
    with open("/proc/self/status") as lines:
        return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in lines)
while not traced():
    time.sleep(0.01)
if sys.argv[1]:
    own = socket.socket(socket.AF_UNIX)
    own.bind(sys.argv[1])
    own.listen(64)
    os.dup2(own.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class Asked:
    """What to learn from. `seconds`: how long a process has to stay up, or a command may take."""

    process: str = processes.WEB
    command: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    seconds: int = 20
    release: str = ""


@dataclass(frozen=True)
class Seen:
    """What one run came to."""

    works: bool
    why: str = ""
    needs: tuple[remedies.Need, ...] = ()
    said: str = ""


#: Runs it once, with these taken back.
Try = t.Callable[[t.Sequence[remedies.Remedy]], Seen]


@dataclass
class Learned:
    """What is known in the end. `smallest` counts only where it works with it."""

    first: Seen
    last: Seen
    smallest: list[remedies.Remedy] = field(default_factory=list)
    needs: list[remedies.Need] = field(default_factory=list)
    runs: int = 0


def search(attempt: Try) -> Learned:
    """Run it until it works or nothing of the sandbox is left to blame, then take away what it does not need."""
    first = seen = attempt([])
    found = Learned(first, first, needs=list(first.needs), runs=1)
    opened: list[remedies.Remedy] = []
    while not seen.works and found.runs < _ROUNDS:
        wanted = [need.remedy for need in seen.needs if need.remedy and need.remedy.can_be_tried]
        more = [remedy for remedy in dict.fromkeys(wanted) if remedy not in opened]
        if not more:
            break
        opened = remedies.merged([*opened, *more])
        seen = attempt(opened)
        found.runs += 1
        found.needs += [need for need in seen.needs if need not in found.needs]
    found.last = seen
    if seen.works:
        found.smallest = _smallest(attempt, opened, found)
    return found


def _smallest(attempt: Try, opened: list[remedies.Remedy], found: Learned) -> list[remedies.Remedy]:
    kept = list(opened)
    for remedy in reversed(opened if len(opened) > 1 else []):
        fewer = [other for other in kept if other != remedy]
        found.runs += 1
        if attempt(fewer).works:
            kept = fewer
    return kept


def report(asked: Asked, release: str, found: Learned) -> dict[str, t.Any]:
    """Return what is said of it: plain data."""
    return {
        "process": asked.process,
        "command": list(asked.command),
        "release": release,
        "works": found.first.works,
        "works_with": [{"option": item.option, "value": item.setting()} for item in remedies.together(found.smallest)],
        "explained": found.last.works,
        "why": found.first.why,
        "said": [] if found.first.works else (found.first if found.last.works else found.last).said.splitlines(),
        "refused": [_refused(need, found) for need in found.needs],
        "runs": found.runs,
    }


def _refused(need: remedies.Need, found: Learned) -> dict[str, t.Any]:
    refusal, remedy = need.refusal, need.remedy
    return {
        "process": refusal.process,
        "call": refusal.call,
        "subject": refusal.subject,
        "errno": refusal.errno,
        "directive": need.directive,
        "option": remedy.option if remedy else "",
        "value": remedy.setting() if remedy else "",
        "needed": found.last.works and remedy in found.smallest,
        "why": need.why,
    }


class _Host:
    """The runs on this host, in an activation that is never live."""

    def __init__(
        self, layout: Layout, systemd: Systemd, asked: Asked, stored: Stored, secrets: t.Sequence[str]
    ) -> None:
        self.layout, self.systemd, self.asked, self.stored, self.secrets = layout, systemd, asked, stored, secrets
        self.activations = Activations(layout, systemd)
        self.ref = Ref(MAX_ACTIVATION, stored.release_id, stored.content_id)
        self.sets = remedies.filter_sets(systemd.run(["systemd-analyze", "syscall-filter"])[1])
        unit = layout.template_unit(asked.process)
        units = State(layout).units(stored.release_id)
        self.texts = [units[unit], units[f"{unit}.d/50-sandbox.conf"]]
        self.tree = layout.tree(stored.content_id)
        self.listens = not asked.command and asked.process == processes.WEB
        process = self._process()
        self.argv = process.argv
        # Where a server that can't inherit a socket makes its own, as its unit tells it.
        self.own = _variable(self.texts, process.binds, self.ref.activation) if process.binds else ""

    def _process(self) -> Process:
        from .._artifact import processes as commands

        known = {item["name"]: item["version"] for item in self.stored.manifest["distributions"]}
        if self.asked.command:
            return commands.command("command", list(self.asked.command), distributions={}, tree=self.tree)
        argv = self.stored.manifest["processes"][self.asked.process]
        return commands.command(self.asked.process, argv, distributions=known, tree=self.tree)

    def attempt(self, opened: t.Sequence[remedies.Remedy]) -> Seen:
        """Run it once."""
        name = f"{PREFIX}-{self.layout.app}-learn-{os.urandom(8).hex()}"
        unit, inherits = f"{name}.service", self.listens and not self.own
        place = f"/tmp/{name}.sock" if inherits else ""  # noqa: S108 - of the unit's own
        lines = [line for remedy in opened for line in remedy.lines()]
        texts = [*self.texts, "[Service]\n" + "\n".join(lines)]
        rc, _out, err = self.systemd.run(self._told(unit, texts, place))
        if rc != 0:
            return Seen(False, "it could not be started", said=self._said(unit) or evidence.mask(err, self.secrets))
        trace = f"{self.layout.activation_run(self.ref.activation)}/{name}.trace"
        try:
            pid = int(self.systemd.run(["systemctl", "show", "-p", "MainPID", "--value", unit])[1].strip() or 0)
            with _traced(pid, trace):
                why = self._watch(pid, self.own or f"/proc/{pid}/root{place}")
                self.systemd.stop(unit)
            read = (files.read(trace) or b"").decode("utf-8", "replace").splitlines()
        finally:
            self.systemd.stop(unit)
            # The folder of a socket of its own outlasts a run.
            for path in (trace, place, self.own):
                if path:
                    files.remove(path)
        why = why or self._verdict(refusals.ended(read, pid))
        return Seen(not why, why, tuple(self._needs(read, texts)), self._said(unit) if why else "")

    def _said(self, unit: str) -> str:
        """Return the last lines of a run, without those of systemd about it."""
        masked = str(evidence.mask(self.systemd.journal(unit, 2 * _SAID), self.secrets))
        return "\n".join([line for line in masked.splitlines() if unit not in line][-_SAID:])

    def _told(self, unit: str, texts: t.Sequence[str], place: str) -> list[str]:
        kept = [_without(text, _LEFT_OUT) for text in texts]
        told = ["systemd-run", "--quiet", "--collect", "--service-type=exec", f"--unit={unit}"]
        told += [f"--description={self.layout.app}, a look at what its sandbox refuses"]
        told += [f"--property={line}" for line in transient.properties(kept, self.ref.activation)]
        # Whatever becomes of us, it does not stay.
        limit = self.asked.seconds + int(self.stored.config["health"]["timeout"]) + 60
        told += [f"--property=TimeoutStopSec={_STOP}", f"--property=RuntimeMaxSec={limit}"]
        argv = [_PYTHON, "-IS", "-c", _LAUNCHER, place, *self.argv]
        return [*told, "--", *(word.replace("$", "$$") for word in argv)]

    def _watch(self, pid: int, path: str) -> str:
        """Return why it does not work, as far as that shows while it runs, and at its socket where it listens."""
        if self.listens:
            try:
                self._ask(path, pid)
            except ContainerlessError as exc:
                return str(exc)
        deadline = time.monotonic() + self.asked.seconds
        while _is_there(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.asked.command and _is_there(pid):
            return f"it did not end within {self.asked.seconds} s"
        return "" if self.asked.command or _is_there(pid) else "it ended by itself"

    def _ask(self, path: str, pid: int) -> None:
        check = self.activations.check(self.stored)
        health.gate(path, check, lambda: "" if _is_there(pid) else "it ended before it answered")
        good = replace(check, body="", headers={}, status=tuple(range(200, 400)))
        for asked in self.asked.paths:
            why = health.ask(path, replace(good, path=asked)).verdict(good)
            if why:
                raise ContainerlessError(f"{asked}: {why}")

    def _verdict(self, ended: str) -> str:
        return f"it ended with {ended or 'nobody knows what'}" if self.asked.command and ended != "0" else ""

    def _needs(self, trace: t.Sequence[str], texts: t.Sequence[str]) -> list[remedies.Need]:
        found = refusals.read(trace)
        paths = [item.subject for item in found if item.kind in ("path", "unix") and item.subject.startswith("/")]
        facts = remedies.Facts(
            asked=directives.asked(texts),
            calls=remedies.passes(texts, self.sets),
            places=places(directives.asked(texts)["User"], sorted(set(paths))),
            families=[name for name in {item.subject for item in found if item.kind == "family"} if _is_family(name)],
            abstract=_abstract_sockets(),
        )
        return remedies.deduce(found, facts)


def _variable(texts: t.Iterable[str], name: str, activation: int) -> str:
    """Return the last value of a variable that unit texts give to their process; ours are plain, without quotes."""
    given = [value for text in texts for key, value in directives.assignments(text) if key == "Environment"]
    found = [value.partition("=")[2] for value in given if value.startswith(f"{name}=")]
    return transient.filled_in(found[-1], activation) if found else ""


def _without(text: str, keys: t.Container[str]) -> str:
    return "\n".join(line for line in text.split("\n") if line.partition("=")[0].strip() not in keys)


@contextlib.contextmanager
def _traced(pid: int, trace: str) -> t.Iterator[None]:
    """Have strace watch a process and what it starts. Raises when it may not."""
    files.write(trace, b"", 0o600)
    told = ["strace", "-f", "-q", "-Y", "-y", "-s", "256", "-e", "status=failed", "-e", "signal=none", "-o", trace]
    tracer = subprocess.Popen(
        [*told, "-p", str(pid)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield
        with contextlib.suppress(subprocess.TimeoutExpired):
            tracer.wait(_STOP)
    finally:
        tracer.terminate()
        said = tracer.communicate()[1].strip()
    if not os.path.getsize(trace) and said:
        raise ContainerlessError(f"strace could not watch it: {said.splitlines()[-1]}")


def _is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _is_family(name: str) -> bool:
    """Say whether this host has a family of sockets: without a sandbox, the kernel's answer."""
    number = getattr(socket, name, None)
    if number is None:
        return True  # nobody knows better than the one that asked for it
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        with contextlib.suppress(OSError):
            socket.socket(number, kind).close()
            return True
    return False


def _abstract_sockets() -> list[str]:
    """Return the names of the host's abstract sockets (unix(7))."""
    lines = (files.read("/proc/net/unix") or b"").decode("utf-8", "replace").splitlines()
    return [line.rpartition(" @")[2] for line in lines if " @" in line]


def places(user: str, paths: t.Sequence[str]) -> dict[str, remedies.Place]:
    """Return what a user may do with paths of the host outside of any sandbox. Needs root."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            known = pwd.getpwnam(user)
            os.initgroups(user, known.pw_gid)
            os.setgid(known.pw_gid)
            os.setuid(known.pw_uid)
            with os.fdopen(writer, "w") as stream:
                json.dump([_place(path) for path in paths], stream)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return {path: remedies.Place(*seen) for path, seen in zip(paths, json.loads(text or "[]"))}


def _place(path: str) -> tuple[bool, str, bool, bool]:
    exists = os.path.exists(path)
    folder = path
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    target = path if exists else folder
    writes = os.access(target, os.W_OK) and (exists or folder == os.path.dirname(path))
    return exists, folder, os.access(path, os.R_OK), writes


def run(layout: Layout, systemd: Systemd, asked: Asked, secrets: t.Mapping[str, str]) -> dict[str, t.Any]:
    """Learn from a release of this host, by default the live one, else the newest. Raises ContainerlessError."""
    state = State.read(layout)
    stored = _stored(state, asked)
    values = {**state.secrets_of(stored, secrets), **secrets}
    missing = [name for name in stored.config["secrets"] if name not in values]
    if missing:
        raise ContainerlessError(f"app_release_secrets has no value for {', '.join(missing)}")
    if not shutil.which("strace"):
        raise ContainerlessError("strace is not on this host, and it is what watches the app: apt install strace")
    ref = Ref(MAX_ACTIVATION, stored.release_id, stored.content_id)
    with files.lock(f"{layout.run}/learn.lock", "another look at the sandbox", 0):
        host = _Host(layout, systemd, asked, stored, list(values.values()))
        try:
            systemd.uninstall(ref.activation)  # what a run left that was killed
            host.activations.instantiate(state, stored, ref, dict(secrets))
            return report(asked, stored.release_id, search(host.attempt))
        except FileNotFoundError:
            if os.path.isdir(layout.activation_run(ref.activation)):
                raise
            raise ContainerlessError(f"a release of {layout.app} began meanwhile and ended this; learn again") from None
        finally:
            systemd.uninstall(ref.activation)


def _stored(state: State, asked: Asked) -> Stored:
    app = state.layout.app
    if state.journal is not None:
        raise ContainerlessError(f"a release of {app} is under way on this host; learn when it is over")
    last = state.active or (state.entries[-1] if state.entries else None)
    release = asked.release or (last.release if last else "")
    stored = state.stored(release) if release else None
    if stored is None or not os.path.isdir(state.layout.tree(stored.content_id)):
        raise ContainerlessError(f"{release or 'no release'} of {app} is on this host; `{PREFIX} history {app}` tells")
    known = processes.running(stored.manifest, {**stored.config, "scale": {}})
    if asked.process not in known:
        raise ContainerlessError(f"{asked.process!r} is no process of {release}; its processes are {', '.join(known)}")
    if asked.process not in processes.running(stored.manifest, stored.config):
        raise ContainerlessError(
            f"process {asked.process} has no unit in {release}, whose app_release_scale says {asked.process}: 0"
        )
    return stored


def asked(process: str, command: str | t.Sequence[str], paths: t.Sequence[str], seconds: int, release: str) -> Asked:
    """Return a checked question; a command in one text is split by the rules of a Procfile."""
    from .._artifact import procfile

    if seconds < 1:
        raise ContainerlessError(f"seconds is {seconds}; it must be at least 1")
    for path in paths:
        if not path.startswith("/"):
            raise ContainerlessError(f"the path {path!r} must start with /")
    words = procfile.command(command, "app_release_env") if isinstance(command, str) and command else command
    return Asked(process, tuple(words), tuple(paths), seconds, release)
