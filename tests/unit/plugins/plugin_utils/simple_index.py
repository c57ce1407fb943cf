# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A package index on this machine: PEP 503 or PEP 691, with or without a password and upload times."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

USER, PASSWORD = "reader", "geheim/1"
_JSON = "application/vnd.pypi.simple.v1+json"


def forget_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what this machine's pip is told, so that a test asks its own index alone."""
    for name in os.environ:
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@dataclass
class SimpleIndex:
    """Serves the files of a folder; `asked` are the paths that were requested with the right credentials."""

    folder: Path
    json: bool = True
    closed: bool = False
    hashes: bool = True
    #: Upload time of a file by its name (PEP 700); others have none.
    times: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.place}/simple"

    @property
    def secret_url(self) -> str:
        return f"http://{USER}:{PASSWORD.replace('/', '%2F')}@{self.place}/simple"

    def page(self, project: str) -> tuple[str, bytes] | None:
        files: list[dict[str, Any]] = [
            {
                "filename": path.name,
                "url": f"/files/{path.name}",
                "hashes": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} if self.hashes else {},
                **({"upload-time": self.times[path.name]} if path.name in self.times else {}),
            }
            for path in sorted(self.folder.iterdir())
            if path.name.split("-")[0].replace("_", "-").lower() == project
        ]
        if not files:
            return None
        if self.json:
            document = {"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": files}
            return _JSON, json.dumps(document | {"files": [{"size": 1} | file for file in files]}).encode()
        links = ""
        for file in files:
            digest = f"#sha256={file['hashes']['sha256']}" if self.hashes else ""
            links += f'<a href="{file["url"]}{digest}">{file["filename"]}</a>'
        return "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()

    def answer(self, path: str) -> tuple[str, bytes] | None:
        kind, _slash, name = path.strip("/").partition("/")
        if kind == "simple":
            return self.page(name)
        found = self.folder / name
        return ("application/octet-stream", found.read_bytes()) if kind == "files" and found.is_file() else None

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        index = self
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                open_to_all = not index.closed or self.headers["Authorization"] == wanted
                (index.asked if open_to_all else index.refused).append(self.path)
                found = index.answer(self.path) if open_to_all else None
                self.send_response(200 if found else 404 if open_to_all else 401)
                kind, data = found or ("text/plain", b"")
                if not open_to_all:
                    self.send_header("WWW-Authenticate", 'Basic realm="x"')
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data)

            do_HEAD = do_GET  # noqa: N815 - the name is the library's

            def log_message(self, *_args: object) -> None:
                pass

        return Handler
