# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask for a page again and again until a file says stop; then write {"asked", "failed", "slowest", "why"} as JSON.

Started as `python3 -c SOURCE JSON` with {"socket", "host", "scheme", "path", "status", "rate", "stop", "answer"}:
`rate` requests a second whether the last one was answered or not, each over a connection of its own, as from a proxy.
An answer is good when its status is one of `status`. It ends too when the folder of `stop` is gone: with the app.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
import typing as t

_SECONDS = 30


class Load:
    """Requests and how they ended."""

    def __init__(self, given: dict[str, t.Any]) -> None:
        self.given = given
        self.asked, self.slowest = 0, 0.0
        self.why: list[str] = []
        self._lock = threading.Lock()

    def run(self) -> dict[str, t.Any]:
        """Ask until it is told to stop."""
        asking: list[threading.Thread] = []
        began = time.monotonic()
        while self.is_wanted() and not os.path.exists(self.given["stop"]):
            asking.append(threading.Thread(target=self._ask, daemon=True))
            asking[-1].start()
            time.sleep(max(0.0, began + len(asking) / self.given["rate"] - time.monotonic()))
        for thread in asking:
            thread.join(_SECONDS + 1 if self.is_wanted() else 0)
        # One by one they would fill a page.
        return {"asked": self.asked, "failed": len(self.why), "slowest": round(self.slowest, 3), "why": self.why[:5]}

    def is_wanted(self) -> bool:
        """Say whether somebody is left who can stop it and read its figures: the folder goes with the app."""
        return os.path.isdir(os.path.dirname(self.given["stop"]))

    def _ask(self) -> None:
        began = time.monotonic()
        try:
            why = self._request()
        except OSError as exc:
            why = f"{type(exc).__name__}: {exc}"
        with self._lock:
            self.asked += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            if why:
                self.why.append(f"after {began - _BEGAN:.1f} s: {why}")

    def _request(self) -> str:
        lines = [f"GET {self.given['path']} HTTP/1.1", f"Host: {self.given['host']}", "Connection: close"]
        lines += [f"X-Forwarded-Proto: {self.given['scheme']}", "", ""]
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(self.given["socket"])
            connection.sendall("\r\n".join(lines).encode())
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        status = answer.partition(b" ")[2][:3].decode(errors="replace")
        if not status:
            return "no answer"
        return "" if status in map(str, self.given["status"]) else f"answered {status}"


_BEGAN = time.monotonic()

if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    load = Load(told)
    found = load.run()
    if not load.is_wanted():
        sys.exit()
    with open(f"{told['answer']}.new", "w", encoding="utf-8") as handle:
        json.dump(found, handle)
    os.rename(f"{told['answer']}.new", told["answer"])
