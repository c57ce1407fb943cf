# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes requests of the module with the host tool's own code, and halts after each flushed change of the truth.

The truth is the journal, `active` and the ledger. Python's audit events (PEP 578) tell when one was renamed, removed or
opened for writing; the halt comes with the first event after its folder was flushed. It says the name of the point in a
line and goes on when it is given one.

    halt.py JOB.json [POINT]       with a point it says only that one, and stays there

The job: {"app", "rooms", "calls": [params]}. The last line is {"results": [...]}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
import typing as t

#: What an append to the ledger does between opening it and its flush.
_STILL_WRITES = ("os.truncate", "os.chmod")


class Halts:
    """Names the points in their order: call/step, and what was changed where it is not the journal."""

    def __init__(self, folder: str, only: str) -> None:
        self.folder = folder
        self.only, self.call, self.step = only, "", "begin"
        self.changed = ""
        self.seen: dict[str, int] = {}
        self.is_on = False

    def hook(self, event: str, args: tuple[t.Any, ...]) -> None:
        """Called by the interpreter before what the event names."""
        if not self.is_on:
            return
        self.is_on = False  # what follows has events too
        try:
            if not self.still(event, args):
                self.settle()
            self.changed = self.change(event, args) or self.changed
        finally:
            self.is_on = True

    def change(self, event: str, args: tuple[t.Any, ...]) -> str:
        """Return what of the truth is about to change."""
        if event == "os.rename" and args[1] == f"{self.folder}/journal":
            with open(args[0], encoding="utf-8") as handle:
                self.step = json.load(handle)["step"]
            return "journal"
        if event == "os.rename" and args[1] == f"{self.folder}/active":
            return "active"
        if event == "os.remove" and args[0] == f"{self.folder}/journal" and os.path.exists(args[0]):
            return "journal removed"
        writes = event == "open" and args[0] == f"{self.folder}/ledger.jsonl" and args[2] & (os.O_WRONLY | os.O_RDWR)
        return "ledger" if writes else ""

    def still(self, event: str, args: tuple[t.Any, ...]) -> bool:
        """Say whether the change is still being made: a line goes through its descriptor, the folder is flushed."""
        return event in _STILL_WRITES or (event == "open" and (args[0] == self.folder or isinstance(args[0], int)))

    def settle(self) -> None:
        """Halt after what was changed last."""
        if self.changed:
            self.halt(self.changed)
            self.changed = ""

    def halt(self, what: str) -> None:
        name = f"{self.call}/{self.step}" + ("" if what == "journal" else f" {what}")
        self.seen[name] = self.seen.get(name, 0) + 1
        name += f" #{self.seen[name]}" if self.seen[name] > 1 else ""
        if self.only in ("", name):
            say({"point": name})
            while self.only:
                signal.pause()
            sys.stdin.readline()


def say(answer: dict[str, t.Any]) -> None:
    print(json.dumps(answer), flush=True)


def perform(halts: Halts, call: dict[str, t.Any]) -> dict[str, t.Any]:
    """Run one call of the module; return its result, or why it failed."""
    from containerless._core.errors import ContainerlessError  # type: ignore[import-not-found]
    from containerless._release import request  # type: ignore[import-not-found]

    halts.call = call["state"]
    if halts.step == "begin":
        halts.halt("journal")
    halts.is_on = True
    try:
        return t.cast("dict[str, t.Any]", request.act(call, False))
    except ContainerlessError as exc:
        return {"failed": str(exc), "evidence": getattr(exc, "evidence", {})}
    except OSError as exc:  # as the module says it
        return {"failed": f"{exc.strerror}: {exc.filename}"}
    except BaseException:  # noqa: BLE001 - told to whoever reads the answer
        return {"failed": traceback.format_exc()}
    finally:
        halts.is_on = False


def main(path: str, only: str = "") -> None:
    with open(path, encoding="utf-8") as handle:
        job = json.load(handle)
    sys.dont_write_bytecode = True
    sys.path.insert(0, job["rooms"])
    halts = Halts(job.get("folder", f"/var/lib/containerless/{job['app']}"), only)
    sys.addaudithook(halts.hook)
    results: list[dict[str, t.Any]] = []
    for call in job["calls"]:
        results.append(perform(halts, call))
        halts.settle()
        # Nothing to release: the other calls would have nothing to go on with.
        if "failed" in results[-1] or not results[-1].get("changed"):
            break
        halts.halt("end")
    say({"results": results})


if __name__ == "__main__":
    main(*sys.argv[1:])
