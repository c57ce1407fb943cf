# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pages and static files of a release, asked for at its socket as its proxy would."""

from __future__ import annotations

import hashlib
import html
import http.client
import os
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from .._release import unix_http

_LINK = re.compile(r"""(?:href|src)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.IGNORECASE)
#: Compressed copies stand beside the file that they are of.
_COPIES = (".gz", ".br", ".zst")
#: A page behind a login is no broken page.
_CLOSED = (401, 403)


@dataclass(frozen=True)
class Page:
    """An answer: its status (0: none), its body, and why there is none."""

    status: int
    body: bytes = b""
    reason: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


#: path -> answer
Ask = t.Callable[[str], Page]


def asker(sock: str, host: str, scheme: str, timeout: float) -> Ask:
    """Return what asks for a path over a unix socket; `timeout` in seconds."""

    def ask(path: str) -> Page:
        connection = unix_http.Connection(sock, timeout)
        try:
            connection.request("GET", path, headers={"Host": host, "X-Forwarded-Proto": scheme, "Connection": "close"})
            answer = connection.getresponse()
            return Page(answer.status, answer.read(), answer.reason)
        except (OSError, http.client.HTTPException) as exc:
            return Page(0, reason=f"{type(exc).__name__}: {exc}")
        finally:
            connection.close()

    return ask


def is_broken(page: Page, wanted: bool) -> bool:
    """Say whether an answer is a bad one: of a page that was asked for by name, a 404 is bad too."""
    if page.status == 0 or page.status >= 500:
        return True
    return wanted and page.status >= 400 and page.status not in _CLOSED


def links(page: Page, static_url: str) -> list[str]:
    """Return the names below STATIC_URL that a page loads, without queries; none where another host serves them."""
    if not static_url.startswith("/"):
        return []
    text = page.body.decode(errors="replace")
    targets = (html.unescape("".join(match.groups(""))) for match in _LINK.finditer(text))
    paths = {urlsplit(target).path for target in targets if not urlsplit(target).netloc}
    return sorted(unquote(path)[len(static_url) :] for path in paths if path.startswith(static_url))


def sample(folder: str) -> str:
    """Return the name of a static file of an artifact: a stylesheet if there is one, as pages name it."""
    found: list[str] = []
    for place, _folders, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(place, name), folder) for name in names if not name.endswith(_COPIES)]
    # What the storage calls by its hash is what pages load; the manifest of the storage itself is never served.
    hashed = [name for name in found if re.search(r"\.[0-9a-f]{12}\.\w+$", name)]
    named = [name for name in hashed or found if not name.endswith("staticfiles.json")]
    styles = [name for name in named if name.endswith(".css")]
    return min(styles or named, default="")


def is_served(ask: Ask, name: str, *, static_url: str, published: str) -> str:
    """Return who serves a static file whole: "the app" or "the proxy" from its folder; empty when nobody does."""
    path = os.path.normpath(os.path.join(published, name))
    known = _sha256(path) if path.startswith(f"{published}/") else ""
    page = ask(static_url + name) if static_url.startswith("/") else Page(404)
    if page.status == 200 and known in ("", page.sha256):
        return "the app"
    # An app that leaves its static files to the proxy answers with 404.
    return "the proxy" if known and page.status == 404 else ""


def _sha256(path: str) -> str:
    try:
        with open(path, "rb") as handle:
            return hashlib.sha256(handle.read()).hexdigest()
    except OSError:
        return ""
