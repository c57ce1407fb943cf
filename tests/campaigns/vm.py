# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine of a campaign: booted from any disk or woken from saved memory, talked with through a virtio port.

Its memory is saved as a migration into a file, so its disk may stand on other drivers when it wakes up.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...plugins.module_utils._machine import processes, qemu
from ...plugins.module_utils._machine.paths import ImagePaths

#: The name of the port, as the agent on the machine opens it.
PORT = "containerless.campaign"
MEMORY = 768
#: Without KVM a machine that runs programs takes its time.
SECONDS = 240.0


class VmError(Exception):
    """The machine did not do what it was asked, with what it said last."""


@dataclass(frozen=True)
class Said:
    """How a program on the machine ended."""

    rc: int
    out: str
    err: str


def wait_booted(run: Callable[..., Said]) -> str:
    """Wait until the systemd that `run` reaches has started everything; return the state in which it is then."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        state = run("systemctl", "is-system-running", "--wait").out.strip()
        if state in ("running", "degraded"):
            return state
        time.sleep(0.05)
    raise VmError("systemd has not started everything in time")


class Lines:
    """JSON lines over a socket of QEMU."""

    def __init__(self, path: Path, deadline: float) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self.file = self.socket.makefile("rb")

    def ask(self, question: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        self.socket.settimeout(seconds)
        self.socket.sendall(json.dumps(dict(question)).encode() + b"\n")
        return self.read()

    def read(self) -> dict[str, Any]:
        line = self.file.readline()
        if not line:
            raise VmError("the machine is gone")
        return dict(json.loads(line))

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def qcow2(path: Path, writelog: Path | None = None) -> list[str]:
    """Return a disk that keeps in memory what was not flushed, as QEMU does with its own tables; logged on request."""
    nodes: list[dict[str, Any]] = [
        {"driver": "file", "filename": str(path), "node-name": "file"},
        {"driver": "qcow2", "file": "file", "node-name": "disk"},
    ]
    if writelog:
        nodes += [
            # No flush of the log has to reach this host's disk: the host stays up.
            {"driver": "file", "filename": str(writelog), "node-name": "log", "cache": {"no-flush": True}},
            {"driver": "blklogwrites", "file": "disk", "log": "log", "node-name": "logged"},
        ]
    arguments = [part for node in nodes for part in ("-blockdev", json.dumps(node))]
    return [*arguments, "-device", f"virtio-blk-pci,drive={nodes[-1]['node-name']},write-cache=on"]


class Vm:
    """One machine in a folder of its own; gone with the with block."""

    def __init__(
        self,
        folder: Path,
        image: ImagePaths,
        disk: Sequence[str],
        *,
        kvm: bool,
        memory: Path | None = None,
        cpus: int = 2,
    ) -> None:
        self.folder, self.image, self.memory, self.kvm = folder, image, memory, kvm
        self.disk, self.cpus = list(disk), cpus
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Return where its nginx answers."""
        return "127.0.0.1", self.port

    def argv(self) -> list[str]:
        append = "root=LABEL=root rw console=ttyS0 quiet net.ifnames=0 machine.address systemd.hostname=power"
        accelerated = ["-accel", "kvm", "-cpu", "host"]
        emulated = ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"]
        woken = ["-incoming", f"exec:cat {self.memory}"] if self.memory else []
        return [
            qemu.BINARY,
            "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35",
            *(accelerated if self.kvm else emulated),
            "-smp", str(self.cpus),
            "-m", str(MEMORY),
            "-kernel", str(self.image.kernel),
            "-initrd", str(self.image.initrd),
            "-append", append if self.kvm else f"{append} mitigations=off",
            *self.disk,
            "-netdev", f"user,id=net,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:{self.port}-:80",
            "-device", "virtio-net-pci,netdev=net",
            "-device", "virtio-rng-pci",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=talk,path={self.folder / 'talk.sock'},server=on,wait=off",
            "-device", f"virtserialport,chardev=talk,name={PORT}",
            "-chardev", f"file,id=console,path={self.folder / 'console.log'},append=on",
            "-serial", "chardev:console",
            "-qmp", f"unix:{self.folder / 'qmp.sock'},server=on,wait=off",
            *woken,
        ]  # fmt: skip

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        processes.end(self.folder)
        deadline = time.monotonic() + SECONDS
        try:
            self.port = _free_port()
            self.process = processes.start(self.argv(), self.folder, self.folder / "qemu.log")
            self.qmp, self.talk = (Lines(self.folder / name, deadline) for name in ("qmp.sock", "talk.sock"))
            self.qmp.read()
            self.command("qmp_capabilities")
            if self.memory:
                while self.command("query-status")["status"] == "inmigrate":
                    time.sleep(0.02)
                self.command("cont")
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Give QEMU itself a command."""
        answer = self.qmp.ask({"execute": name, "arguments": arguments}, SECONDS)
        while "return" not in answer and "error" not in answer:  # events come between
            answer = self.qmp.read()
        if "error" in answer:
            raise VmError(f"{name}: {answer['error']['desc']}")
        return dict(answer["return"])

    def run(self, *argv: str, stdin: str = "", seconds: float = SECONDS, check: bool = False) -> Said:
        """Run a program on the machine as root."""
        try:
            answer = self.talk.ask({"run": list(argv), "stdin": stdin}, seconds)
        except TimeoutError:
            raise VmError(f"no answer after {seconds:.0f} s: {' '.join(argv)}") from None
        said = Said(answer["rc"], answer["out"], answer["err"])
        if check and said.rc:
            raise VmError(f"{' '.join(argv)}: rc {said.rc}\n{said.out}{said.err}")
        return said

    def sh(self, script: str, *, check: bool = True, stdin: str = "", seconds: float = SECONDS) -> Said:
        """Run a script on the machine as root."""
        return self.run("sh", "-euc", script, stdin=stdin, seconds=seconds, check=check)

    def open(self, *argv: str) -> str:
        """Start a program to talk with; return its first line."""
        return str(self.talk.ask({"open": list(argv)}, SECONDS)["line"])

    def tell(self, text: str) -> str:
        """Give that program a line; return its next one."""
        return str(self.talk.ask({"tell": text}, SECONDS)["line"])

    def wait_booted(self) -> str:
        """Wait until systemd has started everything; return the state in which it is then."""
        return wait_booted(self.run)

    def save(self, memory: Path) -> None:
        """Write the memory into a file and end; the disk is left as it is at this moment, whole."""
        self.command("stop")
        self.command("migrate", uri=f"exec:cat > {memory}")
        while (status := self.command("query-migrate")["status"]) not in ("completed", "failed"):
            time.sleep(0.05)
        if status == "failed":
            raise VmError("the memory could not be saved")
        self.quit()

    def quit(self) -> None:
        """End QEMU, which closes its files; the machine itself sees nothing of it."""
        self.command("quit")
        if self.process:
            self.process.wait(30)
        self.kill()

    def freeze(self) -> None:
        """Stop QEMU itself, between two instructions: its files are what a SIGKILL would leave."""
        if self.process:
            os.kill(self.process.pid, signal.SIGSTOP)
            # A system call that a thread has begun ends first.
            while not all(_is_stopped(task) for task in Path(f"/proc/{self.process.pid}/task").iterdir()):
                time.sleep(0.002)

    def thaw(self) -> None:
        if self.process:
            os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Cut the power."""
        processes.end(self.folder)
        if self.process:
            self.process.wait()
            self.process = None
        for name in ("qmp", "talk"):
            if lines := getattr(self, name, None):
                lines.close()


def _is_stopped(task: Path) -> bool:
    try:
        return "\nState:\tT" in (task / "status").read_text(encoding="utf-8")
    except OSError:  # it ended
        return True


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
