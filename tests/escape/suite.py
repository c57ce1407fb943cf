# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite on a host of the rig. The package's docstring says how it is used."""

from __future__ import annotations

import json
import shlex
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...plugins.module_utils._core.names import Layout
from ...plugins.module_utils._release import transient

if TYPE_CHECKING:
    from ..rig import Host

HERE = Path(__file__).resolve().parent
APP_FOLDER = HERE.parent / "integration/sandbox/app"
NEIGHBOUR, PROBES, FOREIGN, CENSUS = (
    HERE / "neighbour.sh",
    APP_FOLDER / "probes.py",
    APP_FOLDER / "foreign.py",
    HERE / "census.py",
)
PORT = 9999
#: Refused to the app's user outside as well; the control is root.
ROOT_ONLY = frozenset({"read: /etc/shadow"})
ALLOWED = "allowed"
_PLACES = [f"/{place}/containerless/other" for place in ("srv", "var/lib", "etc")]
_PLACES += [f"/{place}/other" for place in ("opt", "home", "mnt", "run", "dev/shm")]
#: What starts a process: the attempts are started otherwise.
_STARTING = ("Restart", "Sockets=", "Kill", "TimeoutStop")

Outcomes = Mapping[str, str]


def facts(state: str, code: str, pid: int, port: int = PORT) -> dict[str, Any]:
    """Return what the attempts have to know of a machine that neighbour.sh prepared."""
    return {
        "state": state,
        "code": code,
        "writable": [state, "/tmp", "/var/tmp", "/dev/shm"],
        "port": port,
        "pid": pid,
        "foreign": {
            "socket": "/run/other/other.sock",
            "setuid": "/usr/local/other/id",
            "files": [f"{place}/secret" for place in _PLACES],
            "folders": [*_PLACES, "/usr/local/other", "/etc/other", "/dev/mqueue"],
        },
    }


def escaped(inside: Outcomes) -> list[str]:
    """Return the attempts that got through."""
    return sorted(name for name, outcome in inside.items() if outcome == ALLOWED)


def void(inside: Outcomes, user: Outcomes, root: Outcomes) -> list[str]:
    """Return the attempts whose refusal proves nothing: outside they do not get through either."""
    return sorted(name for name in inside if (root if name in ROOT_ONLY else user).get(name) != ALLOWED)


class Suite:
    """Attempts beside a live release; makes the host ready at once."""

    def __init__(self, host: Host) -> None:
        self.host, self.layout = host, Layout(host.app)
        live = json.loads(host.sh(f"containerless status {host.app} --json").stdout)[0]
        self.activation: int = live["activation"]
        self.tree = self.layout.tree(live["content_id"])
        host.put(FOREIGN.read_bytes(), "/usr/local/lib/foreign.py")
        code = f"{self.tree}/app/open_to_all"
        arguments = shlex.join(["/usr/local/lib/foreign.py", str(PORT), code])
        host.sh(f"sh -s {arguments}", stdin=NEIGHBOUR.read_bytes())
        pid = int(host.sh("systemctl show --property=MainPID --value foreign.service").stdout)
        self.facts = facts(self.layout.data, code, pid)

    def texts(self, process: str = "web") -> list[str]:
        """Return the text of a process's unit, without what starts it, and that of its sandbox."""
        unit = f"{self.layout.units}/{self.layout.unit(process, self.activation)}"
        text, sandbox = (self.host.sh(f"cat {name}").stdout for name in (unit, f"{unit}.d/50-sandbox.conf"))
        return ["\n".join(line for line in text.split("\n") if not line.startswith(_STARTING)), sandbox]

    def run(self, program: Path, *arguments: str, texts: Sequence[str] = ()) -> dict[str, Any]:
        """Run a program in the sandbox of the app, by the app's Python, and return what it printed."""
        command = [f"{self.tree}/venv/bin/python", "-c", program.read_text(encoding="utf-8"), *arguments]
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
        return dict(self.run(PROBES, json.dumps(self.facts), texts=self.texts(process))["outcomes"])

    def outside(self, user: str, program: Path = PROBES) -> dict[str, str]:
        """Return what becomes of the same attempts without any sandbox."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        text = program.read_text(encoding="utf-8")
        argv = [*become, f"{self.tree}/venv/bin/python", "-c", text, json.dumps(self.facts)]
        return dict(json.loads(self.host.sh(f"cd /; {shlex.join(argv)}").stdout)["outcomes"])

    def under(self, drop_in: str) -> dict[str, str]:
        """Return what becomes of the attempts under another text of the sandbox."""
        return dict(self.run(PROBES, json.dumps(self.facts), texts=[self.texts()[0], drop_in])["outcomes"])

    def census(self) -> dict[str, list[int]]:
        """Return the numbers of the system calls and of the socket families that get through to the kernel."""
        text, sandbox = self.texts()
        told = sandbox.replace("SystemCallErrorNumber=EPERM", "SystemCallErrorNumber=ENOTNAM")
        return self.run(CENSUS, texts=[text, told])
