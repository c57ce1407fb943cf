# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What level `full` does between two releases: data for the next migration, and a client that asks all the time."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
import time
import typing as t

from .._core.errors import ContainerlessError
from .._core.names import Layout
from .._release import files
from .._release.activations import Activations
from . import guest
from .checks import Finding, Step, answer, outcome, words
from .commands import Sandbox
from .probes import load, rows

#: Rows in each table, and requests a second.
ROWS, RATE = 3, 20
#: Seconds that the client has for its last answers.
_LAST_ANSWERS = 60


def begin(sandbox: Sandbox, activations: Activations, commands: t.Sequence[str]) -> list[Step]:
    """Return the steps that put data into the database and start the client."""
    own: list[Step] = [(f"data: {text}", functools.partial(_command, sandbox, text)) for text in commands]
    made: list[Step] = [("data: rows in every table", lambda: _rows(sandbox))] if sandbox.is_django else []
    return [*own, *made, ("load: begin", lambda: _start(sandbox, activations))]


def end(layout: Layout) -> list[Step]:
    """Return the step that ends the client and judges its answers."""
    return [("requests under load", lambda: _stop(layout))]


def _command(sandbox: Sandbox, text: str) -> Finding:
    return outcome(sandbox.run(words("app_test_data", text, sandbox.tree)), "exit code 0", "it failed")


def _rows(sandbox: Sandbox) -> Finding:
    done = sandbox.python(inspect.getsource(rows), str(ROWS))
    made = answer(done)
    said = f"{ROWS} rows in each of {len(made['rows'])} tables"
    if made["left_out"]:
        said += f", none in {', '.join(sorted(made['left_out']))}"
    return Finding(bool(made["rows"]) or not made["left_out"], said, json.dumps(made, indent=1))


def _start(sandbox: Sandbox, activations: Activations) -> Finding:
    layout, check = sandbox.layout, activations.check(sandbox.stored)
    for path in (_stop_file(layout), _answer_file(layout)):
        files.remove(path)
    told = {
        "socket": layout.web_socket,
        "host": check.host,
        "scheme": check.scheme,
        "path": check.path,
        "status": list(check.status),
        "rate": RATE,
        "stop": _stop_file(layout),
        "answer": _answer_file(layout),
    }
    argv = ["systemd-run", "--quiet", "--collect", f"--unit={guest.client(layout)}", sys.executable, "-c"]
    rc, _out, err = activations.systemd.run([*argv, inspect.getsource(load).replace("$", "$$"), json.dumps(told)])
    if rc:
        raise ContainerlessError(f"the client did not start: {err.strip()}")
    return Finding(True, f"{RATE} requests a second for {check.path}")


def _stop(layout: Layout) -> Finding:
    files.write(_stop_file(layout), b"")
    deadline = time.monotonic() + _LAST_ANSWERS
    while not os.path.exists(_answer_file(layout)) and time.monotonic() < deadline:
        time.sleep(0.1)
    said = files.read(_answer_file(layout))
    if said is None:
        raise ContainerlessError("the client gave no figures; was it started?")
    found = json.loads(said)
    log = json.dumps(found, indent=1)
    if found["failed"] or not found["asked"]:
        return Finding(False, f"{found['failed']} of {found['asked']} failed: {'; '.join(found['why'])}", log)
    return Finding(True, "none failed", log)


def _stop_file(layout: Layout) -> str:
    return f"{layout.run}/load.stop"


def _answer_file(layout: Layout) -> str:
    return f"{layout.run}/load.json"
