# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A package index on loopback that wants credentials."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import re
import threading
import typing as t

if t.TYPE_CHECKING:
    from pathlib import Path

USER, PASSWORD = "builder", "s3cret-of-the-index"


def _handler(folder: Path) -> type[http.server.BaseHTTPRequestHandler]:
    wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        """The simple index of PEP 503: /simple/NAME/ lists, /files/NAME delivers."""

        def do_GET(self) -> None:
            if self.headers.get("Authorization") != wanted:
                self._answer(401, b"who are you?")
            elif found := re.fullmatch(r"/simple/([a-z0-9-]+)/", self.path):
                self._answer(200, _page(folder, found[1]))
            elif (folder / self.path.rpartition("/")[2]).is_file():
                self._answer(200, (folder / self.path.rpartition("/")[2]).read_bytes())
            else:
                self._answer(404, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    return Handler


def _page(folder: Path, name: str) -> bytes:
    files = [
        path for path in sorted(folder.iterdir()) if re.sub(r"[-_.]+", "-", path.name).lower().startswith(name + "-")
    ]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    links = [f'<a href="/files/{file}#sha256={digest}">{file}</a>' for file, digest in digests.items()]
    return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()


@contextlib.contextmanager
def private_index(folder: Path) -> t.Iterator[str]:
    """Serve the files of a folder; give the address with its credentials."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{USER}:{PASSWORD}@127.0.0.1:{server.server_port}/simple/"
        finally:
            server.shutdown()
