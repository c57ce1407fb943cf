# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One GET over a unix socket, bounded as a whole. A room of its own, since http.client takes long to import."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import typing as t

#: Of a body, the beginning says enough.
_BODY_BYTES = 2000
#: Seconds between two looks at whether an answer is still to be hoped for.
_LOOK = 0.5


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket; `timeout` in seconds bounds each read."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self.is_cut = False

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def cut(self) -> None:
        """End the conversation from another thread: its time is up."""
        self.is_cut = True
        with contextlib.suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


class Response(t.NamedTuple):
    """Status, the words behind it, the beginning of the body, and headers by lower-case name."""

    status: int
    reason: str
    body: bytes
    headers: dict[str, str]


def get(path: str, target: str, headers: dict[str, str], limit: float, hopeless: t.Callable[[], bool]) -> Response:
    """Return the answer to a GET of `target`.

    Raises OSError: no answer within `limit` seconds, a broken one, or `hopeless`, asked now and then, said so.
    """
    connection = Connection(path, limit)
    deadline, over = time.monotonic() + limit, threading.Event()

    def watch() -> None:
        # A socket's timeout bounds one read; a server that drips must not outlast the request.
        while not over.wait(min(_LOOK, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline or hopeless():
                connection.cut()
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        body = response.read(_BODY_BYTES)
        if connection.is_cut:
            raise TimeoutError("timed out")
        return Response(response.status, response.reason, body, _headers(response))
    except (OSError, http.client.HTTPException) as exc:
        raise OSError("timed out" if connection.is_cut else str(exc) or type(exc).__name__) from None
    finally:
        over.set()
        connection.close()


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    """Return the headers by lower-case name; one that stands there twice is one list (RFC 9110, section 5.3)."""
    names = {name.lower() for name in response.headers}
    return {name: ", ".join(response.headers.get_all(name) or []) for name in names}
