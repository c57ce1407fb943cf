# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of a test: what it counts as a failed request, and how it ends."""

from __future__ import annotations

import json
import socket
import socketserver
import subprocess
import sys
import threading
import time
import typing as t
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._test.probes import load


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        asked = iter(self.rfile.readline, b"\r\n")
        server = t.cast("_Server", self.server)
        server.seen.append(b"".join(asked).decode())
        self.wfile.write(server.answer)


class _Server(socketserver.ThreadingUnixStreamServer):
    request_queue_size = 128  # a client does not wait for its turn

    def __init__(self, path: str, answer: bytes) -> None:
        super().__init__(path, _Handler)
        self.answer = answer
        self.seen: list[str] = []


@contextmanager
def web(path: str, answer: bytes) -> t.Iterator[_Server]:
    with _Server(path, answer) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def told(folder: Path) -> dict[str, t.Any]:
    place = {name: str(folder / name) for name in ("socket", "stop", "answer")}
    page = {"host": "shop.example.org", "scheme": "https", "path": "/health/", "status": [200, 204]}
    return {**place, **page, "rate": 100}


def asked(folder: Path, server: _Server | None) -> dict[str, t.Any]:
    """Run the client as a host does, until it has asked some times; return its figures."""
    client = subprocess.Popen([sys.executable, "-c", Path(load.__file__).read_text(), json.dumps(told(folder))])
    # A processor that has other work starts it late.
    end = time.monotonic() + (20 if server else 4)
    while time.monotonic() < end and not (server and len(server.seen) > 5):
        time.sleep(0.05)
    (folder / "stop").touch()
    assert client.wait(20) == 0
    return t.cast("dict[str, t.Any]", json.loads((folder / "answer").read_text()))


def test_an_app_that_answers_fails_nothing_and_is_asked_as_by_its_proxy(tmp_path: Path) -> None:
    with web(f"{tmp_path}/socket", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as server:
        found = asked(tmp_path, server)
    assert found["asked"] == len(server.seen) > 5
    assert (found["failed"], found["why"]) == (0, [])
    lines = server.seen[0].splitlines()
    assert lines[0] == "GET /health/ HTTP/1.1"
    assert {"Host: shop.example.org", "X-Forwarded-Proto: https", "Connection: close"} <= set(lines)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "answered 502"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answered 404"),
        (b"", "no answer"),
        (None, "FileNotFound"),
    ],
)
def test_each_request_without_a_good_answer_counts(tmp_path: Path, answer: bytes | None, why: str) -> None:
    if answer is None:
        found = asked(tmp_path, None)
    else:
        with web(f"{tmp_path}/socket", answer) as server:
            found = asked(tmp_path, server)
    assert found["failed"] == found["asked"] > 5
    assert len(found["why"]) == 5
    assert all(why in line for line in found["why"])


def test_a_client_ends_with_the_app_it_asks(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    # Nobody answers, and nobody waits for the answers of an app that is gone.
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(f"{tmp_path}/socket")
        deaf.listen(64)
        given = {**told(run), "socket": f"{tmp_path}/socket"}
        client = subprocess.Popen([sys.executable, "-c", Path(load.__file__).read_text(), json.dumps(given)])
        time.sleep(0.5)
        assert client.poll() is None
        run.rmdir()
        try:
            assert client.wait(10) == 0
        finally:
            client.kill()
    assert not run.exists()
