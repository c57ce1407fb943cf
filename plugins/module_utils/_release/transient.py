# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command in the very sandbox of a release, as a transient unit (systemd-run(1)). Pure: texts in, an argv out.

The unit texts of a release are the only truth about its sandbox, so each of their lines becomes a property, in order;
over D-Bus an empty one takes back what came before, as it does in a file. That the result is the same sandbox is shown
by tests/integration/sandbox/test_transient.py.
"""

from __future__ import annotations

import re
import typing as t

from .._sandbox.directives import assignments

#: Said by systemd-run itself, or about the one-off task that the text was written for.
_LEFT_OUT = frozenset({"ExecStart", "Type", "StandardOutput", "StandardError", "TimeoutStartSec"})
#: One list in systemd, and systemd-run 252 refuses to empty it: what came before is left out instead.
_BINDS = frozenset({"BindPaths", "BindReadOnlyPaths"})
#: Yes or no to systemd-run 257, which takes the other words under another name.
_BOOLEANS = frozenset({"PrivateTmp", "PrivateUsers", "ProtectControlGroups"})
#: In the names of units that make the network of an activation.
_EGRESS = "-egress."
#: systemd takes an end by SIGINT or SIGTERM for success; a shell says 128 + the signal. SIGHUP is to end the shell too.
_RUN = 'trap : INT QUIT TERM; "$@"; exit $?'


def properties(texts: t.Iterable[str], activation: int | str) -> list[str]:
    """Return the [Service] lines of unit texts as systemd-run takes them, specifiers filled in: no file is read.

    Of [Unit] only what has it share the network of its activation.
    """
    found: list[tuple[str, str]] = []
    texts = list(texts)
    joined = [line for text in texts for line in assignments(text, "Unit") if _EGRESS in line[1]]
    for key, value in [*joined, *(line for text in texts for line in assignments(text))]:
        if key in _BINDS and not value:
            found = [item for item in found if item[0] not in _BINDS]
        elif key not in _LEFT_OUT:
            found.append((key, filled_in(value, activation)))
    if any(key == "RuntimeDirectory" and value for key, value in found):
        # It is a running process's own as well: its end must not take that one's socket away.
        found.append(("RuntimeDirectoryPreserve", "yes"))
    return [f"{_name(key, value)}={value}" for key, value in found]


def _name(key: str, value: str) -> str:
    return f"{key}Ex" if key in _BOOLEANS and value not in ("yes", "no") else key


def filled_in(value: str, activation: int | str) -> str:
    """Return a text with the specifiers %i and %% filled in, as systemd does."""
    return re.sub("%([%i])", lambda match: "%" if match[1] == "%" else str(activation), value)


def argv(
    texts: t.Iterable[str],
    command: t.Iterable[str],
    *,
    unit: str,
    description: str,
    activation: int | str,
    terminal: bool,
    bare: bool = False,
) -> list[str]:
    """Return what runs `command` under the [Service] lines of unit texts and waits for its end.

    `terminal`: hand on a terminal, so that a person can be asked; else standard input and output as they are. `bare`:
    without the shell that tells an end by a signal. Only such a command, without `;` and `$`, is safe from a reload of
    systemd 252 between the making of the unit and its start: it writes the words down and reads others.
    """
    told = ["systemd-run", "--quiet", "--wait", "--collect", "--service-type=exec", "--pty" if terminal else "--pipe"]
    told += [f"--unit={unit}", f"--description={description}"]
    told += [f"--property={line}" for line in properties(texts, activation)]
    # systemd-run hands the words on, and systemd fills in variables.
    words = [*([] if bare else ("/bin/sh", "-c", _RUN, "sh")), *command]
    return [*told, "--", *(word.replace("$", "$$") for word in words)]
