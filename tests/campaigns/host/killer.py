# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the host tool's own code on a host and kills itself (SIGKILL) at a named effect, or lists all effects.

An effect is what other processes can see: a file that is opened for writing, renamed, linked or removed below one of
our folders, and a program that is run. Python's audit events (PEP 578) come before each of them, so the code under test
has no hooks and no way around. A flush is no effect here: without a power cut nobody sees whether it happened.

    killer.py JOB.json [WORD ...]

The job: {"app", "rooms", "calls": [params], "kill": name of an effect, "during": bool, "out": file}; words are a call
of the command `containerless`. The last line told is JSON: what was killed, or all effects and results.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import traceback
import typing as t
import uuid

TOOLS = "/usr/local/lib/containerless"
PLACES = tuple(
    f"/{place}/containerless" for place in ("srv", "etc", "var/lib", "run", "usr/local/lib", "usr/local/bin")
)
OURS = (*PLACES, "/run/systemd/system/containerless-", "/etc/systemd/system/containerless-")
WRITES = os.O_WRONLY | os.O_RDWR
#: Programs that only look: running one changes nothing, and how often it runs depends on how long something takes.
LOOKS = re.compile(r"systemctl (show|is-|list-|cat|--version)|systemd-analyze|journalctl|\S*python3\S* -IS -c")
#: How long a program may run before the kill that comes "during" it; what it began goes on without us.
DURING_SECONDS = 0.012

Args = t.Sequence[t.Any]


class Watch:
    """Names effects in their order; at the wanted one it ends the process as kill -9 does."""

    def __init__(self, job: dict[str, t.Any]) -> None:
        self.app, self.base = job["app"], active(job["app"])
        self.kill, self.during = job.get("kill") or "", job.get("during", False)
        self.say = say_on(job.get("out", ""))
        self.call = "-"
        self.seen: dict[tuple[str, str, str], int] = {}
        self.effects: list[dict[str, str]] = []
        self.is_on = False

    def hook(self, event: str, args: Args) -> None:
        """Called by the interpreter before what the event names."""
        maker = EVENTS.get(event)
        if maker is None or not self.is_on:
            return
        self.is_on = False  # what follows opens files as well
        try:
            if what := maker(args):
                self.meet(what)
        finally:
            self.is_on = True

    def meet(self, what: str) -> None:
        """Note an effect, or die before it."""
        step, text = self.step(), plain(what, self.app, self.base)
        key = (self.call, step, text)
        self.seen[key] = self.seen.get(key, 0) + 1
        is_look = what.startswith("run ") and bool(LOOKS.match(what[4:]))
        if self.seen[key] > 1 and is_look:
            return
        name = f"{self.call}/{step}: {text}" + (f" #{self.seen[key]}" if self.seen[key] > 1 else "")
        if name == self.kill:
            self.die()
        verb, path = what.split(" ")[:2]
        kind = "look" if is_look else verb
        self.effects.append({"name": name, "call": self.call, "step": step, "site": site(), "kind": kind, "path": path})

    def step(self) -> str:
        """Return the step of the journal, as a process that comes next would read it."""
        try:
            with open(f"/var/lib/containerless/{self.app}/journal", encoding="utf-8") as handle:
                return str(json.load(handle)["step"])
        except (OSError, ValueError, KeyError):
            return "-"

    def die(self) -> None:
        self.say({"killed": self.kill})
        if not self.during:
            os.kill(os.getpid(), signal.SIGKILL)
        # The alarm's default action ends the process in the kernel, as SIGKILL does: no handler, no finally.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, DURING_SECONDS)
        self.kill = ""


def say_on(out: str) -> t.Callable[[dict[str, t.Any]], None]:
    """Return what tells, in one write: to a file, or to the standard output."""
    fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if out else 1

    def say(answer: dict[str, t.Any]) -> None:
        os.write(fd, (json.dumps(answer) + "\n").encode())

    return say


def is_ours(path: t.Any) -> bool:
    return isinstance(path, str) and path.startswith(OURS)


def opened(args: Args) -> str:
    path, _mode, flags = args
    # The lock is the kernel's; opening it changes nothing.
    return f"write {path}" if is_ours(path) and flags & WRITES and not path.endswith("/lock") else ""


def moved(verb: str) -> t.Callable[[Args], str]:
    return lambda args: f"{verb} {args[1]}" if is_ours(args[1]) else ""


def removed(args: Args) -> str:
    path = whole(args[0], args[1])
    return f"remove {path}" if is_ours(path) and os.path.lexists(path) else ""


def made(args: Args) -> str:
    return f"mkdir {args[0]}" if is_ours(args[0]) and not os.path.isdir(args[0]) else ""


