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
from dataclasses import asdict

from .._core.errors import ContainerlessError
from .._core.names import PREFIX, Layout
from .._sandbox import directives, effect, inside
from . import exposure, files, systemd, transient
from .state import State
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

#: What systemd shows under another name.
_SHOWN = {"CPUQuota": "CPUQuotaPerSecUSec"}
#: Only %i and %% are known here; systemd fills in the others when it reads a file, and nowhere else.
_SPECIFIER = re.compile(r"^[A-Za-z]+=(?:[^%\n]|%%|%i)*?(%[A-Za-hj-z])", re.MULTILINE)


def look(run: Run, texts: t.Sequence[str], activation: int | str) -> dict[str, list[str]]:
    """Return what holds inside of a sandbox: {directive: [state, detail]}. Raises when nothing can run in it."""
    unit = f"{PREFIX}-sandbox-{uuid.uuid4().hex}"
    # The module's own code comes in a zip file.
    source = t.cast("bytes", pkgutil.get_data(inside.__package__, "inside.py")).decode()
    known = [transient.filled_in(text, activation) for text in texts]
    command = [_PYTHON, "-IS", "-c", source, json.dumps(effect.facts(known))]
    kept = [_sandbox_of(text) for text in texts]
    unknown = sorted({found for text in kept for found in _SPECIFIER.findall(text)})
    if unknown:
        raise ContainerlessError(f"its sandbox can't be looked at from inside: it has {', '.join(unknown)} in a line")
    told = transient.argv(
        kept, command, unit=unit, description="a look at a sandbox", activation=activation, terminal=False, bare=True
    )
    rc, out, err = run(told)
    try:
        return dict(json.loads(out))
    except ValueError:
        said = err.strip() or run(["journalctl", "--no-pager", "-q", "-o", "cat", "-u", f"{unit}.service"])[1]
        first = next((line.partition(".service: ")[2] or line for line in said.splitlines()), "nothing was said")
        raise ContainerlessError(f"nothing can run in the sandbox (rc {rc}): {first}") from None


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
    drop_ins = files.names(f"{unit}.d", r".*\.conf")
    return [_read(path) for path in (unit, *(f"{unit}.d/{name}" for name in drop_ins))]


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def texts_on_host(run: Run, unit: str) -> list[str]:
    """Return the texts of a loaded unit and its drop-ins. Raises when it is none of this host."""
    shown = properties(run, unit, ["LoadState", "FragmentPath", "DropInPaths"])
    if shown.get("LoadState") != "loaded" or not shown["FragmentPath"]:
        raise ContainerlessError(f"{unit} is not a unit of this host with a file of its own")
    return [_read(path) for path in (shown["FragmentPath"], *shown["DropInPaths"].split())]


def properties(run: Run, unit: str, names: t.Sequence[str]) -> dict[str, str]:
    """Return properties of a unit as systemd has them."""
    rc, out, err = run(["systemctl", "show", f"--property={','.join(names)}", "--", unit])
    if rc != 0:
        raise ContainerlessError(f"systemctl show {unit} failed: {err.strip()}")
    return dict(line.partition("=")[::2] for line in out.splitlines())


def examine(run: Run, unit: str, texts: t.Sequence[str]) -> dict[str, t.Any]:
    """Return what is known of a unit's sandbox: asked for, applied by systemd, and seen from inside."""
    asked = directives.protecting(texts)
    applied = properties(run, unit, [_SHOWN.get(name, name) for name in asked]) if asked else {}
    instance = unit.partition("@")[2].rpartition(".")[0]
    measured = exposure.measure(run, unit)
    outcomes, not_probed = {}, ""
    try:
        outcomes = look(run, texts, instance)
    except ContainerlessError as exc:
        not_probed = str(exc)
    return {
        "unit": unit,
        "profile": effect.profile(texts),
        "exposure": str(measured),
        "costs": [
            {"name": c.name, "exposure": exposure.decimal(c.tenths), "why": c.description} for c in measured.costs
        ],
        "opt_out": effect.opted_out(texts),
        "directives": [
            {
                "directive": name,
                "asked": value,
                "applied": applied.get(_SHOWN.get(name, name), ""),
                **dict(zip(("inside", "detail"), outcomes.get(name, ("", "")))),
            }
            for name, value in sorted(asked.items())
        ],
        "weak": [asdict(item) for item in effect.weak(texts, outcomes)],
        "not_probed": not_probed,
    }


def report(app: str | None, unit: str | None, run: Run = systemd.run) -> list[dict[str, t.Any]]:
    """Return what is known of a unit, or of each process of an app's active release."""
    if unit:
        return [examine(run, unit, texts_on_host(run, unit))]
    layout = Layout(app or "")
    active, stored = State.read(layout).live()
    names = [layout.unit(name, active.activation, instance=number) for name, number in stored.instances]
    return [examine(run, name, texts_on_host(run, name)) for name in names]


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
