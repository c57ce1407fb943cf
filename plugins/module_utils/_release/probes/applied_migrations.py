# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print what a Django project's databases have applied, and which peers its settings name.

{"applied": [[alias, app, name], ...], "peers": [[setting, host, port or null], ...], "errors": {alias: text}}
A database that does not answer is an error of its alias alone. A peer whose host is a path is a unix socket. User
names and passwords of URLs are left out.

One file of the standard library: its folder is the first that the app's Python looks for modules in.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import typing as t
from urllib.parse import urlsplit

Peer = tuple[str, str, t.Optional[int]]

_PORTS = {
    **dict.fromkeys(("postgres", "postgresql", "postgis", "psycopg", "psycopg2"), 5432),
    **dict.fromkeys(("mysql", "mariadb"), 3306),
    **dict.fromkeys(("redis", "rediss", "valkey", "valkeys"), 6379),
    **dict.fromkeys(("amqp", "pyamqp"), 5672),
    "amqps": 5671,
    "http": 80,
    "https": 443,
    "mongodb": 27017,
    "mssql": 1433,
    "oracle": 1521,
    "sentinel": 26379,
}
_NO_CACHE_PEER = re.compile(r"locmem|dummy|filebased|\.db\.DatabaseCache")
_NO_MAIL_PEER = re.compile(r"\.(console|dummy|filebased|locmem)\.")
#: Beginnings of names in a storage's backend, and who it asks unless it is told.
_STORAGES = {"s3": "s3.amazonaws.com", "gcloud": "storage.googleapis.com"}
_STORAGE = re.compile("(?:^|[._])(" + "|".join(_STORAGES) + ")")
_HOST = re.compile(r"(?P<host>[A-Za-z0-9._-]*|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]+))?")
_URLS = ("CELERY_BROKER_URL", "BROKER_URL", "CELERY_RESULT_BACKEND", "REDIS_URL", "AWS_S3_ENDPOINT_URL")


def peers_of(settings: t.Any) -> list[Peer]:
    """Return what the settings name, in the order of the settings' names; what has an unknown shape is passed over."""
    found: list[Peer] = []
    for read in (_databases, _caches, _mail, _storages, _urls, _channels):
        with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
            # One by one: what was read before something odd is kept.
            found.extend(read(settings))
    return sorted(set(found), key=lambda peer: (peer[0], peer[1], peer[2] or 0))


def _databases(settings: t.Any) -> t.Iterator[Peer]:
    for alias, database in settings.DATABASES.items():
        kind = str(database.get("ENGINE", "")).rpartition(".")[2]
        hosts = str(database.get("HOST") or "").split(",")
        ports = str(database.get("PORT") or "").split(",")
        named = (database.get("OPTIONS") or {}).get("unix_socket")
        if named:
            hosts = [str(named)]
        for at, host in enumerate(hosts):
            # MySQL takes localhost for its own socket; a database that can't be reached by that says so itself.
            if not host or kind in ("sqlite3", "spatialite") or (kind == "mysql" and host == "localhost"):
                continue
            port = ports[at] if at < len(ports) else ports[0]
            yield _peer(f"DATABASES[{alias!r}]", host, _number(port) or _PORTS.get(kind))


def _caches(settings: t.Any) -> t.Iterator[Peer]:
    for alias, cache in settings.CACHES.items():
        backend = str(cache.get("BACKEND", ""))
        if not _NO_CACHE_PEER.search(backend):
            usual = 11211 if "memcache" in backend.lower() else 6379
            yield from _named(f"CACHES[{alias!r}]", cache.get("LOCATION"), usual)


def _mail(settings: t.Any) -> t.Iterator[Peer]:
    """Only what the project says: Django's own default names a mail server that most hosts do not have."""
    backend = str(settings.EMAIL_BACKEND)
    chosen = settings.is_overridden("EMAIL_BACKEND") and ".smtp." in backend
    if (settings.is_overridden("EMAIL_HOST") or chosen) and settings.EMAIL_HOST and not _NO_MAIL_PEER.search(backend):
        yield _peer("EMAIL_HOST", str(settings.EMAIL_HOST), _number(settings.EMAIL_PORT))


def _storages(settings: t.Any) -> t.Iterator[Peer]:
    told = getattr(settings, "AWS_S3_ENDPOINT_URL", None)
    for alias, storage in getattr(settings, "STORAGES", {}).items():
        options = storage.get("OPTIONS") or {}
        match = _STORAGE.search(str(storage.get("BACKEND", "")).lower())
        usual = _STORAGES[match[1]] if match and not (match[1] == "s3" and told) else ""
        yield from _named(f"STORAGES[{alias!r}]", options.get("endpoint_url") or usual, 443)


