# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the project's own tests need beside the artifact, on the machine: distributions, and files that it leaves out.

The artifact's tree stays as it is. In the sandbox of the tests the distributions are on PYTHONPATH; a copy of the code
with those files laid over it is bound over the code, read-only, so that all paths are those of the release.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

from .._artifact import tar
from .._core import canonical
from .._core.errors import ContainerlessError
from .._core.names import Layout

DOCUMENT, LIBRARIES, CODE = "overlay.json", "lib", "app"
#: The digest of the whole is checked before; this is against a mistake of ours.
_LIMITS = tar.Size(1_000_000, 8 << 30)
_COUNTS = (re.compile(r"^Ran (\d+) tests?\b", re.MULTILINE), re.compile(r"\b(\d+) passed\b"))
_FAILURES = re.compile(r"^(FAILED .*|=+ .*\b(?:failed|errors?)\b.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Placed:
    """An overlay in its place: unit texts that show it to a sandbox."""

    tree: str
    folder: str
    document: dict[str, t.Any]

    @property
    def summary(self) -> str:
        number = len(self.document["distributions"])
        return f"{number} distributions" if number else "nothing"

    @property
    def libraries(self) -> str:
        return f"{self.folder}/{LIBRARIES}"

    @property
    def texts(self) -> list[str]:
        lines = ["[Service]"]
        if self.document["distributions"]:
            # Bound read-only before it may hold code that runs, as the release's own tree is.
            lines += [f"BindReadOnlyPaths={self.libraries}", f"ExecPaths={self.libraries}"]
            lines += [f"Environment=PYTHONPATH={self.tree}/{CODE}:{self.libraries}"]
        if self.document["files"]:
            lines += [f"BindReadOnlyPaths={self.folder}/{CODE}:{self.tree}/{CODE}"]
        return ["\n".join(lines)] if lines[1:] else []


@dataclass(frozen=True)
class Overlay:
    """The overlay of a release's artifact."""

    layout: Layout
    content_id: str

    @contextlib.contextmanager
    def placed(self, path: str, sha256: str) -> t.Iterator[Placed]:
        """Unpack the tar and yield its place, which is gone afterwards. Raises when it is another artifact's."""
        folder, tree = f"{self.layout.srv}/tests", self.layout.tree(self.content_id)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            _unpack(path, sha256, folder)
            document = json.loads(Path(folder, DOCUMENT).read_bytes())
            if document["content_id"] != self.content_id:
                raise ContainerlessError(
                    f"{path} is the test overlay of artifact {document['content_id'][:12]}, and"
                    f" {self.content_id[:12]} is live"
                )
            if document["files"]:
                _lay_over(f"{tree}/{CODE}", f"{folder}/{CODE}")
            yield Placed(tree, folder, document)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _unpack(path: str, sha256: str, folder: str) -> None:
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        raise ContainerlessError(f"the test overlay {path} is not on this host") from None
    if canonical.sha256(data) != sha256:
        raise ContainerlessError(f"{path} is another test overlay than the one that was built: its SHA-256 differs")
    with open(path, "rb") as stream:
        tar.extract(stream, folder, _LIMITS)


def _lay_over(code: str, files: str) -> None:
    """Make `files` a copy of the code with these files laid over it."""
    shutil.move(files, f"{files}.over")
    shutil.copytree(code, files, symlinks=True)
    shutil.copytree(f"{files}.over", files, symlinks=True, dirs_exist_ok=True)


def argv(command: t.Sequence[str], placed: Placed) -> list[str]:
    """Return the argv of the tests. Raises for a console script that only the overlay would have."""
    script = command[1] if len(command) > 1 else ""
    if script.startswith(f"{placed.tree}/venv/bin/") and not os.path.exists(script):
        name = os.path.basename(script)
        raise ContainerlessError(
            f"app_test_command starts {name!r}, which is no console script of the artifact; a module of the test"
            f" overlay is started as python -m {name}"
        )
    return list(command)


def count(log: str) -> str:
    """Return how many tests passed, as unittest and pytest say it; without seconds, so equal runs say the same."""
    found = [match[1] for pattern in _COUNTS for match in pattern.finditer(log)]
    if not found:
        return "exit code 0"
    return "no test was found" if int(found[-1]) == 0 else f"{found[-1]} tests passed"


def failure(log: str, rc: int) -> str:
    """Return the line that says which tests failed, else how the command ended."""
    found = [match[1].strip("= ") for match in _FAILURES.finditer(log)]
    last = found[-1] if found else next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "")
    return f"the project's tests failed (exit code {rc}): {last[:200] or 'they printed nothing'}"
