# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where locked files come from: a folder alone, or the package indexes of option, lock and pip's configuration.

Only listed and downloaded here (PEP 503, PEP 691): nothing of a distribution is ever run on the control node.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import ssl
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import url2pathname

from ..module_utils._artifact.lock import normalised
from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError

try:
    import requests
    from pypi_simple import (
        PYPI_SIMPLE_ENDPOINT,
        ProjectPage,
        UnsupportedContentTypeError,
        UnsupportedRepoVersionError,
    )
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    HAS_PYPI_SIMPLE = True
except ImportError:
    HAS_PYPI_SIMPLE = False

_TIMEOUT = (15.0, 120.0)  # seconds to connect, and between two bytes
CONNECTIONS = 8
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_ONE = {"-i": "index-url", "-f": "find-links"}
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")


@dataclass(frozen=True)
class Settings:
    """Where to look, in this order; `indexes` and `links` are addresses that may hold credentials."""

    indexes: tuple[str, ...] = field(default=(), repr=False)
    links: tuple[str, ...] = field(default=(), repr=False)
    trusted: tuple[str, ...] = ()
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    #: A wheelhouse: what is not in it does not exist.
    closed: bool = False

    def uv(self) -> tuple[list[str], dict[str, str]]:
        """Return options and environment with which uv looks in the same places; addresses only in the environment."""
        env = {"UV_NO_CONFIG": "1", "UV_SYSTEM_CERTS": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
        if self.links:
            env["UV_FIND_LINKS"] = ",".join(self.links)
        if self.indexes:
            # uv asks the default one last.
            env["UV_DEFAULT_INDEX"] = self.indexes[-1]
            env["UV_INDEX"] = " ".join(self.indexes[:-1])
        more = {
            "UV_INSECURE_HOST": " ".join(self.trusted),
            "SSL_CERT_FILE": self.cert,
            "SSL_CLIENT_CERT": self.client_cert,
            "ALL_PROXY": self.proxy,
        }
        env |= {name: value for name, value in more.items() if value}
        return ([] if self.indexes else ["--no-index"]), env


@dataclass(frozen=True)
class Index:
    """What the caller of a build says about it. `url` may hold credentials: it is in no repr, argv or error."""

    url: str | None = field(default=None, repr=False)
    wheelhouse: Path | None = None
    options: tuple[str, ...] = field(default=(), repr=False)

    def settings(self, environ: t.Mapping[str, str] = os.environ) -> Settings:
        """Return where to look: the wheelhouse alone; else index and links of option, lock, pip's configuration.

        pip's rules: `url` and the lock's own --index-url replace pip's, all the others are asked as well.
        """
        if self.wheelhouse is not None:
            if not self.wheelhouse.is_dir():
                raise ContainerlessError(f"app_build_wheelhouse {self.wheelhouse} is not a folder on the control node")
            return Settings(links=(str(self.wheelhouse.absolute()),), closed=True)
        _need_library()
        mine, theirs = _lock_options(self.options, environ), _pip_options(environ)
        # pip's own address is known to the library alone.
        main = [self.url] if self.url else mine["index-url"] or theirs["index-url"] or [PYPI_SIMPLE_ENDPOINT]
        indexes = [*main[-1:], *mine["extra-index-url"], *theirs["extra-index-url"]]
        if not self.url and (mine["no-index"] or theirs["no-index"]):
            indexes = []
        return Settings(
            indexes=_distinct(indexes),
            links=tuple(dict.fromkeys([*mine["find-links"], *theirs["find-links"]])),
            trusted=tuple(dict.fromkeys([*mine["trusted-host"], *theirs["trusted-host"]])),
            cert=next(iter(theirs["cert"]), None),
            client_cert=next(iter(theirs["client-cert"]), None),
            proxy=next(iter(theirs["proxy"]), None),
        )


def _need_library() -> None:
    if not HAS_PYPI_SIMPLE:
        raise ContainerlessError(
            "a build needs the Python library pypi-simple on the control node: pip install 'pypi-simple>=1.8,<2'"
        )


_OPTIONS = ("index-url", "extra-index-url", "find-links", "trusted-host", "no-index", "cert", "client-cert", "proxy")


def _lock_options(lines: t.Iterable[str], environ: t.Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in _OPTIONS}
    for line in lines:
        option, value = [*re.split(r"[=\s]+", line.strip(), maxsplit=1), ""][:2]
        name = _ONE.get(option, option.removeprefix("--"))
        # As pip does: ${NAME} keeps a token out of the lock.
        value = _VARIABLE.sub(lambda match: environ.get(match[1], match[0]), value.strip())
        found[name].append(value or "1")
    return found


def _pip_options(environ: t.Mapping[str, str]) -> dict[str, list[str]]:
    """Ask pip for the user's configuration; the sections of `pip download` count, environment variables most."""
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**environ, "LC_ALL": "C.UTF-8"},
    )
    if done.returncode:
        what = "install pip there" if "No module named pip" in done.stderr else "`pip config debug` says more"
        raise ContainerlessError(
            f"a build asks the pip of {sys.executable} for the package index, and it failed: {what}"
        )
    found: dict[str, list[str]] = {name: [] for name in _OPTIONS}
    lines = [re.fullmatch(r"(global|download|:env:)\.([a-z-]+)=(['\"].*)", line) for line in done.stdout.splitlines()]
    for section in ("global", "download", ":env:"):
        for match in lines:
            if match and match[1] == section and match[2] in found:
                value = str(ast.literal_eval(match[3]))
                several = match[2] in ("extra-index-url", "find-links", "trusted-host")
                found[match[2]] = value.split() if several else [value] * bool(value)
    if found["no-index"] and found["no-index"][0].lower() in ("0", "no", "false", "off"):
        found["no-index"] = []
    return found


