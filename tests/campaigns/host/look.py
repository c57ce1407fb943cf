# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at an app on a host from outside: by files, systemd and the command, never by the code under test.

look.py APP serving            what is live right now, after a kill
look.py APP settled SECONDS    waits until one release is live, whole, and nothing is left of another; complaints
look.py APP save NAME          keeps the state of the app aside
look.py APP restore NAME       comes back to it, with the app started anew
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import typing as t
import uuid

KEPT = "/root/containerless-campaign"
HOMES = ("srv", "etc", "var/lib")
#: What may stand beside the app's data once nothing is under way.
STATE_FILES = {"ledger.jsonl", "active", "lock", "host", "data"}
#: Seconds in which somebody may be about to read what was sent; who reads it makes it old.
ON_ITS_WAY = 60
CLOSED = {"good", "failed", "refused", "rolled_back"}


def run(*argv: str) -> tuple[int, str]:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def read(path: str) -> dict[str, t.Any] | None:
    try:
        with open(path, encoding="utf-8") as handle:
            return t.cast("dict[str, t.Any]", json.load(handle))
    except FileNotFoundError:
        return None


def listed(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


class App:
    """One app of this host."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.var, self.run = f"/var/lib/containerless/{name}", f"/run/containerless/{name}"

    def active(self) -> dict[str, t.Any]:
        return read(f"{self.var}/active") or {}

    def led(self) -> int:
        """Return the activation that web.sock leads to, 0 for none."""
        try:
            return int(os.readlink(f"{self.run}/web.sock").split("/")[0])
        except (OSError, ValueError):
            return 0

    def units(self) -> dict[str, str]:
        """Return all units of the app that systemd knows, with their states."""
        _rc, out = run("systemctl", "list-units", "--all", "--plain", "--no-legend", f"containerless-{self.name}-*")
        lines = [line.replace("\u25cf", "").split() for line in out.splitlines()]
        return {words[0]: words[2] for words in lines if len(words) > 3}

    def of(self, number: int) -> dict[str, str]:
        return {unit: state for unit, state in self.units().items() if f"@{number}." in unit}

    def answer(self) -> str:
        """Return the release that answers behind web.sock."""
        connection = http.client.HTTPConnection("localhost", timeout=20)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(20)
        try:
            connection.sock.connect(f"{self.run}/web.sock")
            connection.request("GET", "/", headers={"Host": "localhost", "Connection": "close"})
            response = connection.getresponse()
            return f"{response.status} {response.getheader('X-Release')}"
        except (OSError, http.client.HTTPException) as exc:
            return f"{type(exc).__name__}: {exc}"
        finally:
            connection.close()


def serving(app: App) -> dict[str, t.Any]:
    """Say what is live and whether it is whole: one release behind web.sock, its processes up, its tree as built."""
    led, active, journal = app.led(), app.active(), read(f"{app.var}/journal") or {}
    down = [f"{unit} {state}" for unit, state in app.of(led).items() if is_process(unit) and state != "active"]
    rc, said = run("containerless", "verify", app.name)
    return {
        "led": led,
        "active": active.get("activation", 0),
        "release": active.get("release", ""),
        "answer": app.answer(),
        "step": journal.get("step", ""),
        "held": journal.get("held", False),
        "rests": journal.get("deadline") is not None,
        "good": good(app),
        "timers": armed(app),
        "complaints": [*(f"down: {each}" for each in down), *([f"verify: {said.strip()}"] if rc else []), *ledger(app)],
    }


def is_own(unit: str) -> bool:
    """Say whether a unit is one of those by which the host does something by itself."""
    return "-deadman." in unit or "-drain-" in unit


def good(app: App) -> str:
    """Return the release that was called good last."""
    return next((line["release"] for line in reversed(lines(app)) if line["state"] == "good"), "")


def lines(app: App) -> list[dict[str, t.Any]]:
    """Return the ledger; a torn last line is cut off by the next one who writes."""
    with open(f"{app.var}/ledger.jsonl", "rb") as handle:
        return [json.loads(line) for line in handle if line.endswith(b"\n")]


def rest(app: App, seconds: float) -> dict[str, t.Any]:
    """Wait until nothing is armed and nobody holds the lock."""
    begin = time.monotonic()
    while (armed(app) or is_locked(app)) and time.monotonic() - begin < seconds:
        time.sleep(0.2)
    return serving(app)


def armed(app: App) -> list[str]:
    """Return the units by which the host is going to do something by itself."""
    return [unit for unit, state in app.units().items() if is_own(unit) and state in ("active", "activating")]


def is_locked(app: App) -> bool:
    with open(f"{app.var}/lock", "rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def is_process(unit: str) -> bool:
    return unit.endswith(".service") and "-task." not in unit and "-timer." not in unit


def ledger(app: App) -> list[str]:
    """Check the chain: each line holds the SHA-256 of the line before."""
    before = "0" * 64
    with open(f"{app.var}/ledger.jsonl", "rb") as handle:
        for number, line in enumerate(handle, 1):
            if not line.endswith(b"\n"):
                continue  # torn: cut off by the next one who writes
            if json.loads(line)["prev"] != before:
                return [f"ledger: line {number} does not follow the line before"]
            before = hashlib.sha256(line).hexdigest()
    return []


def complaints(app: App) -> list[str]:
    """Return everything that is not as one whole release leaves it."""
    active = app.active()
    number = active.get("activation", 0)
    if not number:
        return ["nothing is active"]
    return [
        *(["lock: somebody is at work"] if is_locked(app) else []),
        *files(app),
        *ledger(app),
        *closed(app, number),
        *units(app, number),
        *sockets(app, number, active["release"]),
        *commands(app),
    ]


def files(app: App) -> list[str]:
    """Nothing half-written, no journal, nothing that has no name of ours."""
    found = [f"file: {name} in {app.var}" for name in sorted(set(listed(app.var)) - STATE_FILES)]
    homes = [f"/{home}/containerless/{app.name}" for home in HOMES]
    trees = f"/srv/containerless/{app.name}/trees"
    for home in (*homes, app.run, "/run/systemd/system", "/etc/systemd/system"):
        for folder, folders, names in os.walk(home):
            found += [f"left: {folder}/{name}" for name in (*names, *folders) if name.endswith((".new", ".next"))]
            # The app's own data and what is in a tree are not ours to judge; `verify` does the latter.
            folders[:] = [] if folder in (f"{app.var}/data", trees) else folders
    found += [f"left: {trees}/{name}" for name in listed(trees) if not re.fullmatch("[0-9a-f]{64}", name)]
    return found + [f"left: {path}" for path in sent(app) if not 0 <= time.time() - os.stat(path).st_mtime < ON_ITS_WAY]


def sent(app: App) -> list[str]:
    """Return the artifacts that were sent for the app and are still there."""
    return [
        f"/tmp/{name}" for name in os.listdir("/tmp") if re.fullmatch(f"containerless-{app.name}-[0-9a-f]{{32}}", name)
    ]


def closed(app: App, number: int) -> list[str]:
    """Each activation came to an end, and the active one is good."""
    last = {line["activation"]: line["state"] for line in lines(app)}
    found = [f"ledger: activation {each} is left {state}" for each, state in last.items() if state not in CLOSED]
    return found + ([] if last.get(number) == "good" else [f"ledger: the active release is {last.get(number)}"])


def units(app: App, number: int) -> list[str]:
    """The units of one activation, all of them up; no timer of ours, nothing failed, no folder of another."""
    found = []
    for unit, state in app.units().items():
        instance = re.search(r"@(\d+)\.", unit)
        if instance and int(instance[1]) != number:
            found.append(f"unit: {unit} is {state} beside activation {number}")
        elif (
            is_own(unit)
            or ("-gate." in unit and state != "inactive")  # known by name alone, for who starts after it
            or state == "failed"
            or (is_process(unit) and instance and state != "active")
        ):
            found.append(f"unit: {unit} is {state}")
    for name in os.listdir("/run/systemd/system"):
        instance = re.match(rf"containerless-{app.name}-.*@(\d+)\.", name)
        if instance and int(instance[1]) != number:
            found.append(f"unit file: {name}")
    found += [f"folder: {app.run}/{name}" for name in listed(app.run) if name.isdigit() and int(name) != number]
    return found


def sockets(app: App, number: int, release: str) -> list[str]:
    found = [] if app.led() == number else [f"web.sock leads to {app.led()}, active is {number}"]
    answer = app.answer()
    found += [] if answer == f"200 {release}" else [f"web.sock: {answer} instead of {release}"]
    previous = f"{app.run}/previous.sock"
    return found + (
        ["previous.sock leads nowhere"] if os.path.islink(previous) and not os.path.exists(previous) else []
    )


def commands(app: App) -> list[str]:
    """The host's own command agrees."""
    asked = {verb: run("containerless", verb, app.name) for verb in ("status", "verify", "history")}
    return [f"containerless {verb}: {rc}: {' '.join(said.split())[:300]}" for verb, (rc, said) in asked.items() if rc]


def settled(app: App, seconds: float) -> dict[str, t.Any]:
    """Wait for the end of drains and of what the host does by itself."""
    begin = time.monotonic()
    while (found := complaints(app)) and time.monotonic() - begin < seconds:
        time.sleep(0.2)
    spent = time.monotonic() - begin
    return {"complaints": found, "release": app.active().get("release", ""), "seconds": round(spent, 2)}


def stop(app: App) -> None:
    """Kill the app with everything that might still act on it, and forget its units."""
    timers = [
        f"containerless-{app.name}-{kind}*.{end}" for kind in ("deadman", "drain-") for end in ("timer", "service")
    ]
    run("systemctl", "stop", *timers)
    run("systemctl", "kill", "--signal=KILL", f"containerless-{app.name}-*.service")
    run("systemctl", "stop", f"containerless-{app.name}-*")
    for name in os.listdir("/run/systemd/system"):
        if name.startswith(f"containerless-{app.name}-"):
            drop(f"/run/systemd/system/{name}")
    shutil.rmtree(app.run, ignore_errors=True)
    run("systemctl", "daemon-reload")
    run("systemctl", "reset-failed", f"containerless-{app.name}-*")


def save(app: App, name: str) -> dict[str, t.Any]:
    """Copy the app's folders while it is stopped, then start it again."""
    stop(app)
    kept = f"{KEPT}/{name}"
    shutil.rmtree(kept, ignore_errors=True)
    for home in HOMES:
        os.makedirs(f"{kept}/{home}")
        run("cp", "-a", f"/{home}/containerless/{app.name}", f"{kept}/{home}/")
    return start(app)


def restore(app: App, name: str, *, bare: bool) -> dict[str, t.Any]:
    """Come back to what was saved. Trees are read-only: those that are there stay, and with `bare` no others."""
    stop(app)
    for path in sent(app):
        drop(path)
    for home in HOMES:
        place, kept = f"/{home}/containerless/{app.name}", f"{KEPT}/{name}/{home}/{app.name}"
        for each in set(os.listdir(place)) - {"trees"}:
            drop(f"{place}/{each}")
        run("cp", "-a", *(f"{kept}/{each}" for each in os.listdir(kept) if each != "trees"), place)
    trees, kept = f"/srv/containerless/{app.name}/trees", f"{KEPT}/{name}/srv/{app.name}/trees"
    wanted, there = set(os.listdir(kept)), set(os.listdir(trees))
    for each in there - wanted:
        if bare or not re.fullmatch("[0-9a-f]{64}", each):
            drop(f"{trees}/{each}")
    for each in wanted - there:
        run("cp", "-al", f"{kept}/{each}", trees)
    return start(app)


def drop(path: str) -> None:
    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


def reboot(app: App) -> dict[str, t.Any]:
    """Do to the app what a reboot does: nothing of it runs, /run is empty, and the journal is of another boot."""
    stop(app)
    journal = f"{app.var}/journal"
    if left := read(journal):
        with open(journal, "r+", encoding="utf-8") as handle:
            text = handle.read()
            handle.seek(0)
            handle.write(text.replace(left["boot_id"], str(uuid.uuid4())))
    return start(app)


def start(app: App) -> dict[str, t.Any]:
    begin = time.monotonic()
    rc, said = run("containerless", "boot", app.name)
    while not app.answer().startswith("200") and time.monotonic() - begin < 30:
        time.sleep(0.05)
    return {"complaints": [said] if rc else [], "answer": app.answer()}


def main(name: str, verb: str, *words: str) -> None:
    app = App(name)
    calls: dict[str, t.Callable[[], dict[str, t.Any]]] = {
        "serving": lambda: serving(app),
        "rest": lambda: rest(app, float(words[0])),
        "settled": lambda: settled(app, float(words[0])),
        "save": lambda: save(app, words[0]),
        "restore": lambda: restore(app, words[0], bare="bare" in words),
        "reboot": lambda: reboot(app),
    }
    print(json.dumps(calls[verb]()))


if __name__ == "__main__":
    main(*sys.argv[1:])
