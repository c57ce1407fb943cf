# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What belongs to others on a machine, open to everybody: file modes stop nobody, so each refusal is the sandbox's own.

Started as root, outside of any sandbox, as `python3 -c SOURCE make JSON` with {"source", "state", "code", "port",
"seconds"}: this text, the folder that the app may write to, a file to be made in its code, a TCP port, and after how
long the host removes it by itself. Prints what the attempts of escapes.py are told. `remove JSON` takes all of it away;
`serve PORT SOCKET` is the neighbour's own service.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import time
import typing as t

UNIT, USER = "containerless-neighbour.service", "cl-other"
#: A timer that removes what a killed test left, and what it runs: a file, for systemd reads a text in its own way.
LEASE, SELF = "containerless-neighbour-lease", "/run/containerless-neighbour.py"
#: No app has a dash in its name, and nobody is called so: nothing of a host is in the way.
NAME = "containerless-other"
SOCKET, ABSTRACT = f"/run/{NAME}/socket", "\0containerless-foreign"
SETUID = f"/usr/local/{NAME}/id"
#: Where clouds hand out the credentials of a machine.
METADATA = "169.254.169.254/32"
#: Each with a secret.
PLACES = [f"/{place}/containerless/{NAME}" for place in ("srv", "var/lib", "etc")]
PLACES += [f"/{place}/{NAME}" for place in ("opt", "home", "mnt", "run", "dev/shm")]
FOLDERS = [*PLACES, f"/usr/local/{NAME}", f"/etc/{NAME}"]
WRITABLE = ["/tmp", "/var/tmp", "/dev/shm"]  # noqa: S108 - looked at from inside
_SECONDS = 10


def make(given: dict[str, t.Any]) -> dict[str, t.Any]:
    """Make all of it; return the facts for the attempts."""
    _lease(given)
    if subprocess.run(["id", USER], capture_output=True, check=False).returncode:
        _run("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER)
    for folder in FOLDERS:
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o777)
    for path in (f"{place}/secret" for place in PLACES):
        with open(path, "w", encoding="ascii") as handle:
            handle.write("secret\n")
        os.chmod(path, 0o644)
    shutil.copyfile("/usr/bin/id", SETUID)
    os.chmod(SETUID, 0o4755)
    with open(given["code"], "ab"):
        os.chmod(given["code"], 0o666)
    _run("ip", "address", "replace", METADATA, "dev", "lo")
    _run("systemctl", "start", "dbus.socket")
    return facts(given, _service(given))


def facts(given: dict[str, t.Any], pid: int) -> dict[str, t.Any]:
    """Return what the attempts are told."""
    return {
        "state": given["state"],
        "code": given["code"],
        "writable": [given["state"], *WRITABLE],
        "port": given["port"],
        "pid": pid,
        "foreign": {
            "socket": SOCKET,
            "setuid": SETUID,
            "files": [f"{place}/secret" for place in PLACES],
            "folders": [*FOLDERS, "/dev/mqueue"],
        },
    }


def remove(given: dict[str, t.Any]) -> None:
    """Take all of it away; what is not there is fine."""
    _quietly("systemctl", "stop", UNIT)
    _quietly("ip", "address", "delete", METADATA, "dev", "lo")
    for folder in FOLDERS:
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(given["code"])
    _quietly("userdel", USER)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(SELF)
    # At last: until here a removal that is killed is made up for.
    _quietly("systemctl", "stop", f"{LEASE}.timer")


def serve(port: str, path: str) -> None:
    """Listen on TCP, on an abstract and on a path socket, and let everybody in."""
    tcp = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    abstract, named = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    abstract.bind(ABSTRACT)
    named.bind(path)
    os.chmod(path, 0o666)
    loop = selectors.DefaultSelector()
    for listener in (tcp, abstract, named):
        listener.listen()
        loop.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in loop.select():
            t.cast("socket.socket", key.fileobj).accept()[0].close()


def _lease(given: dict[str, t.Any]) -> None:
    """Have the host remove all of it when the time is up; before anything is there."""
    _quietly("systemctl", "stop", f"{LEASE}.timer", f"{LEASE}.service")
    with open(SELF, "w", encoding="utf-8") as handle:
        handle.write(given["source"])
    told = ["systemd-run", "--quiet", "--collect", f"--unit={LEASE}", f"--on-active={given['seconds']}"]
    _run(*told, "/usr/bin/python3", "-I", SELF, "remove", json.dumps({"code": given["code"]}))


def _service(given: dict[str, t.Any]) -> int:
    """Start the neighbour's service; return its process once it listens."""
    _quietly("systemctl", "stop", UNIT)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(SOCKET)
    # systemd fills in variables.
    source = given["source"].replace("$", "$$")
    told = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", f"--property=User={USER}", "/usr/bin/python3"]
    _run(*told, "-c", source, "serve", str(given["port"]), SOCKET)
    deadline = time.monotonic() + _SECONDS
    while not os.path.exists(SOCKET) and time.monotonic() < deadline:
        time.sleep(0.05)
    return int(_run("systemctl", "show", "--property=MainPID", "--value", UNIT))


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{argv[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _quietly(*argv: str) -> None:
    subprocess.run(argv, capture_output=True, check=False)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == "make":
        print(json.dumps(make(json.loads(sys.argv[2]))))
    else:
        remove(json.loads(sys.argv[2]))
