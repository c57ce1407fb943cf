# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures of a project's own scenario, by what a host says. On a machine: tests/integration/ci."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.containerless.django.plugins.plugin_utils import fixtures
from ansible_collections.containerless.django.plugins.plugin_utils.fixtures import App, Http, Sandbox

STATUS = {
    "app": "shop",
    "release": "1.0-0123456789ab",
    "activation": 7,
    "running": True,
    "processes": {"containerless-shop-web@7.service": "active"},
    "problems": [],
    "more": "than is handed on",
}
ANSWER = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nX-Tea: green: or black\r\n\r\n<p>\n\nno tea</p>"


class Host:
    """A host of testinfra that answers by what a command holds; only root is answered."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers
        self.ran: list[str] = []
        self.rc, self.root = 0, False

    @contextlib.contextmanager
    def sudo(self) -> t.Iterator[None]:
        self.root = True
        yield
        self.root = False

    def check_output(self, command: str, *words: str) -> str:
        assert self.root, "asked as somebody else"
        self.ran.append(command % tuple(map(shlex.quote, words)))
        return next(said for what, said in self.answers.items() if what in self.ran[-1])

    def run(self, command: str, *words: str) -> SimpleNamespace:
        return SimpleNamespace(stdout=self.check_output(command, *words), rc=self.rc)


@pytest.fixture
def host() -> Host:
    return Host(
        {
            "containerless manage": "no\n",
            "containerless status": json.dumps([STATUS]),
            "release.json": json.dumps({"config": {"health": {"host": "shop.example.org"}}}),
            "curl": ANSWER,
            "systemd-analyze": "→ Overall exposure level for containerless-shop-web@7.service: 0.2 SAFE\n",
            "readlink -f /srv/containerless/shop/current": "/srv/containerless/shop/trees/0123\n",
        }
    )


@pytest.fixture
def app(host: Host) -> App:
    return App(host, "shop")


def test_a_release_is_what_the_host_says_of_it(app: App) -> None:
    assert (app.release.id, app.release.running, app.release.problems) == ("1.0-0123456789ab", True, [])
    assert app.unit("web") == "containerless-shop-web@7.service"
    assert (app.tree, app.data) == ("/srv/containerless/shop/trees/0123", "/var/lib/containerless/shop/data")


@pytest.mark.parametrize("names", [[], ["shop", "blog"]])
def test_without_one_app_it_is_said_which_there_are(host: Host, names: list[str]) -> None:
    host.answers["containerless status"] = json.dumps([{**STATUS, "app": name} for name in names])
    made = t.cast("t.Any", fixtures.app).__wrapped__
    with pytest.raises(
        AssertionError, match=re.escape(f"the host has {len(names)} apps: {names}; use App(host, name)")
    ):
        made(host)


def test_an_answer_is_taken_apart(app: App, host: Host) -> None:
    page = Http(app)("/none/", "--head")
    assert (page.status, page.body) == (404, "<p>\n\nno tea</p>")
    assert page.headers == {"content-type": "text/html", "x-tea": "green: or black"}
    asked = shlex.split(shlex.split(host.ran[-1])[2])
    assert asked[:5] == ["curl", "-sS", "-i", "--http1.1", "--unix-socket"]
    assert {"Host: shop.example.org", "X-Forwarded-Proto: https", "--head"} <= set(asked)
    assert asked[-1] == "http://localhost/none/"


@pytest.mark.parametrize(("rc", "writes"), [(0, True), (1, False)])
def test_whether_a_folder_can_be_written_to_is_tried_in_the_sandbox(
    app: App, host: Host, rc: int, writes: bool
) -> None:
    host.rc = rc
    assert Sandbox(app).can_write("/it's here") is writes
    command = shlex.split(shlex.split(host.ran[-1])[2])
    assert command[:4] == ["containerless", "manage", "shop", "--"]
    assert f"sys.argv[1:] = {["/it's here"]!r}\n" in command[6]


def test_exposure_is_the_figure_of_systemd(app: App, host: Host) -> None:
    assert Sandbox(app).exposure("web") == 0.2
    assert "containerless-shop-web@7.service" in host.ran[-1]
    host.answers["systemd-analyze"] = "Unit not found.\n"
    with pytest.raises(AssertionError, match="Unit not found"):
        Sandbox(app).exposure("web")


def test_what_the_guide_lists_is_there(root: Path) -> None:
    """Each fixture of docs/ci.md, and each word that it is said to give."""
    page = (root / "docs/ci.md").read_text(encoding="utf-8").partition("## Fixtures")[2].partition("## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE))
    given = {"app": App, "release": fixtures.Release, "http": fixtures.Page, "sandbox": Sandbox}
    assert set(rows) == set(given) <= set(fixtures.__all__)
    for name, kind in given.items():
        known = {*dir(kind), *getattr(kind, "__dataclass_fields__", {})}
        words = {word.partition("(")[0] for word in re.findall(r"`([^`]+)`", rows[name])} - {"http"}
        assert words <= known, f"{name}: {words - known}"
