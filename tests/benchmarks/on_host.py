# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host, as root: measures a start of the app, or a rollback of it, and prints seconds as JSON.

python3 on_host.py start APP COUNT PATH  units of the live activation under another number, until COUNT good answers
python3 on_host.py rollback APP TO       what an operator types
python3 on_host.py parts APP             what both consist of
"""

from __future__ import annotations

import contextlib
import glob
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable

UNITS = "/run/systemd/system"
#: No activation gets so far.
NUMBER = 999_999
DEADLINE = 60.0
PAUSE = 0.01


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def is_good(web_socket: str, path: str) -> bool:
    connection = Connection(web_socket)
    try:
        headers = {"Host": "rig.example.org", "X-Forwarded-Proto": "https", "Connection": "close"}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
        return response.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_good(web_socket: str, path: str, count: int) -> None:
    good, deadline = 0, time.monotonic() + DEADLINE
    while good < count:
        if time.monotonic() > deadline:
            sys.exit("the app does not answer")
        good = good + 1 if is_good(web_socket, path) else 0
        if not good:
            time.sleep(PAUSE)


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def status(app: str) -> dict[str, object]:
    found = json.loads(run("containerless", "status", app, "--json"))
    return found[0]  # type: ignore[no-any-return]


def copy_units(app: str, activation: int) -> list[str]:
    """Give the units of an activation, text and drop-ins, another number; return the names of those that start."""
    made = []
    for path in glob.glob(f"{UNITS}/containerless-{app}-*@{activation}.*"):
        dest = path.replace(f"@{activation}.", f"@{NUMBER}.")
        (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, dest)
        made.append(os.path.basename(dest))
    runtime = f"/run/containerless/{app}"
    if os.path.isdir(f"{runtime}/{activation}"):
        shutil.copytree(
            f"{runtime}/{activation}",
            f"{runtime}/{NUMBER}",
            ignore=lambda folder, names: [n for n in names if n.endswith(".sock")],
        )
        shutil.copystat(f"{runtime}/{activation}", f"{runtime}/{NUMBER}")
    left_out = ("-task.", "-timer.", "-drain")
    return [name for name in made if name.endswith((".socket", ".service")) and not any(x in name for x in left_out)]


def remove_units(app: str) -> None:
    for path in glob.glob(f"{UNITS}/containerless-{app}-*@{NUMBER}.*"):
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    shutil.rmtree(f"/run/containerless/{app}/{NUMBER}", ignore_errors=True)
    run("systemctl", "daemon-reload")


def start(app: str, count: str, path: str) -> dict[str, float]:
    """Measure what no switch can be faster than: systemd starts the same units, and they become healthy."""
    names = copy_units(app, int(str(status(app)["activation"])))
    try:
        run("systemctl", "daemon-reload")
        begin = time.monotonic()
        run("systemctl", "start", *names)
        started = time.monotonic()
        wait_until_good(f"/run/containerless/{app}/{NUMBER}/web.sock", path, int(count))
        return {"seconds": time.monotonic() - begin, "systemctl start": started - begin}
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            run("systemctl", "stop", *names)
        remove_units(app)


def rollback(app: str, to: str) -> dict[str, float]:
    begin = time.monotonic()
    said = run("containerless", "rollback", app, to, "--drain", "0")
    found = {"seconds": time.monotonic() - begin}
    for line in said.splitlines()[1:]:
        words = line.split()
        if len(words) == 3 and words[2] == "s":
            found[words[0]] = float(words[1])
    return found


def parts(app: str) -> dict[str, float]:
    found = {}
    for name, argv in (
        ("python3 and the tool's modules", ["containerless", "history", app, "--json"]),
        ("daemon-reload", ["systemctl", "daemon-reload"]),
        ("systemctl show", ["systemctl", "show", "--property=MainPID", f"containerless-{app}.service"]),
    ):
        begin = time.monotonic()
        run(*argv)
        found[name] = time.monotonic() - begin
    return found


ACTIONS: dict[str, Callable[..., dict[str, float]]] = {"start": start, "rollback": rollback, "parts": parts}

if __name__ == "__main__":
    print(json.dumps(ACTIONS[sys.argv[1]](*sys.argv[2:])))
