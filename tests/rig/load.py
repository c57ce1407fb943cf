# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP load: an open loop, whose requests start on schedule whatever the answers do, and a measure of capacity."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from .background import Background
from .core import DOMAIN
from .figures import Sample

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Ask:
    """A request."""

    path: str = "/"
    method: str = "GET"
    body: bytes = b""

    def bytes(self, domain: str, *, reuse: bool) -> bytes:
        """Return what goes over the wire."""
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: {domain}\r\n"
        head += "" if reuse else "Connection: close\r\n"
        head += f"Content-Length: {len(self.body)}\r\n" if self.body or self.method == "POST" else ""
        return head.encode() + b"\r\n" + self.body


@dataclass(frozen=True)
class Answer:
    """Status line and headers."""

    status: int
    headers: dict[str, str]

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


def parse_head(head: bytes) -> Answer:
    """Return what stands before the body. Raises ValueError for what is no HTTP."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"no HTTP: {first[:40]!r}")
    pairs = (line.partition(":") for line in lines)
    return Answer(int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs})


async def _body(reader: asyncio.StreamReader, answer: Answer) -> None:
    if "chunked" in answer.headers.get("transfer-encoding", ""):
        while size := int((await reader.readline()).split(b";")[0], 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    elif "content-length" in answer.headers:
        await reader.readexactly(int(answer.headers["content-length"]))
    elif answer.status not in (204, 304):
        await reader.read()


@dataclass
class Client:
    """Sends requests; with `reuse` over connections to the proxy that are kept."""

    address: tuple[str, int]
    domain: str = DOMAIN
    timeout: float = 30
    reuse: bool = False
    _idle: list[Connection] = field(default_factory=list)

    async def ask(self, ask: Ask, due: float) -> Sample:
        """Send one request and record what became of it."""
        start = time.monotonic()
        status, error, release = 0, "", ""
        kept = self._kept()
        try:
            async with asyncio.timeout(self.timeout):
                answer = await self._exchange(ask, kept)
            status, release = answer.status, answer.headers.get("x-release", "")
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError) as exc:
            error = type(exc).__name__ + (" on a kept connection" if kept else "")
        return Sample(due, start, time.monotonic() - due, ask.path, status, error, release)

    def _kept(self) -> Connection | None:
        """Return a connection that the proxy has not closed yet."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return None

    async def _exchange(self, ask: Ask, kept: Connection | None) -> Answer:
        reader, writer = kept or await asyncio.open_connection(*self.address)
        keep = False
        try:
            writer.write(ask.bytes(self.domain, reuse=self.reuse))
            answer = parse_head(await reader.readuntil(b"\r\n\r\n"))
            await _body(reader, answer)
            keep = self.reuse and not answer.closes
        finally:
            if keep:
                self._idle.append((reader, writer))
            else:
                writer.close()
        return answer

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


class Load(Background):
    """Asks at a rate from a thread of its own, as long as the with block lasts; then waits for the last answers."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        rate: float = 20,
        asks: Sequence[Ask] = (Ask(),),
        domain: str = DOMAIN,
        timeout: float = 30,
        reuse: bool = False,
    ) -> None:
        super().__init__()
        self.rate, self.asks = rate, asks
        self.client = Client(address, domain, timeout, reuse)
        self.samples: list[Sample] = []

    def stop(self) -> list[Sample]:
        """End the load and return all samples."""
        self.end()
        return self.samples

    def failed(self) -> list[Sample]:
        """Return the requests that got no good answer so far."""
        return [sample for sample in list(self.samples) if not sample.good]

    def _run(self) -> None:
        asyncio.run(self._ask_all())

    async def _ask_all(self) -> None:
        begin = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, ask in enumerate(itertools.cycle(self.asks)):
                due = begin + number / self.rate
                if (wait := due - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                if self._stop.is_set():
                    break
                group.create_task(self._one(ask, due))
        self.client.close()

    async def _one(self, ask: Ask, due: float) -> None:
        self.samples.append(await self.client.ask(ask, due))


def capacity(
    address: tuple[str, int], *, seconds: float = 5, connections: int = 16, ask: Ask | None = None, reuse: bool = False
) -> float:
    """Return the good answers a second that so many clients get, each of which asks again as soon as it is answered."""
    client, wanted = Client(address, reuse=reuse), ask or Ask()

    async def visitor(end: float) -> int:
        good = 0
        while (now := time.monotonic()) < end:
            good += (await client.ask(wanted, now)).good
        return good

    async def run() -> float:
        begin = time.monotonic()
        good = await asyncio.gather(*(visitor(begin + seconds) for _ in range(connections)))
        return sum(good) / (time.monotonic() - begin)

    return asyncio.run(run())
