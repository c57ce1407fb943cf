# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd as this project uses it: a handful of verbs over an injected `run`, and units as instances of a release."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import typing as t
from dataclasses import dataclass

from .._core.errors import ContainerlessError
from .._core.names import PREFIX, Layout
from . import files

#: argv -> (rc, stdout, stderr)
Run = t.Callable[[t.Sequence[str]], "tuple[int, str, str]"]


def run(argv: t.Sequence[str]) -> tuple[int, str, str]:
    """Run a program to its end, without a shell and without a terminal."""
    done = subprocess.run(
        list(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    return done.returncode, done.stdout, done.stderr


def run_beside(argv: t.Sequence[str]) -> t.Callable[[], tuple[int, str, str]]:
    """Begin a program and return what waits for its end."""
    pipe = subprocess.PIPE
    made = subprocess.Popen(list(argv), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, errors="replace")

    def end() -> tuple[int, str, str]:
        out, err = made.communicate()
        return made.returncode, out, err

    return end


@dataclass(frozen=True)
class UnitState:
    """The part of `systemctl show` that decides."""

    active: str
    sub: str
    restarts: int
    result: str
    since: float

    @property
    def is_up(self) -> bool:
        return self.active in ("active", "reloading")


_SHOWN = ("Id", "ActiveState", "SubState", "NRestarts", "Result", "ActiveEnterTimestampMonotonic")
_KINDS = "service|socket|timer"


def parse_show(text: str) -> UnitState:
    """Return the state from `systemctl show -p ...` output. `since` is in seconds of CLOCK_MONOTONIC."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return UnitState(
        active=values.get("ActiveState", "unknown"),
        sub=values.get("SubState", "unknown"),
        restarts=int(values.get("NRestarts") or 0),
        result=values.get("Result", ""),
        since=int(values.get("ActiveEnterTimestampMonotonic") or 0) / 1e6,
    )


class Systemd:
    """Verbs. Each raises ContainerlessError with systemd's own words when it fails."""

    def __init__(self, layout: Layout, run: Run = run) -> None:
        self.layout = layout
        self.run = run

    def run_beside(self, argv: t.Sequence[str]) -> t.Callable[[], tuple[int, str, str]]:
        """Begin a program; what stands in for the real ones in a test runs it at once."""
        if self.run is run:
            return run_beside(argv)
        told = self.run(argv)
        return lambda: told

    def _do(self, *argv: str) -> str:
        rc, out, err = self.run(argv)
        if rc != 0:
            raise ContainerlessError(f"{' '.join(argv[:3])} failed: {(err or out).strip()}")
        return out

    def version(self) -> int:
        """Return the major version, 252 for `systemd 252 (252.38-1~deb12u1)`."""
        match = re.match(r"systemd (\d+)", self._do("systemctl", "--version"))
        return int(match.group(1)) if match else 0

    def reload(self) -> None:
        self._do("systemctl", "daemon-reload")

    def start(self, *units: str, block: bool = True) -> None:
        if units:
            self._do("systemctl", "start", *([] if block else ["--no-block"]), *units)

    def stop(self, *units: str, block: bool = True) -> None:
        """Stop units; ones that are not loaded are fine."""
        if units:
            self.run(["systemctl", "stop", *([] if block else ["--no-block"]), *units])

    def forget(self, *units: str) -> None:
        """Stop units whose text is about to go; a failed one would stay loaded."""
        self.stop(*units)
        if units:
            self.run(["systemctl", "reset-failed", *units])

    def kill(self, *units: str) -> None:
        """Stop units without their leave; they are on the way to their stop before, so none is started again."""
        self.run(["systemctl", "stop", "--no-block", *units])
        self.run(["systemctl", "kill", "--signal=SIGKILL", *units])

    def show(self, unit: str) -> UnitState:
        return self.show_all([unit])[unit]

    def show_all(self, units: t.Sequence[str]) -> dict[str, UnitState]:
        """Return the state of several units with one question; an empty list asks nothing."""
        if not units:
            return {}
        blocks = self._do("systemctl", "show", *units, "-p", ",".join(_SHOWN)).strip().split("\n\n")
        # One block a unit, in the order asked for: an alias shows another Id.
        return {unit: parse_show(block) for unit, block in zip(units, blocks)}

    def memory(self, unit: str) -> int:
        """Return the bytes that a unit's cgroup holds; 0 where they are not counted."""
        text = self._do("systemctl", "show", unit, "-p", "MemoryCurrent", "--value").strip()
        return int(text) if text.isdigit() and int(text) < 1 << 60 else 0

    def is_active(self, *units: str) -> bool:
        """Say whether any of these units is up or coming up."""
        return any(self.run(["systemctl", "is-active", "--quiet", unit])[0] == 0 for unit in units)

    def is_enabled(self, unit: str) -> bool:
        return self.run(["systemctl", "is-enabled", "--quiet", unit])[0] == 0

    def enable(self, unit: str) -> None:
        self._do("systemctl", "enable", unit)

    def journal(self, unit: str, lines: int = 100) -> str:
        """Return the last lines that a unit logged; empty where there is no journal."""
        return self.run(["journalctl", "--no-pager", "-q", "-o", "cat", "-n", str(lines), "-u", unit])[1].strip()

    def ensure_user(self) -> None:
        """Make the app's system user; sysusers.d(5) does nothing when it exists."""
        self._do("systemd-sysusers", "--inline", f'u {self.layout.user} - "{self.layout.owner}" {self.layout.data}')

    def ensure_users(self, names: t.Sequence[str]) -> None:
        """Make users of processes, and the group of what they share with the app's."""
        made = [f'u {name} - "{self.layout.owner}" {self.layout.own_data(name)}' for name in names]
        self._do("systemd-sysusers", "--inline", f"g {self.layout.shared_group} -", *made)

    # Transient units: what has to happen later, whether anybody is there or not (systemd-run(1)).

    def after(self, name: str, seconds: float, argv: t.Sequence[str], description: str) -> None:
        """Run a command in `seconds` (0: now) as unit `name`, again every few seconds until it succeeds."""
        self.begin_after(name, seconds, argv, description)()

    def begin_after(self, name: str, seconds: float, argv: t.Sequence[str], description: str) -> t.Callable[[], None]:
        """Begin to put off what `after` does, and return what waits until that is done."""
        when = ["--timer-property=AccuracySec=100ms", f"--on-active={seconds:.3f}"] if seconds > 0 else ["--no-block"]
        again = ["Restart=on-failure", "RestartSec=5", "StartLimitIntervalSec=0"]
        told = ["systemd-run", "--quiet", "--collect", f"--unit={name}", f"--description={description}", *when]
        told += [*(f"--property={item}" for item in again), "--", *argv]
        ended = self.run_beside(told)

        def end() -> None:
            if ended()[0] != 0:
                # Most likely it is put off already: what was told last counts.
                self.run(["systemctl", "stop", f"{name}.timer", f"{name}.service"])
                self._do(*told)

        return end

    def begin(self, name: str, description: str) -> None:
        """Have a service that goes on starting until `end`: whatever comes After= it waits for that."""
        told = ["systemd-run", "--quiet", "--collect", "--no-block", "--service-type=oneshot", f"--unit={name}"]
        told += [f"--description={description}", "--", "sleep", "86400"]
        if self.run(told)[0] != 0:
            self.end(name)  # most likely it is there already
            if self.run(told)[0] != 0:
                # What waits for it keeps it loaded after its end, with this very text.
                self.start(f"{name}.service", block=False)

    def end(self, name: str) -> None:
        """Let what waits for it go on; one that is not there is fine."""
        if os.path.exists(f"{self.layout.transient}/{name}.service"):
            self.forget(f"{name}.service")

    def never(self, name: str) -> None:
        """Take back what `after` put off; one that runs already runs on, it may be the caller."""
        self.run(["systemctl", "stop", "--quiet", f"{name}.timer"])

    def is_put_off(self, name: str) -> bool:
        """Say whether what `after` was told still waits or runs."""
        return self.is_active(f"{name}.timer") or self.show(f"{name}.service").active in ("active", "activating")

    # Instances: a template of the release becomes the unit of an activation.

    def instance(self, name: str, activation: int) -> str:
        """Return the runtime name of a template file: `...-web@.service` -> `...-web@7.service`."""
        return name.replace("@.", f"@{activation}.", 1)

    def install(self, units: dict[str, str], activation: int) -> None:
        """Write the units of an activation below /run, where no reboot finds them again.

        Drop-ins come before their units: whoever loads a unit in between finds it confined. systemd reads units that it
        never saw when they are asked for, so only other ones cost a reload.
        """
        changed = False
        for name, text in sorted(units.items(), key=lambda unit: ("/" not in unit[0], unit[0])):
            if "@." not in name:
                continue  # one per app: _release.listen
            path = os.path.join(self.layout.units, self.instance(name, activation))
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            changed = changed or files.read(path) not in (None, text.encode())
            files.write(path, text.encode())
        self._touch()
        if changed:
            self.reload()

    def _touch(self) -> None:
        """Give the folder of units a time of its own: by it systemd sees that it does not know all that is in there.

        Two changes within a tick of the kernel's clock would have one time (systemd pull request 16885).
        """
        now = time.time_ns()
        os.utime(self.layout.units, ns=(now, now))

    def installed(self, activation: int | None = None) -> list[str]:
        """Return the names of our unit files of an activation (all of them for None) below /run."""
        return self._below_units(activation, "")

    def _below_units(self, activation: int | None, ending: str) -> list[str]:
        number = r"\d+" if activation is None else str(activation)
        return files.names(self.layout.units, rf"{PREFIX}-{self.layout.app}-[a-z0-9_.]+@{number}\.({_KINDS}){ending}")

    def activations(self) -> list[int]:
        """Return the numbers of the activations that have units or a folder below /run."""
        folders = os.listdir(self.layout.run) if os.path.isdir(self.layout.run) else []
        units = {int(name.split("@")[1].split(".")[0]) for name in self.installed()}
        return sorted(units | {int(name) for name in folders if name.isdigit()})

    def uninstall(self, activation: int) -> None:
        """Stop and forget an activation; in one call, so that no socket starts its service again."""
        names = self.installed(activation)
        self.forget(*names)
        for name in names:
            files.remove(os.path.join(self.layout.units, name))
        for name in self._below_units(activation, r"\.d"):
            shutil.rmtree(os.path.join(self.layout.units, name), ignore_errors=True)
        shutil.rmtree(self.layout.activation_run(activation), ignore_errors=True)
        if names:
            self.reload()
