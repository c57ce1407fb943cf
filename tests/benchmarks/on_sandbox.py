# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host: the web process of a release, once in its sandbox and once without, each with a socket of its own.

on_sandbox.py prepare ACTIVATION          writes bench-confined.service and bench-bare.service
on_sandbox.py ask NAME REQUESTS PATH      {"cpu": seconds a request, "p99": seconds, "failed": requests}
on_sandbox.py start NAME                  {"start": seconds until it answers}
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path("/run/systemd/system")
NAMES = ("confined", "bare")
APP = "rig"


def prepare(activation: str) -> None:
    """Write both units; they differ in the drop-in alone."""
    template = f"containerless-{APP}-web@{activation}"
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
            get(name, "/")


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


def start(name: str) -> dict[str, float]:
    systemctl("stop", f"bench-{name}.service")
    begin = time.perf_counter()
    systemctl("start", "--no-block", f"bench-{name}.service")
    get(name, "/")  # it waits in the socket
    return {"start": time.perf_counter() - begin}


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    if verb == "prepare":
        print(json.dumps(prepare(*words)))
    elif verb == "ask":
        print(json.dumps(ask(words[0], int(words[1]), words[2])))
    else:
        print(json.dumps(start(*words)))
