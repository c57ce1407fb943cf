# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done to activations: units written, started, asked, watched, published, stopped and forgotten."""

from __future__ import annotations

import json
import os
import time
import typing as t

from .._core.errors import ContainerlessError
from .._core.names import ENVIRONMENT_NAME, Layout
from . import database, deadman, files, health, listen, processes
from .journal import Ref
from .state import State, Stored
from .systemd import Systemd, UnitState

if t.TYPE_CHECKING:
    from .watch import Rate

WEB = "web"
#: A web process that ended this often during the health gate is not waited for any longer.
_HOPELESS = 3
#: Seconds that the answer to the last request in a queue may take while the queue is emptied.
_QUEUE = 10.0
#: Seconds in which systemd opens a socket that it was told to; after them it is asked why it did not.
_SOCKET = 2.0


class Activations:
    """Verbs over the activations of one app. They know nothing of journal and ledger."""

    def __init__(self, layout: Layout, systemd: Systemd) -> None:
        self.layout = layout
        self.systemd = systemd

    # Written, and read as systemd does.

    def instantiate(self, state: State, stored: Stored, ref: Ref, secrets: dict[str, str] | None = None) -> None:
        """Write units and secrets of a release for an activation, below /run; `secrets` come before the live ones."""
        run = self.layout.activation_run(ref.activation)
        files.directory(self.layout.run)
        files.directory(run)
        self._write_secrets(stored, ref, {**state.secrets_of(stored, secrets or {}), **(secrets or {})})
        self.systemd.install(state.units(stored.release_id), ref.activation)

    def secrets(self, ref: Ref) -> dict[str, str]:
        """Return the secrets that an activation was given as files; none after a reboot."""
        folder = self.layout.activation_secrets(ref.activation)
        return files.read_folder(folder, ENVIRONMENT_NAME)

    def _write_secrets(self, stored: Stored, ref: Ref, values: dict[str, str]) -> None:
        folder = self.layout.activation_secrets(ref.activation)
        files.directory(folder, 0o700)
        names = stored.config["secrets"]
        for name in names:
            files.write(f"{folder}/{name}", values[name].encode(), 0o600)
        if stored.config["secrets_as"] == "env":
            text = "".join(f"{name}={env_quote(values[name])}\n" for name in names)
            files.write(f"{self.layout.activation_run(ref.activation)}/secrets.env", text.encode(), 0o600)

    def verify(self, stored: Stored, ref: Ref) -> dict[str, float]:
        """Have systemd check the units as it reads them; return each process's exposure.

        Raises above the limit, and where this host does not hold what the sandbox asks for.
        """
        from . import confinement, exposure  # a way back, whose release was looked at before, needs none of it

        names = self.systemd.installed(ref.activation)
        paths = [os.path.join(self.layout.units, name) for name in names]
        judge = exposure.begin_verify(self.systemd.run_beside, paths)
        parts = sorted({process for process, _instance in stored.instances})
        units = [self.layout.unit(process, ref.activation) for process in parts]
        try:
            figures = exposure.gate_all(self.systemd.run, units, stored.config["max_exposure"])
        finally:
            judge()  # a line that systemd ignores is the better reason
        confinement.gate(self.systemd.run, self.layout, stored.config, ref.activation)
        return {process: tenths / 10 for process, tenths in zip(parts, figures)}

    # The database, from within the sandbox.

    def compare(self, stored: Stored, ref: Ref) -> tuple[database.Comparison | None, list[str]]:
        """Compare the release's migrations with what its default database has applied; None without migrations.

        Also returns a sentence for each peer of the project's settings that the sandbox does not let through.
        """
        return self._compare(stored, ref) if stored.migrations else (None, [])

    def compare_settings(self, stored: Stored, ref: Ref) -> tuple[database.Comparison | None, list[str]]:
        """Do the same, and read the settings of a project without migrations too; nothing of those is a refusal."""
        if stored.migrations or not stored.manifest["django"]:
            return self.compare(stored, ref)
        try:
            return None, self._compare(stored, ref)[1]
        except ContainerlessError as exc:
            return None, [f"the settings were not compared with the sandbox: {exc}"]

    def _compare(self, stored: Stored, ref: Ref) -> tuple[database.Comparison, list[str]]:
        answer = self.layout.activation_answer(ref.activation)
        files.remove(answer)
        failed = ""
        try:
            self._task(ref, "applied", "reading the applied migrations")
        except ContainerlessError as exc:
            failed = str(exc)
        try:
            said = json.loads(files.read(answer) or b"")
        except ValueError:
            raise ContainerlessError(
                failed or "reading the applied migrations gave no answer; see the journal of its unit"
            ) from None
        from . import peers

        unreachable = peers.unreachable(said["peers"], stored.config["sandbox"], self.layout.data)
        if stored.migrations and "default" in said["errors"]:
            raise ContainerlessError(
                "; ".join([f"the database does not answer: {said['errors']['default']}", *unreachable])
            )
        applied = [(app, name) for alias, app, name in said["applied"] if alias == "default"]
        return database.compare(stored.migrations, applied), unreachable

    def migrate(self, ref: Ref) -> None:
        """Run the pending migrations in the sandbox. Raises with the last lines of their output."""
        self._task(ref, "migrate", "the migration")

    def _task(self, ref: Ref, task: str, what: str) -> None:
        unit = self.layout.task(task, ref.activation)
        try:
            self.systemd.start(unit)
        except ContainerlessError:
            raise ContainerlessError(
                f"{what} failed: {self.systemd.journal(unit, 20) or 'its journal is empty'}"
            ) from None

    # Started, and asked.

    def start(self, stored: Stored, ref: Ref) -> None:
        """Start the processes behind a socket that is open when this returns; nothing waits for them here."""
        self.systemd.end(self.layout.gate)
        self.open_socket(ref)
        self.begin(stored, ref)

    def begin(self, stored: Stored, ref: Ref) -> None:
        """Start an activation in one call, for `healthy`, which waits for its socket too."""
        self.begin_web(stored, ref, *self._others(stored, ref))

    def begin_web(self, stored: Stored, ref: Ref, *others: str) -> None:
        self.systemd.end(self.layout.gate)
        webs = [unit for process, unit in self._processes(stored, ref) if process == WEB]
        self.systemd.start(self.layout.unit(WEB, ref.activation, "socket"), *webs, *others, block=False)

    def begin_others(self, stored: Stored, ref: Ref) -> None:
        self.systemd.start(*self._others(stored, ref), block=False)

    def _others(self, stored: Stored, ref: Ref) -> list[str]:
        return [unit for process, unit in self._processes(stored, ref) if process != WEB]

    def open_socket(self, ref: Ref) -> None:
        """Let requests wait at the private socket."""
        self.systemd.start(self.layout.unit(WEB, ref.activation, "socket"))

    def _wait_for_socket(self, ref: Ref) -> None:
        """Wait for the private socket that systemd was told to open. Raises with its words where it does not."""
        deadline = time.monotonic() + _SOCKET
        while not os.path.exists(self.layout.activation_socket(ref.activation)):
            if time.monotonic() >= deadline:
                self.open_socket(ref)
                return
            time.sleep(0.002)

    def _processes(self, stored: Stored, ref: Ref) -> list[tuple[str, str]]:
        return [(name, self.layout.unit(name, ref.activation, instance=number)) for name, number in stored.instances]

    def states(self, stored: Stored, ref: Ref) -> dict[str, UnitState]:
        """Return the state of every process by its unit, and of what a server has in front of it."""
        return self.systemd.show_all([*(unit for _process, unit in self._processes(stored, ref)), *self._proxies(ref)])

    def _proxies(self, ref: Ref) -> list[str]:
        """Return what leads from the socket of a release to one that its server makes; most releases have none."""
        return [name for name in self._installed(ref, "service") if name_of(name).startswith(f"{WEB}.proxy")]

    def check(self, stored: Stored) -> health.Check:
        """Return what a good answer of a release is."""
        spec = dict(stored.config["health"])
        for other in ("stay_up", "commands"):
            spec.pop(other, None)
        return health.Check(**{**spec, "status": tuple(spec["status"]), "release": stored.release_id})

    def healthy(self, stored: Stored, ref: Ref) -> health.Answer:
        """Wait for good answers on the private socket, for the other processes to stay up, and for their commands."""
        self._wait_for_socket(ref)
        answer = health.gate(
            self.layout.activation_socket(ref.activation), self.check(stored), lambda: self._hopeless(stored, ref)
        )
        # The one of another instance may still wait for its server.
        self._stay_up(self._proxies(ref), 0.0)
        settle = float(stored.config["health"]["stay_up"])
        self._stay_up(self._others(stored, ref), settle)
        for process in sorted(processes.commands(stored.manifest, stored.config)):
            self._task(ref, f"healthy_{process}", f"the health command of process {process}")
        return answer

    def _hopeless(self, stored: Stored, ref: Ref) -> str:
        webs = [unit for process, unit in self._processes(stored, ref) if process == WEB]
        for shown in self.systemd.show_all(webs).values():
            if shown.active == "failed" or shown.restarts >= _HOPELESS:
                return f"the web process ended {shown.restarts + 1} times ({shown.result})"
        return ""

    def _stay_up(self, units: list[str], settle: float) -> None:
        deadline = time.monotonic() + settle + 30
        waiting, pause = list(units), 0.02
        while waiting:
            for unit, shown in self.systemd.show_all(waiting).items():
                if shown.restarts > 0 or shown.active == "failed":
                    raise ContainerlessError(f"process {name_of(unit)} does not stay up ({shown.result})")
                if shown.is_up and time.monotonic() - shown.since >= settle:
                    waiting.remove(unit)
            if waiting and time.monotonic() >= deadline:
                raise ContainerlessError(f"process {name_of(waiting[0])} did not come up")
            time.sleep(pause if waiting else 0)
            pause = min(pause * 1.5, 0.2)

    def watch(self, stored: Stored, ref: Ref, seconds: float, percent: int) -> Rate:
        """Look at a release after the flip. Raises HealthError when it ends or answers badly."""
        from . import watch

        check, path = self.check(stored), self.layout.activation_socket(ref.activation)

        def ask() -> tuple[health.Answer, str]:
            answer = health.ask(path, check)
            return answer, answer.verdict(check)

        def ended() -> str:
            for unit, shown in self.states(stored, ref).items():
                if not shown.is_up or shown.restarts > 0:
                    return f"process {name_of(unit)} ended after the flip ({shown.result})"
            return ""

        return watch.watch(seconds, percent, ask, ended)

    # Led to.

    def publish(self, active: Ref | None, previous: Ref | None = None) -> None:
        """Make web.sock, previous.sock and current follow `active`; they can be rebuilt from it at any time."""
        if active is None:
            for path in (self.layout.web_socket, self.layout.previous_socket, self.layout.current):
                files.remove(path)
            return
        files.directory(self.layout.run)
        self._lead(active, previous or active)
        if os.path.isdir(self.layout.srv):  # for people only: a file system that is not there stands in nobody's way
            files.link(f"trees/{active.content_id}", self.layout.current)

    def hold(self, stored: Stored, origin: Ref, target: Ref) -> None:
        """Let new requests wait at the target's socket, and stop the origin when it has answered what it took.

        A request that comes to a socket starts its service; behind the gate that waits for `start`.
        """
        self.systemd.begin(self.layout.gate, f"{self.layout.app}: requests wait")
        self.open_socket(target)
        self._lead(target, target)
        self._empty_queue(stored, origin)
        self.stop(origin)

    def _lead(self, ref: Ref, backup: Ref) -> None:
        """Let new requests go to an activation's socket, and those of a proxy's backup to another's."""
        files.link(f"{ref.activation}/web.sock", self.layout.web_socket)
        files.link(f"{backup.activation}/web.sock", self.layout.previous_socket)

    def follow(self, state: State, active: Ref | None, *over: str) -> None:
        """Have timers and the TCP socket of `active`, and of nothing else; units that are `over` are stopped too."""
        stored = state.stored(active.release) if active else None
        wanted = []
        if active is not None and stored is not None and state.host_options()["timers"]:
            wanted = [self.layout.timer(name, active.activation) for name in stored.timers]
        others = [name for name in self.systemd.installed() if name.endswith(".timer") and name not in wanted]
        self.systemd.stop(*over, *others)
        if wanted:
            self.systemd.start(*wanted)
        listen.follow(self.layout, self.systemd, state.units(active.release) if active else {})

    # Stopped.

    def _empty_queue(self, stored: Stored, ref: Ref) -> None:
        """Wait until a release has taken every request that waits at its socket: the last one is our own."""
        health.ask(self.layout.activation_socket(ref.activation), self.check(stored), _QUEUE)

    def stop(self, ref: Ref) -> None:
        """Stop an activation and wait; its units stay, so that it can be started again.

        In one call, so that no socket starts its service again.
        """
        self.systemd.stop(*self._installed(ref, "timer"), *self._installed(ref, "socket"), *self._long_running(ref))

    def kill_web(self, ref: Ref) -> None:
        """End the web process of an activation that no request was led to: nobody waits for its last answers."""
        names = [name for name in self._long_running(ref) if name_of(name).split(".")[0] == WEB]
        if names:
            self.systemd.kill(*names)

    def drain(self, ref: Ref, seconds: float) -> None:
        """Let web answer on for `seconds` while nobody waits for it; the other processes begin to end now."""
        self.begin_drain(ref, seconds)()

    def begin_drain(self, ref: Ref, seconds: float) -> t.Callable[[], None]:
        """Begin to drain; return what waits until whatever ends it is told."""
        put_off = deadman.drain(self.layout, self.systemd, ref.activation, seconds)
        if seconds > 0:  # else all of it ends at once
            others = [name for name in self._long_running(ref) if name_of(name).split(".")[0] != WEB]
            self.systemd.stop(*others, block=False)
        return put_off

    def end(self, activation: int) -> None:
        """End a drained activation: every process within its own stop_timeout; a timer's run comes to its own end."""
        ref = Ref(activation, "", "")
        if self.layout.activation_socket(activation) == self._led(self.layout.previous_socket):
            files.link(os.path.relpath(self._led(self.layout.web_socket), self.layout.run), self.layout.previous_socket)
        self.stop(ref)
        runs = [name for name in self._installed(ref, "service") if "-timer." in name]
        while any(shown.active in ("active", "activating") for shown in self.systemd.show_all(runs).values()):
            time.sleep(1.0)
        self.systemd.uninstall(activation)

    def _led(self, link: str) -> str:
        return os.path.join(self.layout.run, os.readlink(link)) if os.path.islink(link) else ""

    def tidy(self, *keep: Ref | None) -> None:
        """Stop and remove the units of every activation that is neither kept nor draining."""
        kept = {ref.activation for ref in keep if ref is not None}
        for number in self.systemd.activations():
            if number not in kept and not deadman.is_draining(self.layout, self.systemd, number):
                self.systemd.uninstall(number)

    def journal(self, ref: Ref) -> dict[str, str]:
        """Return the last lines of each service of an activation that logged anything."""
        found = {name: self.systemd.journal(name) for name in self._installed(ref, "service")}
        return {name: text for name, text in found.items() if text}

    def _installed(self, ref: Ref, kind: str) -> list[str]:
        return [name for name in self.systemd.installed(ref.activation) if name.endswith(f".{kind}")]

    def _long_running(self, ref: Ref) -> list[str]:
        """Return the services that run as long as a release: neither tasks nor what a timer starts.

        Nor its network, which ends with the last of those that need it.
        """
        others = ("-task.", "-timer.", "-egress.")
        return [name for name in self._installed(ref, "service") if not any(kind in name for kind in others)]


def name_of(unit: str) -> str:
    """Return the process of a unit for a sentence: `worker`, `worker.2`."""
    return unit.split("@", maxsplit=1)[0].rpartition("-")[2]


def env_quote(value: str) -> str:
    """Quote a value for EnvironmentFile= (systemd.exec(5)): double quotes, backslash escapes."""
    escaped = value
    for special in ("\\", '"', "$", "`"):
        escaped = escaped.replace(special, "\\" + special)
    return f'"{escaped}"'
