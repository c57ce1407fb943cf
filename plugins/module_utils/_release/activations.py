# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done to activations: units written, started, asked, published, drained and forgotten."""

from __future__ import annotations

import json
import os
import time

from .._core.errors import ContainerlessError
from .._core.names import ENVIRONMENT_NAME, Layout
from . import database, exposure, files, health
from .journal import Ref
from .state import State, Stored
from .systemd import Systemd

WEB = "web"
#: A web process that ended this often during the health gate is not waited for any longer.
_HOPELESS = 3


class Activations:
    """Verbs over the activations of one app. They know nothing of journal and ledger."""

    def __init__(self, layout: Layout, systemd: Systemd) -> None:
        self.layout = layout
        self.systemd = systemd

    def instantiate(self, state: State, stored: Stored, ref: Ref, secrets: dict[str, str] | None = None) -> None:
        """Write units and secrets of a release for an activation, below /run; `secrets` come before the live ones."""
        run = self.layout.activation_run(ref.activation)
        files.directory(self.layout.run)
        files.directory(run)
        self._write_secrets(stored, ref, {**state.secrets(), **(secrets or {})})
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
        """Have systemd check the units as it reads them; return each process's exposure. Raises above the limit."""
        names = [name for name in self.systemd.installed(ref.activation) if name.endswith(".service")]
        exposure.verify(self.systemd.run, [os.path.join(self.layout.units, name) for name in names])
        scores: dict[str, float] = {}
        for name in stored.processes:
            measured = exposure.measure(self.systemd.run, self.layout.unit(name, ref.activation))
            exposure.gate(measured, stored.config["max_exposure"])
            scores[name] = measured.tenths / 10
        return scores

    def start(self, stored: Stored, ref: Ref, *, workers: bool) -> None:
        """Start the private socket and the processes; nothing waits for them here."""
        self.systemd.start(self.layout.unit(WEB, ref.activation, "socket"))
        names = stored.processes if workers else [WEB]
        self.systemd.start(*[self.layout.unit(name, ref.activation) for name in names], block=False)

    def compare(self, stored: Stored, ref: Ref) -> database.Comparison | None:
        """Compare the release's migrations with what its default database has applied; None without migrations."""
        django = stored.manifest["django"]
        if not django or not django["migrations"]:
            return None
        answer = self.layout.activation_answer(ref.activation)
        files.remove(answer)
        self._task(ref, "applied", "reading the applied migrations")
        try:
            applied = json.loads(files.read(answer) or b"")
        except ValueError:
            raise ContainerlessError(
                "reading the applied migrations gave no answer; see the journal of its unit"
            ) from None
        return database.compare(
            django["migrations"], [(app, name) for alias, app, name in applied if alias == "default"]
        )

    def migrate(self, ref: Ref) -> None:
        """Run the pending migrations in the sandbox. Raises with the last lines of their output."""
        self._task(ref, "migrate", "the migration")

    def _task(self, ref: Ref, task: str, what: str) -> None:
        unit = self.layout.task(task, ref.activation)
        try:
            self.systemd.start(unit)
        except ContainerlessError:
            raise ContainerlessError(
                f"{what} failed: {self.systemd.journal(unit, 12) or 'its journal is empty'}"
            ) from None

    def healthy(self, stored: Stored, ref: Ref) -> health.Answer:
        """Wait for good answers on the private socket, and for the other processes to stay up."""
        spec = dict(stored.config["health"])
        settle = float(spec.pop("stay_up"))
        check = health.Check(**{**spec, "status": tuple(spec["status"])})
        unit = self.layout.unit(WEB, ref.activation)
        answer = health.gate(self.layout.activation_socket(ref.activation), check, lambda: self._gone(unit))
        for name in stored.processes:
            if name != WEB:
                self._stays_up(self.layout.unit(name, ref.activation), name, settle)
        return answer

    def _gone(self, unit: str) -> str:
        shown = self.systemd.show(unit)
        if shown.active == "failed" or shown.restarts >= _HOPELESS:
            return f"the web process ended {shown.restarts + 1} times ({shown.result})"
        return ""

    def _stays_up(self, unit: str, name: str, settle: float) -> None:
        deadline = time.monotonic() + settle + 30
        while time.monotonic() < deadline:
            shown = self.systemd.show(unit)
            if shown.restarts > 0 or shown.active == "failed":
                raise ContainerlessError(f"process {name} does not stay up ({shown.result})")
            if shown.is_up and time.monotonic() - shown.since >= settle:
                return
            time.sleep(0.1)
        raise ContainerlessError(f"process {name} did not come up")

    def publish(self, active: Ref | None) -> None:
        """Make web.sock and current follow `active`; both can be rebuilt from it at any time."""
        if active is None:
            files.remove(self.layout.web_socket)
            files.remove(self.layout.current)
            return
        files.directory(self.layout.run)
        files.link(f"{active.activation}/web.sock", self.layout.web_socket)
        files.link(f"trees/{active.content_id}", self.layout.current)

    def drain(self, ref: Ref, seconds: float) -> None:
        """Let a web process answer what it accepted; the other processes end at once, gracefully."""
        services = [name for name in self.systemd.installed(ref.activation) if name.endswith(".service")]
        web = self.layout.unit(WEB, ref.activation)
        self.systemd.stop(*[name for name in services if name != web], block=False)
        time.sleep(seconds)
        self.systemd.stop(web)

    def forget_others(self, keep: Ref | None) -> None:
        """Stop and remove the units of every activation but one."""
        for number in self.systemd.activations():
            if keep is None or number != keep.activation:
                self.systemd.uninstall(number)

    def journal(self, ref: Ref) -> dict[str, str]:
        """Return the last lines of each service of an activation that logged anything."""
        names = [name for name in self.systemd.installed(ref.activation) if name.endswith(".service")]
        found = {name: self.systemd.journal(name) for name in names}
        return {name: text for name, text in found.items() if text}


def env_quote(value: str) -> str:
    """Quote a value for EnvironmentFile= (systemd.exec(5)): double quotes, backslash escapes."""
    escaped = value
    for special in ("\\", '"', "$", "`"):
        escaped = escaped.replace(special, "\\" + special)
    return f'"{escaped}"'
