# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs what is not ours on the build machine: scrubbed environment, never root, no network if the kernel allows it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from .._core.errors import ContainerlessError

PATH = "/usr/local/bin:/usr/bin:/bin"
#: Debian's user of nobody: a build that starts as root goes on as this one.
NOBODY = 65534
#: The first process of a PID namespace takes all the others with it when it ends (pid_namespaces(7)).
_ALONE = ("unshare", "--user", "--map-current-user", "--net", "--pid", "--fork", "--kill-child", "--")
_TAIL = 2000


def environment(home: str, epoch: int) -> dict[str, str]:
    """Return the whole environment of a build: nothing of the user's, nothing that differs between machines."""
    return {
        "PATH": PATH,
        "HOME": home,
        "TMPDIR": home,
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(epoch),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "UV_CACHE_DIR": f"{home}/uv",
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def tail(text: str) -> str:
    """Return the end of an output, cut at a line."""
    text = text.strip()
    return text if len(text) <= _TAIL else "...\n" + text[-_TAIL:].partition("\n")[2]


@dataclass(frozen=True)
class Runner:
    """How commands are started. `user` is a number to change to, or None.

    `prefix` takes the network away, and what they leave running.
    """

    env: dict[str, str]
    user: int | None = None
    prefix: tuple[str, ...] = field(default=())

    @property
    def isolated(self) -> bool:
        """Whether commands have no network of their own, whatever the machine has."""
        return bool(self.prefix)

    def own(self, path: str) -> str:
        """Make a folder that the commands may write; return it."""
        Path(path).mkdir(parents=True, exist_ok=True)
        if self.user is not None:
            os.chown(path, self.user, self.user)
        return path

    def call(
        self, argv: list[str], *, cwd: str = "/", env: dict[str, str] | None = None, stdin: t.IO[bytes] | None = None
    ) -> tuple[int, str]:
        """Return exit status and output (both streams, as they come) of a command."""
        identity: dict[str, t.Any] = {}
        if self.user is not None:
            identity = {"user": self.user, "group": self.user, "extra_groups": []}
        done = subprocess.run(
            [*self.prefix, *argv],
            cwd=cwd,
            env={**self.env, **(env or {})},
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            umask=0o022,
            check=False,
            **identity,
        )
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def run(self, argv: list[str], what: str, **options: t.Any) -> str:
        """Return the output of a command, or raise with the end of it."""
        try:
            status, output = self.call(argv, **options)
        except OSError as exc:
            raise ContainerlessError(f"{what} failed: can't start {argv[0]}: {exc.strerror or exc}") from None
        if status:
            last = output.strip().rpartition("\n")[2] or f"exit status {status}"
            context = f"\n{tail(output)}" if "\n" in output.strip() else ""
            raise ContainerlessError(f"{what} failed: {last}{context}")
        return output


@contextlib.contextmanager
def unprivileged(folder: str) -> t.Iterator[None]:
    """Hand a folder to nobody, and be nobody for a while, where this is root: who works there could leave it links.

    The saved user id alone stays root's, and a program that is started gets none (execve(2)).
    """
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.chown(folder, NOBODY, NOBODY)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, 0)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


def make_runner(env: dict[str, str]) -> Runner:
    """Return a runner for this machine and user."""
    user = NOBODY if os.geteuid() == 0 else None
    shut = Runner(env, user, _ALONE)
    try:
        works = shut.call(["true"])[0] == 0
    except OSError:
        works = False
    return shut if works else Runner(env, user)
