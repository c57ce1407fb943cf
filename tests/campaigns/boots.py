# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mounted disk booted by systemd-nspawn, half a second instead of ten: the same user space on this host's kernel.

What it writes goes into an overlay, so the disk stays as the power cut left it.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ...plugins.module_utils._machine import cgroups, nspawn_host, processes
from ...plugins.module_utils._machine.nspawn import Mount
from ...plugins.module_utils._machine.paths import ImagePaths, MachinePaths
from ...plugins.module_utils._machine.state import State
from .vm import SECONDS, Said, VmError, wait_booted

NAME = "power"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Booted:
    """A machine of a root folder `<parent>/rootfs`; gone with the with block."""

    def __init__(self, folder: Path, parent: Path, mounts: tuple[Mount, ...] = ()) -> None:
        self.paths, self.mounts = MachinePaths(folder), mounts
        self.image = ImagePaths(parent.parent, parent.name)
        self.state: State | None = None
        self.leader = 0
        self.talk: subprocess.Popen[str] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Return where its nginx answers."""
        return (self.state.host if self.state else ""), 80

    def __enter__(self) -> Self:
        self.remove()
        self.paths.root.mkdir(parents=True)
        self.paths.check()
        # Keys and names are on the disk already.
        self.paths.identity.write_text("# nothing new\n", encoding="utf-8")
        draft = State(NAME, NAME, "disk", "disk", "nspawn", "", 0, "")
        try:
            self.state = nspawn_host.plan(draft, self.paths)
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def start(self) -> None:
        """Boot it, again where it is down."""
        if self.state:
            processes.end(self.paths.root)
            nspawn_host.start(self.state, self.paths, self.image, self.mounts)
            self.leader = self._find_leader(time.monotonic() + 20)

    def remove(self) -> None:
        """End it and take its network, its cgroups and what it wrote."""
        if self.talk:
            self.talk.kill()
            self.talk.communicate()
        processes.end(self.paths.root)
        if self.paths.root.exists():
            nspawn_host.release(self.paths)
            cgroups.remove(self.state.cgroups if self.state else ())
            shutil.rmtree(self.paths.root)

    def _find_leader(self, deadline: float) -> int:
        """Return the id of the machine's first process: the child of systemd-nspawn that has become systemd."""
        while time.monotonic() < deadline:
            for pid in processes.marked(self.paths.root):
                for child in _children(pid):
                    if _comm(pid) == "systemd-nspawn" and _comm(child) == "systemd":
                        return child
            time.sleep(0.02)
        raise VmError(f"the machine did not start: {self.paths.console.read_text(errors='replace')[-400:]}")

    def run(self, *argv: str, stdin: str = "", seconds: float = SECONDS, check: bool = False) -> Said:
        """Run a program on the machine as root."""
        try:
            done = subprocess.run(
                [*self._inside(), *argv], input=stdin, capture_output=True, text=True, check=False, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            raise VmError(f"no answer after {seconds:.0f} s: {' '.join(argv)}") from None
        if check and done.returncode:
            raise VmError(f"{' '.join(argv)}: rc {done.returncode}\n{done.stdout}{done.stderr}")
        return Said(done.returncode, done.stdout, done.stderr)

    def _inside(self) -> list[str]:
        """Return what a command of this host begins with that is to run on the machine."""
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        return [
            "nsenter",
            f"--target={self.leader}",
            *spaces,
            "env",
            "-i",
            f"PATH={PATH}",
            "LANG=C.UTF-8",
            "HOME=/root",
        ]

    def open(self, *argv: str) -> str:
        """Start a program to talk with; return its first line."""
        self.talk = subprocess.Popen(
            [*self._inside(), *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self._line()

    def tell(self, text: str) -> str:
        """Give that program a line; return its next one."""
        if self.talk and self.talk.stdin:
            self.talk.stdin.write(text + "\n")
        return self._line()

    def _line(self) -> str:
        return self.talk.stdout.readline() if self.talk and self.talk.stdout else ""

    def sh(self, script: str, *, check: bool = True, stdin: str = "", seconds: float = SECONDS) -> Said:
        """Run a script on the machine as root."""
        return self.run("sh", "-euc", script, stdin=stdin, seconds=seconds, check=check)

    def wait_booted(self) -> str:
        """Wait until systemd has started everything; return the state in which it is then."""
        return wait_booted(self.run)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
