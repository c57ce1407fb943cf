# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import http.server
import socket
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import health, unix_http
from ansible_collections.containerless.django.plugins.module_utils._release.health import Check, HealthError

from .host import Respond, answer, web

RELEASE = "Containerless-Release"
CHECK = Check(path="/health", host="shop.example.org", timeout=0.3, request_timeout=0.2)


@pytest.fixture
def path(layout: Layout) -> str:
    """Return where a server may listen."""
    Path(layout.run).mkdir(parents=True)
    return layout.web_socket


def alive() -> str:
    return ""


def in_turn(*responses: Respond) -> Respond:
    """Answer with each of them once, then with the last."""
    left = list(responses)

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(request)

    return respond


def by_host(request: http.server.BaseHTTPRequestHandler) -> None:
    """Do as Django does with ALLOWED_HOSTS and SECURE_SSL_REDIRECT."""
    if request.headers["Host"] != "shop.example.org":
        answer(400, "DisallowedHost")(request)
    elif request.headers["X-Forwarded-Proto"] != "https":
        answer(301, Location="https://shop.example.org/health")(request)
    else:
        answer(200, "fine")(request)


def silence(released: threading.Event) -> Respond:
    def respond(_request: http.server.BaseHTTPRequestHandler) -> None:
        released.wait(10)

    return respond


def garbage(request: http.server.BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"hello\r\n")


def twice(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    for value in ("cookie", "accept"):
        request.send_header("Vary", value)
    request.end_headers()


# what the server does, change of the check -> part of the reason why the gate stays shut
SHUT: list[tuple[Respond, dict[str, t.Any], str]] = [
    (answer(500), {}, "answered 500 Internal Server Error"),
    (answer(404), {}, "answered 404 Not Found"),
    (answer(302, Location="/login/"), {}, "answered 302 Found to /login/"),
    (answer(204), {}, "answered 204"),
    (answer(200, "else"), {"body": "fine"}, "answered 200 without 'fine' in its body"),
    (by_host, {"host": "other.example.org"}, "answered 400 Bad Request"),
    (by_host, {"scheme": "http"}, "answered 301 Moved Permanently to https://shop.example.org/health"),
    (answer(200), {"headers": {"x-shop": ""}}, "answered 200 without the header x-shop"),
    (
        answer(200, **{"Content-Type": "text/plain"}),
        {"headers": {"content-type": "html"}},
        "answered 200 with content-type: text/plain, without 'html' in it",
    ),
    (answer(200, **{RELEASE: "1.0"}), {"release": "2.0"}, "answered by release 1.0"),
    (answer(200, **{RELEASE: ""}), {"release": "2.0"}, "answered by release "),
    (garbage, {}, "no answer: "),
    (lambda request: None, {}, "no answer: "),
]


@pytest.mark.parametrize(("respond", "change", "reason"), SHUT)
def test_the_gate_stays_shut(path: str, respond: Respond, change: dict[str, t.Any], reason: str) -> None:
    with web(path, respond), pytest.raises(HealthError) as caught:
        health.gate(path, dataclasses.replace(CHECK, **change), alive)
    assert reason in str(caught.value)


# what the server does, change of the check
OPEN: list[tuple[Respond, dict[str, t.Any]]] = [
    (answer(200), {}),
    (by_host, {"body": "fine"}),
    (answer(204), {"status": (200, 204)}),
    (answer(302, Location="/login/"), {"status": (302,)}),
    (answer(200, "x" * 5000), {}),
    (answer(200, "fine \u2713"), {"body": "\u2713"}),
    (answer(200, **{"X-Shop": "a, b"}), {"headers": {"x-sHOP": "b"}}),
    (twice, {"headers": {"vary": "cookie, accept"}}),
    (answer(200, **{RELEASE: "1.0"}), {"release": "1.0"}),
    (answer(200, **{RELEASE: "1.0"}), {}),
    (answer(200), {"release": "1.0"}),
]


@pytest.mark.parametrize(("respond", "change"), OPEN)
def test_the_gate_opens(path: str, respond: Respond, change: dict[str, t.Any]) -> None:
    with web(path, respond) as asked:
        health.gate(path, dataclasses.replace(CHECK, **change), alive)
    assert [seen["path"] for seen in asked.seen] == ["/health"] * 2


def test_good_answers_are_counted_in_a_row(path: str) -> None:
    good, bad = answer(200), answer(503)
    with web(path, in_turn(good, good, bad, good, good, good)) as asked:
        health.gate(path, dataclasses.replace(CHECK, consecutive=3, timeout=30), alive)
    assert len(asked.seen) == 6


def test_the_answer_of_a_shut_gate_is_kept(path: str) -> None:
    with web(path, answer(500, "KeyError: 'DATABASE_URL'")), pytest.raises(HealthError) as caught:
        health.gate(path, CHECK, alive)
    assert (caught.value.answer.status, caught.value.answer.body) == (500, "KeyError: 'DATABASE_URL'")


def test_a_server_that_hangs_is_no_answer(path: str) -> None:
    released = threading.Event()
    with web(path, silence(released)):
        with pytest.raises(HealthError, match="no answer: timed out"):
            health.gate(path, CHECK, alive)
        released.set()


def test_a_socket_that_nobody_accepts_on_is_no_answer(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(1)
        with pytest.raises(HealthError, match="no answer: timed out"):
            health.gate(path, CHECK, alive)


@pytest.mark.parametrize("bound", [True, False])
def test_no_server_is_no_answer(path: str, bound: bool) -> None:
    if bound:
        with socket.socket(socket.AF_UNIX) as closed:
            closed.bind(path)
    with pytest.raises(HealthError, match="no answer: .*(refused|No such file)"):
        health.gate(path, CHECK, alive)


def test_a_process_that_is_gone_is_not_waited_for(path: str) -> None:
    with pytest.raises(HealthError, match="the web process ended 4 times"):
        health.gate(path, dataclasses.replace(CHECK, timeout=3600), lambda: "the web process ended 4 times")


def test_a_process_is_not_asked_for_while_its_answers_are_good(path: str) -> None:
    with web(path, answer(200)):
        health.gate(path, CHECK, lambda: pytest.fail("asked"))


def test_a_server_that_drips_does_not_outlast_the_time_of_a_request(path: str) -> None:
    released = threading.Event()

    def drip(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for _ in range(40):
            request.wfile.write(b".")
            released.wait(0.02)

    with web(path, drip):
        found = health.ask(path, CHECK)
        released.set()
    assert found.status == 0


def test_a_question_ends_when_there_is_no_more_hope(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix_http, "_LOOK", 0.001)
    released, looks = threading.Event(), iter([False, False, True])
    with web(path, silence(released)):
        found = health.ask(path, CHECK, 3600, lambda: next(looks))
        released.set()
    assert (found.status, found.reason) == (0, "no answer: timed out")
    assert next(looks, None) is None


def test_hope_is_not_asked_for_when_there_is_an_answer(path: str) -> None:
    with web(path, answer(200)):
        assert health.ask(path, CHECK, 3600, lambda: pytest.fail("asked")).status == 200


def test_a_gate_that_waits_for_an_answer_sees_that_the_process_is_gone(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix_http, "_LOOK", 0.001)
    released, looks = threading.Event(), iter(["", "", "the web process ended 4 times"])
    check = dataclasses.replace(CHECK, timeout=3600, request_timeout=3600)
    with web(path, silence(released)):
        with pytest.raises(HealthError, match="^the web process ended 4 times$"):
            health.gate(path, check, lambda: next(looks))
        released.set()
