# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite on a host of the rig. The package's docstring says how it is used."""

from __future__ import annotations

import inspect
import json
import shlex
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...plugins.module_utils._core.names import Layout
from ...plugins.module_utils._release import transient
from ...plugins.module_utils._test.escape import ALLOWED, PORT, controls
from ...plugins.module_utils._test.probes import escapes, neighbour

if TYPE_CHECKING:
    from ..rig import Host

CENSUS = Path(__file__).resolve().with_name("census.py").read_text(encoding="utf-8")
ATTEMPTS = inspect.getsource(escapes)
#: What starts a process: the attempts are started otherwise.
_STARTING = ("Restart", "Sockets=", "Kill", "TimeoutStop")

#: How a command ends whose unit got no mounts, such as NoExecPaths= of a place that is hidden (systemd.exec(5)).
_NO_NAMESPACE = "rc 226"

#: Longer than a campaign: its machines end with it.
_SECONDS = 24 * 3600

Outcomes = Mapping[str, str]


def make(state: str, code: str, port: int = PORT) -> str:
    """Return the command that makes what belongs to others, and prints what the attempts are told of it."""
    return _neighbour("make", state, code, port)


def remove(state: str, code: str, port: int = PORT) -> str:
    """Return the command that takes it away."""
    return _neighbour("remove", state, code, port)


def _neighbour(what: str, state: str, code: str, port: int) -> str:
    source = inspect.getsource(neighbour)
    given = {"source": source, "state": state, "code": code, "port": port, "seconds": _SECONDS}
    return shlex.join(["/usr/bin/python3", "-c", source, what, json.dumps(given)])


def escaped(inside: Outcomes) -> list[str]:
    """Return the attempts that got through."""
    return sorted(name for name, outcome in inside.items() if outcome == ALLOWED)


def void(inside: Outcomes, user: Outcomes, root: Outcomes) -> list[str]:
    """Return the attempts whose refusal proves nothing: outside they do not get through either."""
    known = controls(user, root)
    return sorted(name for name in inside if known.get(name) != ALLOWED)


class Suite:
    """Attempts beside a live release; makes the host ready at once."""

    def __init__(self, host: Host) -> None:
        self.host, self.layout = host, Layout(host.app)
        live = json.loads(host.sh(f"containerless status {host.app} --json").stdout)[0]
        self.activation: int = live["activation"]
        self.tree = self.layout.tree(live["content_id"])
        code = f"{self.tree}/app/open_to_all"
        self.facts: dict[str, Any] = json.loads(host.sh(make(self.layout.data, code)).stdout)

    def texts(self, process: str = "web") -> list[str]:
        """Return the text of a process's unit, without what starts it, and that of its sandbox."""
        unit = f"{self.layout.units}/{self.layout.unit(process, self.activation)}"
        text, sandbox = (self.host.sh(f"cat {name}").stdout for name in (unit, f"{unit}.d/50-sandbox.conf"))
        return ["\n".join(line for line in text.split("\n") if not line.startswith(_STARTING)), sandbox]

    def run(self, program: str, *arguments: str, texts: Sequence[str] = ()) -> dict[str, Any]:
        """Run a program in the sandbox of the app, by the app's Python, and return what it printed."""
        command = [f"{self.tree}/venv/bin/python", "-c", program, *arguments]
        argv = transient.argv(
            texts or self.texts(),
            command,
            unit=f"containerless-escape-{uuid.uuid4().hex}",
            description="attempts",
            activation=self.activation,
            terminal=False,
        )
        return dict(json.loads(self.host.sh(shlex.join(argv)).stdout))

    def inside(self, process: str = "web") -> dict[str, str]:
        """Return what became of each attempt in the sandbox of a process."""
        return dict(self.run(ATTEMPTS, json.dumps(self.facts), texts=self.texts(process))["outcomes"])

    def outside(self, user: str, program: str = ATTEMPTS) -> dict[str, str]:
        """Return what becomes of the same attempts without any sandbox."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        argv = [*become, f"{self.tree}/venv/bin/python", "-c", program, json.dumps(self.facts)]
        return dict(json.loads(self.host.sh(f"cd /; {shlex.join(argv)}").stdout)["outcomes"])

    def under(self, drop_in: str) -> dict[str, str]:
        """Return what becomes of the attempts under another text of the sandbox; nothing where its mounts don't fit."""
        try:
            return dict(self.run(ATTEMPTS, json.dumps(self.facts), texts=[self.texts()[0], drop_in])["outcomes"])
        except RuntimeError as exc:
            if not str(exc).rstrip().endswith(_NO_NAMESPACE):
                raise
            return {}

    def census(self) -> dict[str, list[int]]:
        """Return the numbers of the system calls and of the socket families that get through to the kernel."""
        text, sandbox = self.texts()
        told = sandbox.replace("SystemCallErrorNumber=EPERM", "SystemCallErrorNumber=ENOTNAM")
        return self.run(CENSUS, texts=[text, told])
