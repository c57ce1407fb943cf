# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host: the web process of a release, once in its sandbox and once without, each with a socket of its own.

on_sandbox.py prepare APP ACTIVATION PATH writes bench-confined.service and bench-bare.service
on_sandbox.py ask NAME REQUESTS PATH      {"cpu": seconds a request, "p99": seconds, "failed": requests}
on_sandbox.py start NAME PATH             {"start": seconds until it answers}
on_sandbox.py setup TURNS                 {name: {"exec": [seconds], "whole": [seconds]}} of bench-setup-NAME.service

What stands in PARTS, {name: text of a drop-in}, are the units of `setup`: each runs /bin/true.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

UNITS = Path("/run/systemd/system")
NAMES = ("confined", "bare")
PARTS = Path("/root/bench/parts.json")
#: Of a unit's text, what says how it starts.
STARTING = re.compile("(Requires|Wants|After|Type|Sockets|Exec[A-Za-z]+|Restart[A-Za-z]*|Description)=")
TIMES = ("ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic")


def prepare(app: str, activation: str, path: str) -> None:
    """Write both units; they differ in the drop-in alone."""
    template = f"containerless-{app}-web@{activation}"
    text = (UNITS / f"{template}.service").read_text(encoding="utf-8")
    drop_in = (UNITS / f"{template}.service.d/50-sandbox.conf").read_text(encoding="utf-8")
    (state,) = re.findall("^StateDirectory=(.+)$", drop_in, re.MULTILINE)
    kept = [line for line in text.split("\n") if not line.startswith(("Requires=", "After="))]
    for name in NAMES:
        unit = "\n".join(kept).replace("%i", activation) + f"\nStateDirectory={state}\nStateDirectoryMode=0751\n"
        (UNITS / f"bench-{name}.service").write_text(unit, encoding="utf-8")
        (UNITS / f"bench-{name}.socket").write_text(f"[Socket]\nListenStream={path_of(name)}\nBacklog=4096\n")
    folder = UNITS / "bench-confined.service.d"
    folder.mkdir(exist_ok=True)
    (folder / "50-sandbox.conf").write_text(drop_in.replace("%i", activation), encoding="utf-8")
    systemctl("daemon-reload")
    for name in NAMES:
        systemctl("start", f"bench-{name}.socket", f"bench-{name}.service")
        for _ in range(20):  # every worker has imported the app
            get(name, path)


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=True).stdout


def path_of(name: str) -> str:
    return f"/run/bench-{name}.sock"


def get(name: str, path: str) -> bool:
    """Ask once on a connection of its own; say whether the answer was good."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(30)
        peer.connect(path_of(name))
        peer.sendall(f"GET {path} HTTP/1.1\r\nHost: rig.example.org\r\nConnection: close\r\n\r\n".encode())
        said = b""
        while part := peer.recv(65536):
            said += part
    return said.startswith(b"HTTP/1.1 200 ")


def processes(name: str) -> list[int]:
    """Return the main process and its children."""
    main = int(systemctl("show", "--property=MainPID", "--value", f"bench-{name}.service"))
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text(encoding="utf-8")
            except OSError:
                continue
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    return [main, *(pid for pid, parent in parents.items() if parent == main)]


def cpu(pids: list[int]) -> float:
    """Return the seconds that all their threads ran (proc(5), schedstat: nanoseconds)."""
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def ask(name: str, requests: int, path: str) -> dict[str, float]:
    pids = processes(name)
    before, taken, failed = cpu(pids), [], 0
    for _ in range(requests):
        begin = time.perf_counter()
        failed += not get(name, path)
        taken.append(time.perf_counter() - begin)
    spent = cpu(pids) - before
    return {"cpu": spent / requests, "p99": sorted(taken)[int(requests * 0.99) - 1], "failed": failed}


def start(name: str, path: str) -> dict[str, float]:
    systemctl("stop", f"bench-{name}.service")
    begin = time.perf_counter()
    systemctl("start", "--no-block", f"bench-{name}.service")
    good = get(name, path)  # it waits in the socket
    if not good:
        raise SystemExit(f"{name} does not answer {path} well")
    return {"start": time.perf_counter() - begin}


def setup(turns: int) -> dict[str, dict[str, list[float]]]:
    """Start a program that does nothing under each drop-in, in turns, each turn in another order."""
    text = (UNITS / "bench-bare.service").read_text(encoding="utf-8")
    kept = "\n".join(line for line in text.split("\n") if not STARTING.match(line))
    parts = json.loads(PARTS.read_text(encoding="utf-8"))
    for name, drop_in in parts.items():
        folder = UNITS / f"bench-setup-{name}.service.d"
        folder.mkdir(exist_ok=True)
        (folder / "50-sandbox.conf").write_text(drop_in, encoding="utf-8")
        own = kept.replace("[Service]", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true", 1)
        (UNITS / f"bench-setup-{name}.service").write_text(own, encoding="utf-8")
    systemctl("daemon-reload")
    found: dict[str, dict[str, list[float]]] = {name: {"exec": [], "whole": []} for name in parts}
    order, drawer = list(parts), random.Random(0)
    for turn in range(-1, turns):  # the first one warms
        drawer.shuffle(order)
        for name in order:
            begin = time.perf_counter()
            systemctl("start", f"bench-setup-{name}.service")
            whole = time.perf_counter() - begin
            shown = systemctl("show", f"--property={','.join(TIMES)}", f"bench-setup-{name}.service").split()
            started, ended = (int(dict(line.split("=") for line in shown)[time_]) for time_ in TIMES)
            systemctl("stop", f"bench-setup-{name}.service")
            if turn >= 0:
                found[name]["exec"].append((ended - started) / 1e6)
                found[name]["whole"].append(whole)
    return found


VERBS: dict[str, Callable[..., object]] = {"prepare": prepare, "ask": ask, "start": start, "setup": setup}

if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    print(json.dumps(VERBS[verb](*(int(word) if word.isdigit() and verb != "prepare" else word for word in words))))
