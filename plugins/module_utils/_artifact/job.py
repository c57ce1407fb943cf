# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the steps of a build share: the folders, the inputs, and how a command is started."""

from __future__ import annotations

import json
import os
import shutil
import stat
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from .._core.errors import ContainerlessError
from . import runner

#: Path in the tree, mode, size in bytes, time of the last change of any kind in nanoseconds.
Entry = tuple[str, int, int, int]

#: A file in the folder of the results: one line, the step that is under way.
PROGRESS = "progress"
_FACTS = """
import json, importlib.util, os, platform, sys, sysconfig, zlib
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": "%d.%d" % sys.version_info[:2],
    "full": platform.python_version(),
    "soabi": sysconfig.get_config_var("SOABI"),
    "magic": importlib.util.MAGIC_NUMBER.hex(),
    "machine": platform.machine(),
    "libc": os.confstr("CS_GNU_LIBC_VERSION"),
    "zlib": zlib.ZLIB_RUNTIME_VERSION,
}))
"""


@dataclass
class Job:
    """One build in its own folder `work`; `tree` below it becomes the artifact, `out` its blobs.

    `bundle` and `progress` are open files: they stand where the user of the build may not go.
    """

    work: str
    bundle: t.IO[bytes]
    progress: t.IO[bytes]
    python: str
    commands: runner.Runner
    inputs: dict[str, t.Any] = field(default_factory=dict)
    facts: dict[str, t.Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def at(self, *parts: str) -> str:
        """Return a path below the work folder."""
        return os.path.join(self.work, *parts)

    @property
    def tree(self) -> str:
        """The folder that becomes the artifact."""
        return self.at("tree")

    @property
    def out(self) -> str:
        """The folder of the results."""
        return self.at("out")

    @property
    def venv(self) -> str:
        """The environment inside of it."""
        return self.at("tree", "venv")

    @property
    def epoch(self) -> int:
        """Time of the commit in seconds, the only time that an artifact knows."""
        return int(self.inputs["source_date_epoch"])

    @property
    def uv(self) -> list[str]:
        """How uv is called; the bundle brings it where something is installed."""
        return [self.at("in/uv"), "--no-progress", "--color", "never"]

    def say(self, step: str) -> None:
        """Tell who watches which step is under way."""
        # One write, and as long as any other: whoever reads meanwhile gets a whole line.
        os.pwrite(self.progress.fileno(), f"{step:40}\n".encode(), 0)

    def unpack(self) -> None:
        """Lay out the inputs, and see that this is the machine that they are for."""
        for folder in ("in", "home", "out", "tree", "tree/app"):
            self.commands.own(self.at(folder))
        self.commands.run(["tar", "-x", "-C", self.at("in")], "unpacking the inputs", stdin=self.bundle)
        self.inputs = json.loads(Path(self.at("in/inputs.json")).read_text(encoding="utf-8"))
        self.commands.env.update(runner.environment(self.at("home"), self.epoch))
        self.facts = json.loads(self.commands.run([self.python, "-I", "-c", _FACTS], f"asking {self.python}"))
        self._check_machine()

    def _check_machine(self) -> None:
        wanted, has = self.inputs, self.facts
        found = (has["implementation"], has["full"], has["machine"], (has["libc"] or "no").split(" ")[0])
        # The micro version too: 3.11.2 and 3.11.7 write other bytecode of the same source.
        if found != ("cpython", wanted["python_full"], wanted["machine"], "glibc"):
            raise ContainerlessError(
                f"{self.python} of the build host is {' '.join(found)}, but {wanted['platform']} needs cpython"
                f" {wanted['python_full']} {wanted['machine']} glibc (app_build_host, app_build_platforms)"
            )

    def compile(self, *paths: str) -> tuple[int, str]:
        """Write bytecode that no host has to check, with paths that no machine is in, for files or folders of the tree.

        One process a tree, in order: what is compiled before can decide bytes (cpython issue 129724).
        """
        argv = [self.python, "-I", "-m", "compileall", "-q", "-f", "-j", "1", "--invalidation-mode", "unchecked-hash"]
        return self.commands.call([*argv, "-s", self.tree, *paths], cwd=self.work)

    def remove(self, path: str) -> None:
        """Remove a file or a folder of the work folder, links not followed."""
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def listing(self, *, free: str = "", bytecode: bool = True) -> set[Entry]:
        """Return what stands in the tree, the folder `free` in it left out; `bytecode` too, unless it is being written.

        The time is ctime, which no program but the kernel sets; folders have none, as bytecode is written into them.
        """
        found: set[Entry] = set()
        for folder, folders, names in os.walk(self.tree):
            if folder == self.tree:
                folders[:] = [name for name in folders if name != free]
            if not bytecode:
                folders[:] = [name for name in folders if name != "__pycache__"]
            for name in (*folders, *names):
                path = os.path.join(folder, name)
                facts = os.lstat(path)
                marks = (0, 0) if stat.S_ISDIR(facts.st_mode) else (facts.st_size, facts.st_ctime_ns)
                found.add((os.path.relpath(path, self.tree), facts.st_mode, *marks))
        return found

    def changed(self, before: set[Entry], *, free: str = "", bytecode: bool = True) -> str | None:
        """Return the first path that is not as it was, or None."""
        return min((entry[0] for entry in before ^ self.listing(free=free, bytecode=bytecode)), default=None)