@dataclass(frozen=True)
class File:
    """A file that an index or a folder offers. `sha256` is what it says of it, or None."""

    name: str
    url: str = field(repr=False)
    sha256: str | None

    @property
    def host(self) -> str:
        """Who offers it, as an error may say it."""
        return _said(self.url)


def _said(url: str) -> str:
    """Return an address without credentials, query and path."""
    parts = urlsplit(url)
    return parts.hostname or url2pathname(parts.path)


def _bare(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return an address without its credentials, and those."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, None
    place = parts.netloc.rpartition("@")[2]
    pair = (unquote(parts.username), unquote(parts.password or ""))
    return urlunsplit(parts._replace(netloc=place)), pair


def _distinct(urls: list[str]) -> tuple[str, ...]:
    """Return each address once, as it is first given: a lock names without credentials what the option names with."""
    found: dict[str, str] = {}
    for url in urls:
        found.setdefault(_bare(url)[0].rstrip("/"), url)
    return tuple(found.values())


def _local(url: str) -> Path | None:
    """Return the path that an address without network names, or None."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        return None
    return Path(url2pathname(parts.path) if parts.scheme == "file" else url).expanduser()


class Client:
    """Lists and fetches files. Use it from several threads; close it (it is a context manager)."""

    def __init__(self, settings: Settings) -> None:
        _need_library()
        self.settings = settings
        self._pairs: dict[str, tuple[str, str]] = {}
        self._indexes = [self._known(url) for url in settings.indexes]
        self._links = [self._known(url) for url in settings.links]
        self._session = session = requests.Session()
        retry = Retry(
            total=3, connect=2, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504), raise_on_status=False
        )
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=CONNECTIONS))
        session.auth = self._sign
        session.cert = settings.client_cert
        if settings.proxy:
            session.proxies = {"http": settings.proxy, "https": settings.proxy}
        # What this machine's owner trusts, as pip does; else the library's own list.
        trusted = ssl.get_default_verify_paths().cafile
        self._verify: str | bool = settings.cert or os.environ.get("REQUESTS_CA_BUNDLE") or trusted or True

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._session.close()

    def _known(self, url: str) -> str:
        bare, pair = _bare(url)
        if pair:
            self._pairs[urlsplit(bare).netloc] = pair
        return bare

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credentials of an index to requests for its host, else those of the user's netrc."""
        url = request.url or ""
        pair = self._pairs.get(urlsplit(url).netloc) or requests.utils.get_netrc_auth(url)
        return requests.auth.HTTPBasicAuth(*pair)(request) if pair else request

    def _get(self, url: str, *, stream: bool = False) -> requests.Response:
        host = urlsplit(url).hostname or ""
        verify = False if host in {place.split(":")[0] for place in self.settings.trusted} else self._verify
        try:
            answer = self._session.get(
                url, headers={"Accept": "*/*" if stream else _ACCEPT}, timeout=_TIMEOUT, stream=stream, verify=verify
            )
        except requests.RequestException as exc:
            # The library's own text holds the address.
            raise ContainerlessError(f"the package index {host} can't be reached ({type(exc).__name__})") from None
        if answer.status_code in (401, 403):
            raise ContainerlessError(
                f"the package index {host} refuses these credentials, or wants some ({answer.status_code}):"
                " they stand in app_build_index_url, in a netrc or in pip's configuration"
            )
        if answer.status_code not in (200, 404):
            raise ContainerlessError(f"the package index {host} answered {answer.status_code}")
        return answer

    def files(self, name: str) -> list[File]:
        """Return everything that is offered of a distribution, in the order of the settings."""
        found: list[File] = []
        for url in self._links:
            found += self._linked(url, name)
        for url in self._indexes:
            found += self._listed(url.rstrip("/") + "/" + quote(normalised(name)) + "/", name)
        return found

    def _listed(self, url: str, name: str) -> list[File]:
        folder = _local(url)
        if folder is not None:
            page = folder / "index.html"
            return _offers(ProjectPage.from_html(name, page.read_bytes(), url)) if page.is_file() else []
        answer = self._get(url)
        if answer.status_code == 404:
            return []
        try:
            return _offers(ProjectPage.from_response(answer, name))
        except (UnsupportedContentTypeError, UnsupportedRepoVersionError, ValueError):
            raise ContainerlessError(
                f"the package index {_said(url)} answers with no page of a simple index (PEP 503, PEP 691);"
                " such an address often ends in /simple"
            ) from None

    def _linked(self, url: str, name: str) -> list[File]:
        """Return what a folder or a page of links holds of a distribution."""
        path = _local(url)
        if path is None:
            answer = self._get(url)
            return [] if answer.status_code == 404 else _offers(ProjectPage.from_html(name, answer.content, answer.url))
        if not path.is_dir():
            return _offers(ProjectPage.from_html(name, path.read_bytes(), url)) if path.is_file() else []
        prefix = normalised(name) + "-"
        mine = sorted(item for item in path.iterdir() if normalised(item.name).startswith(prefix) and item.is_file())
        return [File(item.name, item.absolute().as_uri(), None) for item in mine]

    def fetch(self, file: File, dest: Path) -> str:
        """Write a file to `dest` and return the SHA-256 of what came."""
        path = _local(file.url)
        if path is not None:
            data = path.read_bytes()
            dest.write_bytes(data)
            return canonical.sha256(data)
        digest = hashlib.sha256()
        with self._get(file.url, stream=True) as answer, dest.open("wb") as out:
            if answer.status_code == 404:
                raise ContainerlessError(f"the package index {file.host} lists {file.name} but does not have it")
            try:
                for chunk in answer.iter_content(1 << 18):
                    digest.update(chunk)
                    out.write(chunk)
            except requests.RequestException as exc:
                raise ContainerlessError(
                    f"the package index {file.host} broke off while {file.name} was fetched ({type(exc).__name__})"
                ) from None
        return digest.hexdigest()


def _offers(page: ProjectPage) -> list[File]:
    return [File(item.filename, item.url, item.digests.get("sha256")) for item in page.packages]
