# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands in the very sandbox of the active release, with what they printed."""

from __future__ import annotations

import subprocess
import typing as t
import uuid
from dataclasses import dataclass

from .._core.errors import ContainerlessError
from .._core.names import PREFIX, Layout
from .._release import processes, transient
from .._release.journal import Ref
from .._release.state import State, Stored

#: Its text is the sandbox of every command; each Django release has it, and any release has its web process.
_TASK = "applied"


@dataclass(frozen=True)
class Done:
    """How a command ended: `out` is what it printed to standard output, `log` all of it."""

    rc: int
    out: str
    log: str


@dataclass(frozen=True)
class Sandbox:
    """The active release of an app, and what runs beside its processes. `timeout`: seconds a command, of `option`."""

    layout: Layout
    state: State
    stored: Stored
    active: Ref
    timeout: int
    option: str = "app_test_timeout"

    @classmethod
    def of(cls, layout: Layout, timeout: int) -> Sandbox:
        """Return that of the active release. Raises ContainerlessError without one."""
        state = State.read(layout)
        stored = state.stored(state.active.release) if state.active else None
        if state.active is None or stored is None:
            raise ContainerlessError(f"{layout.app} has no active release on this host; there is nothing to check")
        return cls(layout, state, stored, state.active, timeout)

    @property
    def tree(self) -> str:
        return self.layout.tree(self.stored.content_id)

    @property
    def is_django(self) -> bool:
        return bool(self.stored.manifest["django"])

    def manage(self, *words: str) -> Done:
        """Run a management command."""
        return self.run([*processes.manage(self.stored.manifest, self.tree), *words])

    def python(self, source: str, *words: str) -> Done:
        """Run a program by the app's Python."""
        return self.run([f"{self.tree}/venv/bin/python", "-c", source, *words])

    def run(self, argv: t.Sequence[str], more: t.Sequence[str] = ()) -> Done:
        """Run a command to its end, under `more` unit texts as well; one that takes too long is ended."""
        unit = f"{PREFIX}-{self.layout.app}-check-{uuid.uuid4().hex}.service"
        told = transient.argv(
            [*self._texts(), *more],
            argv,
            unit=unit,
            description=f"{self.layout.app}, a check",
            activation=self.active.activation,
            terminal=False,
        )
        end = ["systemctl", "kill", "--signal=SIGKILL", unit]
        return self._done(told, lambda _child: subprocess.run(end, capture_output=True, check=False))

    def outside(self, argv: t.Sequence[str], user: str = "root") -> Done:
        """Run a command without any sandbox, as somebody, in the root folder."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        return self._done([*become, *argv], lambda child: child.kill())

    def _done(self, argv: t.Sequence[str], end: t.Callable[[subprocess.Popen[bytes]], object]) -> Done:
        child = subprocess.Popen(
            argv, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            out, err = child.communicate(timeout=self.timeout)
        except subprocess.TimeoutExpired:
            end(child)
            out, err = child.communicate()
            err += f"\nended after {self.timeout} s ({self.option})".encode()
        texts = [part.decode(errors="replace") for part in (out, err)]
        return Done(child.returncode, texts[0], "".join(texts).strip())

    def _texts(self) -> list[str]:
        units = self.state.units(self.stored.release_id)
        name = self.layout.template_task(_TASK) if self.is_django else self.layout.template_unit("web")
        # A command that is over is over, and no socket is its own.
        lines = [line for line in units[name].split("\n") if not line.startswith(("Restart", "Sockets="))]
        return ["\n".join(lines), units[f"{name}.d/50-sandbox.conf"]]
