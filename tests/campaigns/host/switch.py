# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the command that the host's timers run: once, where a job is armed, under killer.py; else as it was.

switch.py install    switch.py run COMMAND WORD ...
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys

TOOL = "/usr/local/lib/containerless/current"
PLACE = os.path.dirname(os.path.realpath(__file__))
ARMED, TAKEN = f"{PLACE}/armed.json", f"{PLACE}/taken.json"


def install() -> None:
    """Put ourselves in front of the command of the current tool."""
    command = os.path.join(os.path.realpath(TOOL), "command")
    kept = f"{command}.kept"
    if not os.path.exists(kept):
        shutil.copy2(command, kept)
    with open(f"{command}.new", "w", encoding="utf-8") as handle:
        handle.write(f'#!/bin/sh\nexec /usr/bin/python3 -I {os.path.realpath(__file__)} run {kept} "$@"\n')
    os.chmod(f"{command}.new", 0o755)
    os.rename(f"{command}.new", command)


def run(kept: str, *words: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rename(ARMED, TAKEN)
        os.execv("/usr/bin/python3", ["python3", "-I", f"{PLACE}/killer.py", TAKEN, *words])
    os.execv(kept, [kept, *words])


if __name__ == "__main__":
    if sys.argv[1] == "install":
        install()
    else:
        run(*sys.argv[2:])
