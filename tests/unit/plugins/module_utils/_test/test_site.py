# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socketserver
import threading
import typing as t
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._test import site
from ansible_collections.containerless.django.plugins.module_utils._test.site import Page

PAGE = b"""
<link href="/static/shop.0123456789ab.css?v=1"> <img src='/static/a%20b.svg'> <script src=/static/x.js></script>
<a href="/shop/">shop</a> <img src="https://cdn.example.org/static/y.png"> <link href="//cdn.example.org/static/z.css">
"""

# status, asked for by name, broken
ANSWERS = [
    (200, True, False),
    (302, True, False),
    (403, True, False),
    (401, True, False),
    (404, True, True),
    (404, False, False),
    (400, False, False),
    (500, False, True),
    (0, False, True),
]


@pytest.mark.parametrize(("status", "wanted", "broken"), ANSWERS)
def test_a_page_is_broken_by_what_it_answers(status: int, wanted: bool, broken: bool) -> None:
    assert site.is_broken(Page(status), wanted) is broken


@pytest.mark.parametrize(
    ("static_url", "names"),
    [("/static/", ["a b.svg", "shop.0123456789ab.css", "x.js"]), ("https://cdn.example.org/static/", [])],
)
def test_what_a_page_loads_is_found_where_this_host_serves_it(static_url: str, names: list[str]) -> None:
    assert site.links(Page(200, PAGE), static_url) == names


# files -> the one that is asked for
SAMPLES: list[tuple[list[str], str]] = [
    ([], ""),
    (["logo.svg"], "logo.svg"),
    (["logo.svg", "shop.css", "shop.css.gz"], "shop.css"),
    (["a.css", "b.0123456789ab.css", "b.0123456789ab.css.br", "staticfiles.json"], "b.0123456789ab.css"),
    (["staticfiles.json"], ""),
]


@pytest.mark.parametrize(("files", "name"), SAMPLES)
def test_a_sample_is_a_file_that_pages_load(tmp_path: Path, files: list[str], name: str) -> None:
    for each in files:
        (tmp_path / each).write_text("")
    assert site.sample(str(tmp_path)) == name


# answer of the app, file of the proxy -> who serves it
SERVED: list[tuple[Page, bytes | None, str]] = [
    (Page(200, b"blue"), b"blue", "the app"),
    (Page(200, b"blue"), None, "the app"),
    (Page(200, b"an error page"), b"blue", ""),
    (Page(404), b"blue", "the proxy"),
    (Page(404), None, ""),
    (Page(500), b"blue", ""),
]


@pytest.mark.parametrize(("page", "file", "who"), SERVED)
def test_a_static_file_is_served_whole_or_not_at_all(tmp_path: Path, page: Page, file: bytes | None, who: str) -> None:
    if file is not None:
        (tmp_path / "shop.css").write_bytes(file)
    asked: list[str] = []

    def ask(path: str) -> Page:
        asked.append(path)
        return page

    assert site.is_served(ask, "shop.css", static_url="/static/", published=str(tmp_path)) == who
    assert asked == ["/static/shop.css"]


def test_a_link_out_of_the_folder_is_no_file_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "static").mkdir()
    served = site.is_served(lambda _path: Page(404), "../secret", static_url="/static/", published=f"{tmp_path}/static")
    assert served == ""


class _Server(socketserver.ThreadingUnixStreamServer):
    def get_request(self) -> tuple[t.Any, t.Any]:
        connection, _address = super().get_request()
        return connection, ("unix", 0)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{self.headers['Host']} {self.headers['X-Forwarded-Proto']} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: t.Any) -> None: ...


def test_it_is_asked_as_the_proxy_would(tmp_path: Path) -> None:
    sock = f"{tmp_path}/web.sock"
    with _Server(sock, _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = site.asker(sock, "shop.example.org", "https", 5)("/shop/")
        server.shutdown()
    assert (page.status, page.body) == (200, b"shop.example.org https /shop/")
    assert site.asker(f"{tmp_path}/none.sock", "x", "https", 5)("/").status == 0
