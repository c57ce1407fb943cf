# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Websockets that are held open while releases come and go (tag asgi)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from .background import Background
from .core import DOMAIN


@dataclass
class Held:
    """One websocket; times are those of time.monotonic(), `closed` is 0 while it is open."""

    opened: float = 0.0
    closed: float = 0.0
    code: int = 0
    error: str = ""
    echoes: int = 0
    releases: list[str] = field(default_factory=list)


class Sockets(Background):
    """Holds websockets open from a thread of its own, each with an echo every so many seconds."""

    def __init__(
        self, address: tuple[str, int], *, count: int = 5, every: float = 0.5, domain: str = DOMAIN, path: str = "/ws/"
    ) -> None:
        super().__init__()
        self.address, self.every, self.url = address, every, f"ws://{domain}{path}"
        self.held = [Held() for _ in range(count)]

    def _run(self) -> None:
        asyncio.run(self._hold_all())

    async def _hold_all(self) -> None:
        await asyncio.gather(*(self._hold(held) for held in self.held))

    async def _hold(self, held: Held) -> None:
        host, port = self.address
        try:
            async with connect(self.url, host=host, port=port, proxy=None) as socket:
                held.opened = time.monotonic()
                while not self._stop.is_set():
                    await socket.send(str(held.echoes))
                    release = str(await socket.recv()).partition(" ")[0]
                    held.echoes += 1
                    held.releases += [release] if held.releases[-1:] != [release] else []
                    await asyncio.sleep(self.every)
        except ConnectionClosed as exc:
            held.code = exc.rcvd.code if exc.rcvd else 1006
            held.error = str(exc)
        except (OSError, WebSocketException) as exc:
            held.error = f"{type(exc).__name__}: {exc}"
        held.closed = time.monotonic()
