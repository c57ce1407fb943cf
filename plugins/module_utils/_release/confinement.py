# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A look from inside of a sandbox, before anything of the app runs in it: the gate behind that of the exposure."""

from __future__ import annotations

import json
import os
import pkgutil
import re
import typing as t
import uuid

from .._core.errors import ContainerlessError
from .._core.names import PREFIX, Layout
from .._sandbox import directives, effect, inside
from . import transient
from .systemd import Run

OPTION = "app_sandbox_opt_out"
#: Within /usr, which every profile shows.
_PYTHON = "/usr/bin/python3"
#: What starts, feeds or restarts a process, and is no part of its sandbox.
_NOT_SANDBOX = re.compile(
    "(Exec(Start|Stop|Reload|Condition)[A-Za-z]*|Type|PIDFile|BusName|Restart[A-Za-z]*|Sockets|Timeout[A-Za-z]*|Kill[A-Za-z]*"
    "|Standard[A-Za-z]*|Watchdog[A-Za-z]*|Environment[A-Za-z]*|(Load|Set|Import)Credential[A-Za-z]*|RemainAfterExit"
    "|SyslogIdentifier|GuessMainPID|SuccessExitStatus|FileDescriptor[A-Za-z]*|OpenFile|Slice)="
)


def look(run: Run, texts: t.Sequence[str], activation: int) -> dict[str, list[str]]:
    """Return what holds inside of a sandbox: {directive: [state, detail]}. Raises when nothing can run in it."""
    unit = f"{PREFIX}-sandbox-{uuid.uuid4().hex}"
    # The module's own code comes in a zip file.
    source = t.cast("bytes", pkgutil.get_data(inside.__package__, "inside.py")).decode()
    command = [_PYTHON, "-IS", "-c", source, json.dumps(effect.facts(texts))]
    kept = [_sandbox_of(text) for text in texts]
    told = transient.argv(
        kept, command, unit=unit, description="a look at a sandbox", activation=activation, terminal=False
    )
    rc, out, err = run(told)
    try:
        return dict(json.loads(out))
    except ValueError:
        said = (
            err.strip() or run(["journalctl", "--no-pager", "-q", "-o", "cat", "-n", "5", "-u", f"{unit}.service"])[1]
        )
        raise ContainerlessError(f"nothing can run in the sandbox (rc {rc}): {' '.join(said.split())}") from None


def _sandbox_of(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not _NOT_SANDBOX.match(line.partition("=")[0].strip() + "="))


def summary(config: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return what `status` shows of a release's sandbox; one that was staged by an earlier version was strict."""
    sandbox = config["sandbox"]
    named = {key: sandbox.get(key, []) for key in ("opt_out", "unenforced")}
    return {"profile": sandbox.get("profile", "strict"), **named}


def lines(sandbox: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """Yield the summary for a person."""
    yield f"sandbox: {sandbox['profile']}"
    for item in sandbox["opt_out"]:
        yield f"opted out of {item['directive']}{_allowing(item)}: {item['reason']}"
    yield from (f"not held by this host, {item['directive']}: {item['reason']}" for item in sandbox["unenforced"])


def _allowing(item: t.Mapping[str, t.Any]) -> str:
    return f" for {' '.join(item['allow'])}" if item.get("allow") else ""


def texts_of(layout: Layout, process: str, activation: int) -> list[str]:
    """Return the unit text of a process of an activation and those of its drop-ins, as systemd reads them."""
    unit = os.path.join(layout.units, layout.unit(process, activation))
    folder = f"{unit}.d"
    names = sorted(name for name in os.listdir(folder) if name.endswith(".conf")) if os.path.isdir(folder) else []
    return [_read(path) for path in (unit, *(os.path.join(folder, name) for name in names))]


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def gate(run: Run, layout: Layout, config: t.Mapping[str, t.Any], activation: int) -> None:
    """Raise with the list of what this host does not hold of an activation's sandbox and nobody accepted."""
    texts = texts_of(layout, "web", activation)
    if not directives.protecting(texts):
        return
    accepted = [item["directive"] for item in summary(config)["unenforced"]]
    found = effect.weak(texts, look(run, texts, activation), accepted)
    if found:
        raise ContainerlessError(
            f"this host does not hold what the sandbox asks for: {'; '.join(map(str, found))};"
            f" mend the host, or name the directives with a reason in {OPTION}"
        )