def _urls(settings: t.Any) -> t.Iterator[Peer]:
    for name in _URLS:
        given = getattr(settings, name, None)
        for url in given if isinstance(given, (list, tuple)) else [given]:
            if isinstance(url, str) and "://" in url:
                yield from _named(name, url, None)


def _channels(settings: t.Any) -> t.Iterator[Peer]:
    for alias, layer in getattr(settings, "CHANNEL_LAYERS", {}).items():
        for given in (layer.get("CONFIG") or {}).get("hosts", []):
            host = given.get("address") or (given["host"], given.get("port")) if isinstance(given, dict) else given
            if isinstance(host, (list, tuple)):
                yield _peer(f"CHANNEL_LAYERS[{alias!r}]", str(host[0]), _number(host[1]) or 6379)
            else:
                yield from _named(f"CHANNEL_LAYERS[{alias!r}]", host, 6379)


def _named(setting: str, given: t.Any, usual: int | None) -> t.Iterator[Peer]:
    """Read one place or several: URLs, host:port, or paths of sockets."""
    for entry in given if isinstance(given, (list, tuple)) else [given]:
        # Several URLs in one text are cut only where the next one begins: a password may hold anything.
        for text in re.split(r"[;,](?=[a-z][a-z0-9+]*://)", entry) if isinstance(entry, str) and entry else []:
            for host, port in _places(text.strip(), usual):
                yield _peer(setting, host, port)


def _places(text: str, usual: int | None) -> t.Iterator[tuple[str, int | None]]:
    scheme, mark, rest = text.partition("://")
    if text.startswith(("/", "unix:/")) and not mark:
        yield text[text.index("/") :], None
    elif mark and (scheme == "unix" or scheme.endswith("socket")):
        yield urlsplit(text).path, None
    elif mark:
        port = _PORTS.get(scheme.rpartition("+")[2]) or _PORTS.get(scheme.partition("+")[0]) or usual
        # Schemes that we do not know, and that name no port, are seldom hosts: memory://, rpc://, sqs://.
        yield from (place for place in _hosts(rest, port) if place[1])
    else:
        yield from _hosts(text, usual)


def _hosts(text: str, usual: int | None) -> t.Iterator[tuple[str, int | None]]:
    """Take hosts and ports out of what follows a scheme; nothing where a part of a password could be taken for one."""
    authority, _, more = re.fullmatch(r"([^/?#]*)([/?#](.*))?", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if "@" in (more or "") and "@" not in authority:
        return
    for each in re.split("[;,]", authority.rpartition("@")[2]):
        match = _HOST.fullmatch(each)
        if match:
            yield match["v6"] or match["host"], _number(match["port"]) or usual


def _peer(setting: str, host: str, port: int | None) -> Peer:
    if not host:
        return setting, "localhost", port
    return setting, host, None if host.startswith("/") else port


def _number(given: t.Any) -> int | None:
    return int(given) if str(given or "").isdigit() else None


def applied(connections: t.Any, recorder: t.Any) -> tuple[list[list[str]], dict[str, str]]:
    """Return the applied migrations of every database that answers, and why others do not."""
    asked = {alias: _applied(recorder, connections, alias) for alias in connections}
    found = [[alias, app, name] for alias, (keys, _why) in asked.items() for app, name in keys]
    return sorted(found), {alias: why for alias, (_keys, why) in asked.items() if why}


def _applied(recorder: t.Any, connections: t.Any, alias: str) -> tuple[list[tuple[str, str]], str]:
    try:
        return list(recorder(connections[alias]).applied_migrations()), ""
    except Exception as exc:  # noqa: BLE001 - drivers raise what they like, and each is an answer
        return [], f"{type(exc).__name__}: {exc}".strip()


def main() -> None:
    # Settings may print; the answer stands alone.
    answer, sys.stdout = sys.stdout, sys.stderr
    sys.path.insert(0, os.getcwd())
    import django
    from django.conf import settings
    from django.db import connections
    from django.db.migrations.recorder import MigrationRecorder

    django.setup()
    done, errors = applied(connections, MigrationRecorder)
    json.dump({"applied": done, "peers": peers_of(settings), "errors": errors}, answer)


if __name__ == "__main__":
    main()