def ran(args: Args) -> str:
    return "run " + " ".join(str(word) for word in args[1])


def whole(path: t.Any, folder: t.Any) -> str:
    """Return the path of a name that was given beside an open folder (shutil.rmtree)."""
    if not isinstance(path, (str, bytes)):
        return ""
    if isinstance(folder, int) and folder >= 0:
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))
    return os.fsdecode(path)


EVENTS: dict[str, t.Callable[[Args], str]] = {
    "open": opened,
    "os.rename": moved("rename"),
    "os.link": moved("link"),
    "os.symlink": moved("symlink"),
    "os.remove": removed,
    "os.rmdir": removed,
    "os.mkdir": made,
    "subprocess.Popen": ran,
}


def plain(what: str, app: str, base: int) -> str:
    """Name an effect without what differs from run to run: activations, runs, files, digests, times."""

    def age(found: re.Match[str]) -> str:
        return found[1] + ("old" if int(found[2]) <= base else "new")

    text = re.sub(r"\b[0-9a-f]{64}\b(\.\d+)?", "<id>", what)
    text = re.sub(r"-[0-9a-f]{32}\b", "-<id>", text)
    text = re.sub(r"(\.g[0-9a-f]{7,})?-[0-9a-f]{12}\b", "", text)
    for before in (rf"containerless-{app}-\S*?@", rf"/run/containerless/{app}/", f"-{app}-drain-", f" drain {app} "):
        text = re.sub(rf"({before})(\d+)\b", age, text)
    text = re.sub(rf"{TOOLS}/[0-9a-f]{{16}}", "<tool>", text)
    text = re.sub(rf" expire {app} [0-9a-f]{{12}}$", f" expire {app} <run>", text)
    if what.startswith("run "):
        text = re.sub(r"\[\d+, \d+\]", "[<file>]", text)
        text = re.sub(r"\d+\.\d+(?=s?\b)", "<seconds>", text)
    return text.replace(f"/var/lib/containerless/{app}/", "").replace("/usr/bin/", "")


def site() -> str:
    """Return where in the rooms an effect comes from: the members of a loop share it."""
    frame, found = sys._getframe(3), []
    while frame.f_back:
        name = frame.f_code.co_filename
        if "/containerless/" in name:
            found.append(f"{os.path.basename(name)[:-3]}.{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return " ".join(found)


def active(app: str) -> int:
    """Return the number of the active activation."""
    try:
        with open(f"/var/lib/containerless/{app}/active", encoding="utf-8") as handle:
            return int(json.load(handle)["activation"])
    except OSError:
        return 0


def sent(call: dict[str, t.Any]) -> str:
    """Return a copy of the artifact where the action would have sent it: a kill leaves it there."""
    place = f"/tmp/containerless-{call['name']}-{uuid.uuid4().hex}"
    shutil.copyfile(call["artifact"], place)
    return place


def perform(watch: Watch, call: t.Any) -> dict[str, t.Any]:
    """Run one call of the module (its params) or of the command (its words); return its result, or why it failed."""
    from containerless._core.errors import ContainerlessError  # type: ignore[import-not-found]
    from containerless._release import cli, request  # type: ignore[import-not-found]

    watch.call = call[0] if isinstance(call, list) else call["state"]
    if not isinstance(call, list) and call.get("artifact"):
        call = {**call, "artifact": sent(call)}
    watch.is_on = True
    try:
        if isinstance(call, list):
            cli.main(call)
        return t.cast("dict[str, t.Any]", request.act(call, False))
    except ContainerlessError as exc:
        return {"failed": str(exc), "evidence": getattr(exc, "evidence", {})}
    except SystemExit as exc:
        return {"failed": f"exit code {exc.code}"} if exc.code else {}
    except BaseException:  # noqa: BLE001 - told to whoever reads the answer
        return {"failed": traceback.format_exc()}
    finally:
        watch.is_on = False


def main(path: str, *words: str) -> None:
    with open(path, encoding="utf-8") as handle:
        job = json.load(handle)
    sys.dont_write_bytecode = True
    sys.path.insert(0, job["rooms"])
    watch = Watch(job)
    sys.addaudithook(watch.hook)
    results: list[dict[str, t.Any]] = []
    for call in [*job["calls"], *([list(words)] if words else [])]:
        results.append(perform(watch, call))
        if "failed" in results[-1] or results[-1].get("plan", {}).get("action") == "none":
            break  # what is live already is staged, and nothing follows
    watch.say({"effects": watch.effects, "results": results})


if __name__ == "__main__":
    main(*sys.argv[1:])
