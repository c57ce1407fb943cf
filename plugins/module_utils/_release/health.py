# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The health gate: N good answers in a row on an activation's private socket."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field

from .._core.errors import ContainerlessError

#: An app that sends it says which release answers; nobody has to.
_RELEASE = "containerless-release"


@dataclass(frozen=True)
class Check:
    """What a good answer is. `timeout` bounds the whole gate, `request_timeout` one request; both in seconds.

    `headers` are texts that headers contain, by name; `release` is who has to answer, where an answer says so.
    """

    path: str
    host: str
    scheme: str = "https"
    status: tuple[int, ...] = (200,)
    consecutive: int = 2
    timeout: float = 60.0
    request_timeout: float = 10.0
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    release: str = ""


@dataclass(frozen=True)
class Answer:
    """One answer, its headers in lower case, or the reason why there was none (`status` 0)."""

    status: int
    reason: str
    body: str
    seconds: float
    headers: dict[str, str] = field(default_factory=dict)

    def verdict(self, check: Check) -> str:
        """Return why this answer is not good; empty when it is."""
        if self.status == 0:
            return self.reason
        if self.status not in check.status:
            return f"answered {self.status} {self.reason}".strip()
        if check.body and check.body not in self.body:
            return f"answered {self.status} without {check.body!r} in its body"
        release = self.headers.get(_RELEASE, check.release)
        if check.release and release != check.release:
            return f"answered by release {release}"
        return next((f"answered {self.status} {why}" for why in self._lacking(check.headers)), "")

    def _lacking(self, wanted: dict[str, str]) -> t.Iterator[str]:
        for name, text in wanted.items():
            found = self.headers.get(name.lower())
            if found is None:
                yield f"without the header {name}"
            elif text not in found:
                yield f"with {name}: {found}, without {text!r} in it"


def ask(
    path: str, check: Check, timeout: float | None = None, hopeless: t.Callable[[], bool] = lambda: False
) -> Answer:
    """Send one GET over a unix socket, with the real Host and scheme, as the proxy would.

    `hopeless` is asked now and then while no answer comes, and says whether none will.
    """
    from . import unix_http  # the app's start hides how long that takes

    started = time.monotonic()
    headers = {
        "Host": check.host,
        "X-Forwarded-Proto": check.scheme,
        "X-Forwarded-For": "127.0.0.1",
        "User-Agent": "containerless-health",
        "Connection": "close",
    }
    try:
        said = unix_http.get(path, check.path, headers, timeout or check.request_timeout, hopeless)
    except OSError as exc:
        return Answer(0, f"no answer: {exc}", "", time.monotonic() - started)
    location = said.headers.get("location")
    reason = f"{said.reason} to {location}" if location else said.reason
    return Answer(said.status, reason, said.body.decode("utf-8", "replace"), time.monotonic() - started, said.headers)


def gate(path: str, check: Check, alive: t.Callable[[], str]) -> Answer:
    """Ask until `consecutive` good answers came in a row. `alive` returns why going on is useless, or an empty string.

    Raises HealthError with the last answer when the time is up or the process is gone, also while it is waited for.
    """
    deadline = time.monotonic() + check.timeout
    good, pause, gone = 0, 0.05, ""

    def hopeless() -> bool:
        nonlocal gone
        gone = alive()
        return bool(gone)

    while True:
        limit = min(check.request_timeout, max(0.5, deadline - time.monotonic()))
        answer = ask(path, check, limit, hopeless)
        why = answer.verdict(check)
        good = 0 if why else good + 1
        if good >= check.consecutive:
            return answer
        if why and (gone or hopeless() or time.monotonic() >= deadline):
            raise HealthError(gone or f"{why} (for {check.timeout:.0f} s)", answer)
        if why:
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)


class HealthError(ContainerlessError):
    """The gate did not open; `answer` is the last one."""

    def __init__(self, why: str, answer: Answer) -> None:
        super().__init__(why)
        self.answer = answer
