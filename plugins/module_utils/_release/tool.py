# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host tool: these very rooms, copied to the host, so that a rollback or a boot needs no control node."""

from __future__ import annotations

import os
import shutil
import typing as t

from .._core import canonical
from .._core.names import PREFIX, Layout
from . import files

ROOMS = ("_core", "_artifact", "_sandbox", "_release")
#: Versions of the tool that stay beside the current one: timers run the version that armed them.
_OLDER_TOOLS = 3
_COMMAND = """#!/usr/bin/python3 -IS
# The host tool of containerless.django; `current` is replaced by the next release.
import sys

sys.path.insert(0, "{folder}")
from {package}._release.cli import main

main()
"""


def digest_of(rooms: str) -> str:
    """Return the digest of the tool that `pack` makes of a folder of rooms. Runs on the control node."""
    return _digest(_sources(rooms))


def pack(rooms: str) -> tuple[str, str]:
    """Return (digest, base64 zip) of the rooms' sources below the folder `rooms`. Runs on the control node."""
    import base64
    import io
    import zipfile

    sources = _sources(rooms)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(sources.items()):
            archive.writestr(zipfile.ZipInfo(name), text)
    return _digest(sources), base64.b64encode(buffer.getvalue()).decode()


def _digest(sources: dict[str, str]) -> str:
    return canonical.digest(t.cast("t.Any", sources))[:16]


def _sources(rooms: str) -> dict[str, str]:
    """Return the text of each file by its name below the rooms' folder."""
    sources: dict[str, str] = {}
    for room in ROOMS:
        for folder, folders, names in os.walk(os.path.join(rooms, room)):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(names):
                if name.endswith(".py"):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as handle:
                        sources[os.path.relpath(path, rooms)] = handle.read()
    return sources


def installed(layout: Layout) -> str:
    """Return the digest of the host's current tool; empty when it is missing or not whole."""
    try:
        digest = os.readlink(f"{layout.tools}/current")
    except OSError:
        return ""
    return digest if os.path.isdir(f"{layout.tools}/{digest}") and os.path.exists(layout.command) else ""


def command_of(layout: Layout, digest: str) -> str:
    """Return the command of one version, whether it is there or not."""
    return f"{layout.tools}/{digest}/command"


def own_command(layout: Layout) -> str:
    """Return the command of the version that is current now, by its own path."""
    return command_of(layout, installed(layout) or "current")


def install(layout: Layout, digest: str, packed: str) -> bool:
    """Unpack the tool beside older ones and let `current` and the command follow. Returns whether it was new."""
    if installed(layout) == digest:
        return False
    import base64
    import compileall
    import io
    import zipfile

    files.directory(layout.tools)
    target, aside = f"{layout.tools}/{digest}", f"{layout.tools}/.{digest}"
    if not os.path.isdir(target):
        shutil.rmtree(aside, ignore_errors=True)
        package = os.path.join(aside, PREFIX)
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed))) as archive:
            archive.extractall(package)
        files.write(f"{package}/__init__.py", b"")
        files.write(f"{aside}/command", _command(target), 0o755)
        _readable(aside)
        compileall.compile_dir(aside, quiet=2, stripdir=aside, prependdir=target)
        os.sync()  # a boot after a power cut may run it
        os.rename(aside, target)
    files.link(digest, f"{layout.tools}/current")
    files.write(layout.command, _command(f"{layout.tools}/current"), 0o755)
    return True


def _command(folder: str) -> bytes:
    return _COMMAND.format(folder=folder, package=PREFIX).encode()


def prune(layout: Layout) -> None:
    """Remove versions of the tool but the current one and the newest before it."""
    keep = {installed(layout), "current"}
    names = [name for name in files.names(layout.tools, "[^.].*") if name not in keep]
    older = sorted(names, key=lambda name: os.stat(f"{layout.tools}/{name}").st_mtime, reverse=True)
    for name in older[_OLDER_TOOLS:]:
        shutil.rmtree(f"{layout.tools}/{name}", ignore_errors=True)


def _readable(path: str) -> None:
    """A strict umask of the connection must not hide the tool from the app's sandbox (it reads the probes)."""
    for folder, _folders, names in os.walk(path):
        os.chmod(folder, 0o755)
        for name in names:
            os.chmod(os.path.join(folder, name), 0o755 if name == "command" else 0o644)
