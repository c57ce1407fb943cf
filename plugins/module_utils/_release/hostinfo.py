# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a release needs to know of a host before anything is sent to it. Reads only."""

from __future__ import annotations

import glob
import os
import platform
import re
import sys
import sysconfig
import typing as t

from .._artifact import inflate
from .._core.names import DIGEST, Layout
from . import confinement, deadman, files, lease, ledger, startable, tool
from .activations import Activations, name_of
from .plan import Observed
from .state import State
from .systemd import Run, Systemd

_ASK = "import sysconfig, sys; print(sysconfig.get_config_var('SOABI'), sys.implementation.name)"


def pythons(run: Run) -> dict[str, str]:
    """Return the host's own CPython interpreters, SOABI -> path. The first of a SOABI wins."""
    found: dict[str, str] = {}
    own = os.path.realpath(sys.executable)
    for path in sorted(glob.glob("/usr/bin/python3*") + glob.glob("/usr/local/bin/python3*")):
        if not re.fullmatch(r"python3(\.\d+)?", os.path.basename(path)) or not os.access(path, os.X_OK):
            continue
        real = os.path.realpath(path)
        if real in found.values():
            continue
        if real == own:
            soabi = str(sysconfig.get_config_var("SOABI"))
        else:
            rc, out, _err = run([real, "-IS", "-c", _ASK])
            soabi, name = [*out.split(), "", ""][:2] if rc == 0 else ("", "")
            if name != "cpython":
                continue
        found.setdefault(soabi, real)
    return found


def libc() -> tuple[str, str]:
    """Return (glibc, 2.36); musl hosts say (musl, 0.0), as their libc tells no version to Python."""
    name, version = platform.libc_ver()
    return ("glibc", version) if name == "glibc" else ("musl", "0.0")


def facts(layout: Layout, systemd: Systemd) -> dict[str, t.Any]:
    """Return what a release needs to know of a host, and what `status` shows of the app."""
    return {
        "changed": False,
        "app": report(layout, systemd),
        "host": host(systemd),
        "trees": trees(layout),
        "tool": tool.installed(layout),
    }


def host(systemd: Systemd) -> dict[str, t.Any]:
    """Return the facts that choose a variant and its encoding, and render units."""
    name, version = libc()
    release = _os_release()
    return {
        "machine": platform.machine(),
        "libc": name,
        "libc_version": version,
        "pythons": pythons(systemd.run),
        "encodings": inflate.readable(),
        "systemd": systemd.version(),
        "platform": release.get("ID", "linux") + release.get("VERSION_ID", "").split(".")[0],
    }


def _os_release() -> dict[str, str]:
    text = (files.read("/etc/os-release") or b"").decode()
    return {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in text.splitlines())}


def running(state: State, systemd: Systemd) -> bool:
    """Say whether every process of the active release is up, a proxy of web too, and web.sock leads to it."""
    active = state.active
    stored = state.stored(active.release) if active else None
    if active is None or stored is None:
        return False
    try:
        led = os.readlink(state.layout.web_socket) == f"{active.activation}/web.sock"
    except OSError:
        return False
    return led and all(shown.is_up for shown in Activations(state.layout, systemd).states(stored, active).values())


def observe(state: State, systemd: Systemd, content_id: str, secrets: dict[str, str]) -> Observed:
    """Return what the plan is made from."""
    known = state.readable_secrets()
    return Observed(
        live=state.active.release if state.active else None,
        running=running(state, systemd),
        good=state.active is not None and state.is_good(state.active),
        same_tree=state.active is not None and state.active.content_id == content_id,
        has_tree=os.path.isdir(state.layout.tree(content_id)),
        stale_secrets=tuple(sorted(name for name, value in secrets.items() if known.get(name) != value)),
    )


def releases(state: State) -> list[dict[str, t.Any]]:
    """Return every activation of the ledger with its last state, oldest first."""
    return [
        {
            "activation": entry.activation,
            "release": entry.release,
            "content_id": entry.content_id,
            "state": entry.state,
            "active": state.active is not None and state.active.activation == entry.activation,
            "time": entry.time,
            "who": entry.who,
            "why": entry.why,
        }
        for _number, entry in sorted(ledger.states(state.entries).items())
    ]


def processes(state: State, systemd: Systemd) -> dict[str, str]:
    """Return the state of each process and timer of the active release, as systemd says it."""
    active = state.active
    stored = state.stored(active.release) if active else None
    if active is None or stored is None:
        return {}
    shown = Activations(state.layout, systemd).states(stored, active)
    found = {name_of(unit): f"{one.active} ({one.sub}), {one.restarts} restarts" for unit, one in shown.items()}
    timers = systemd.show_all([state.layout.timer(name, active.activation) for name in stored.timers])
    return {**found, **{name_of(unit): f"{one.active} ({one.sub})" for unit, one in timers.items()}}


def draining(state: State, systemd: Systemd) -> list[int]:
    """Return the activations that still answer what they had begun."""
    active = state.active.activation if state.active else None
    others = [number for number in systemd.activations() if number != active]
    return [number for number in others if deadman.is_draining(state.layout, systemd, number)]


def report(layout: Layout, systemd: Systemd) -> dict[str, t.Any]:
    """Return what `status` shows of one app."""
    state = State.read(layout)
    active = state.active
    stored = state.stored(active.release) if active else None
    left = state.journal
    return {
        "app": layout.app,
        "release": active.release if active else None,
        "activation": active.activation if active else None,
        "content_id": active.content_id if active else None,
        "signed_by": stored.signed_by if stored else None,
        "sandbox": confinement.summary(stored.config) if stored else None,
        "running": running(state, systemd),
        "problems": startable.problems(layout.tree(stored.content_id), stored.manifest) if stored else [],
        "processes": processes(state, systemd),
        "draining": draining(state, systemd),
        "under_way": left.step if left else None,
        "unconfirmed_for": lease.left(left.boot_id, left.deadline) if left else None,
        "timers": state.host_options()["timers"],
        "pinned": state.host_options()["pinned"],
        "releases": releases(state),
        "ledger_head": ledger.head(state.entries),
    }


def trees(layout: Layout) -> list[str]:
    """Return the content_ids of the whole trees on this host."""
    return files.names(layout.trees, DIGEST)
