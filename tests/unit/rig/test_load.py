# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load client, against servers that answer late, wrongly, in pieces or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
import typing as t

import pytest
from ansible_collections.containerless.django.tests.rig.figures import summary
from ansible_collections.containerless.django.tests.rig.load import Answer, Ask, Client, Load, capacity, parse_head

OK = b"HTTP/1.1 200 OK\r\nX-Release: one\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\nyes\r\n0\r\n\r\n"


class Server:
    """Answers each request by what `answers` says for its number, over and over: seconds to wait, then bytes."""

    def __init__(self, *answers: tuple[float, bytes]) -> None:
        self.answers, self.connections, self.heads = answers, 0, [b""][:0]
        self.hangs_up = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                wait, answer = self.answers[(len(self.heads) - 1) % len(self.answers)]
                await asyncio.sleep(wait)
                writer.write(answer)
                if self.hangs_up or not answer or b"Connection: close" in answer + self.heads[-1]:
                    break
        writer.close()

    @contextlib.contextmanager
    def running(self) -> t.Iterator[tuple[str, int]]:
        """Serve from a thread; yield the address."""
        ready, stop, found = threading.Event(), asyncio.Event(), [("", 0)]
        loop = asyncio.new_event_loop()

        async def run() -> None:
            async with await asyncio.start_server(self.serve, "127.0.0.1", 0) as server:
                found[0] = server.sockets[0].getsockname()
                ready.set()
                await stop.wait()
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()

        thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
        thread.start()
        ready.wait()
        try:
            yield found[0]
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()


def ask(server: Server, count: int, *, reuse: bool = False, timeout: float = 5) -> list[t.Any]:
    async def run(address: tuple[str, int]) -> list[t.Any]:
        client = Client(address, timeout=timeout, reuse=reuse)
        samples = [await client.ask(Ask(), time.monotonic()) for _ in range(count)]
        client.close()
        return samples

    with server.running() as address:
        return asyncio.run(run(address))


def test_head_is_read_whatever_its_case():
    assert parse_head(b"HTTP/1.1 503 No\r\nCONNECTION: Close\r\nA: b:c\r\n\r\n") == Answer(
        503, {"connection": "Close", "a": "b:c"}
    )


@pytest.mark.parametrize("head", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 \r\n\r\n"])
def test_what_is_no_http_is_an_error(head):
    with pytest.raises(ValueError, match="HTTP|invalid literal"):
        parse_head(head)


@pytest.mark.parametrize("answer", [OK, CHUNKED, b"HTTP/1.1 204 No\r\nX-Release: one\r\n\r\n"])
def test_connections_are_kept_when_asked_for(answer):
    server = Server((0, answer))
    assert all(sample.good for sample in ask(server, 3, reuse=True))
    assert server.connections == 1
    assert b"Connection: close" not in server.heads[0]


def test_each_request_has_a_connection_of_its_own_otherwise():
    server = Server((0, OK))
    assert [sample.release for sample in ask(server, 3)] == ["one"] * 3
    assert server.connections == 3
    assert b"Connection: close" in server.heads[0]


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        ((0.0, b""), 0, "IncompleteReadError"),
        ((0.0, OK[:-1]), 0, "TimeoutError"),
        ((9.0, OK), 0, "TimeoutError"),
        ((0.0, b"nonsense\r\n\r\n"), 0, "ValueError"),
        ((0.0, OK.replace(b"200", b"500")), 500, ""),
    ],
)
def test_what_went_wrong_is_recorded(answer, status, error):
    (sample,) = ask(Server(answer), 1, reuse=True, timeout=0.3)
    assert (sample.status, sample.error, sample.good) == (status, error, False)


def test_connection_that_the_proxy_closed_is_not_asked_again():
    async def run(address: tuple[str, int]) -> list[t.Any]:
        client = Client(address, reuse=True)
        samples = [await client.ask(Ask(), time.monotonic())]
        while not client._idle[0][0].at_eof():
            await asyncio.sleep(0.01)
        samples.append(await client.ask(Ask(), time.monotonic()))
        client.close()
        return samples

    server = Server((0, OK))
    server.hangs_up = True
    with server.running() as address:
        assert all(sample.good for sample in asyncio.run(run(address)))
    assert server.connections == 2


def test_nobody_listens():
    sample = asyncio.run(Client(("127.0.0.1", 1)).ask(Ask(), 0.0))
    assert sample.error == "ConnectionRefusedError"


def test_requests_start_on_schedule_while_answers_are_late():
    server = Server((0.5, OK))
    with server.running() as address, Load(address, rate=50, asks=(Ask(), Ask("/count/", "POST"))) as load:
        while len(server.heads) < 10:
            time.sleep(0.01)
    dues = sorted(sample.due for sample in load.samples)
    assert {round(after - before, 6) for before, after in itertools.pairwise(dues)} == {0.02}
    first_end = min(sample.end for sample in load.samples)
    assert sum(due < first_end for due in dues) >= 10
    assert not load.failed()
    assert summary(load.samples).p50 >= 0.5
    assert any(head.startswith(b"POST /count/") and b"Content-Length: 0" in head for head in server.heads)


def test_capacity_counts_good_answers():
    with Server((0.05, OK), (0.05, OK.replace(b"200", b"500"))).running() as address:
        assert 0 < capacity(address, seconds=0.3, connections=2) < 25
