# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that never stops asking: counts what a visitor would have seen while releases come and go."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field

PAUSE_SECONDS = 0.1
TIMEOUT_SECONDS = 20
ORDER_EVERY = 40
PRODUCT = "tea"


@dataclass
class Tally:
    """Requests of one part of the story."""

    answered: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.answered - other.answered, self.failed - other.failed)


class Load:
    """Threads that read the storefront and place an order now and then, each request on a new connection."""

    def __init__(self, host: str, port: int, domain: str, threads: int = 2) -> None:
        self.host = host
        self.port = port
        self.domain = domain
        self._tally = Tally()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(threads)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def tally(self) -> Tally:
        """Return a copy of what was counted so far."""
        with self._lock:
            return Tally(self._tally.answered, self._tally.failed, dict(self._tally.reasons))

    def order(self) -> str:
        """Order a product; return why it failed, or an empty string."""
        return self.ask("POST", "/api/order/", json.dumps({"product": PRODUCT, "quantity": 1, "customer": "load"}))

    def ask(self, method: str, path: str, body: str | None = None) -> str:
        """Send one request; return why it failed, or an empty string."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, {"Host": self.domain, "Connection": "close"})
            response = connection.getresponse()
            response.read()
            return "" if response.status < 400 else f"{method} {path} {response.status}"
        except (OSError, http.client.HTTPException) as exc:
            return f"{method} {path} {type(exc).__name__}"
        finally:
            connection.close()

    def _run(self, number: int) -> None:
        count = number
        while not self._stop.is_set():
            count += 1
            why = self.order() if count % ORDER_EVERY == 0 else self.ask("GET", "/")
            with self._lock:
                self._tally.answered += not why
                self._tally.failed += bool(why)
                if why:
                    self._tally.reasons[why] = self._tally.reasons.get(why, 0) + 1
            time.sleep(PAUSE_SECONDS)
