# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
import sys
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release.probes import applied_migrations as probe

SECRET = "correct-horse"
POSTGRES = "django.db.backends.postgresql"
REDIS = "django.core.cache.backends.redis.RedisCache"
SMTP = "django.core.mail.backends.smtp.EmailBackend"
#: What Django has where a project says nothing.
DEFAULTS: dict[str, t.Any] = {
    "DATABASES": {},
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    "EMAIL_BACKEND": SMTP,
    "EMAIL_HOST": "localhost",
    "EMAIL_PORT": 25,
    "STORAGES": {"default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}},
}


class Settings(types.SimpleNamespace):
    def __init__(self, **said: t.Any) -> None:
        super().__init__(**{**DEFAULTS, **said})
        self._said = set(said)

    def is_overridden(self, name: str) -> bool:
        return name in self._said


def database(engine: str = POSTGRES, **more: t.Any) -> dict[str, t.Any]:
    return {"DATABASES": {"default": {"ENGINE": engine, "PASSWORD": SECRET, **more}}}


def cache(location: t.Any, backend: str = REDIS) -> dict[str, t.Any]:
    return {"CACHES": {"default": {"BACKEND": backend, "LOCATION": location}}}


def layer(host: t.Any) -> dict[str, t.Any]:
    return {"CHANNEL_LAYERS": {"default": {"BACKEND": "x", "CONFIG": {"hosts": [host]}}}}


DB, CACHE, LAYER = "DATABASES['default']", "CACHES['default']", "CHANNEL_LAYERS['default']"
MYSQL = "django.db.backends.mysql"
MEMCACHED = "django.core.cache.backends.memcached.PyMemcacheCache"
# settings -> peers
CASES: list[tuple[dict[str, t.Any], list[tuple[str, str, int | None]]]] = [
    ({}, []),
    (database(HOST="db.internal"), [(DB, "db.internal", 5432)]),
    (database(HOST="db.internal", PORT="6543"), [(DB, "db.internal", 6543)]),
    (database(HOST="db.internal", PORT=6543), [(DB, "db.internal", 6543)]),
    (database(HOST="a,b", PORT="1,2"), [(DB, "a", 1), (DB, "b", 2)]),
    (database(HOST="a,b", PORT="1"), [(DB, "a", 1), (DB, "b", 1)]),
    (database(HOST="::1"), [(DB, "::1", 5432)]),
    (database(HOST="/run/postgresql", PORT="5432"), [(DB, "/run/postgresql", None)]),
    (database(HOST=""), []),
    (database(), []),
    (database(MYSQL, HOST="localhost"), []),
    (database(MYSQL, HOST="db"), [(DB, "db", 3306)]),
    (database(MYSQL, OPTIONS={"unix_socket": "/run/mysqld/mysqld.sock"}), [(DB, "/run/mysqld/mysqld.sock", None)]),
    (database("django.db.backends.oracle", HOST="db"), [(DB, "db", 1521)]),
    (database("django.contrib.gis.db.backends.postgis", HOST="db"), [(DB, "db", 5432)]),
    (database("django.db.backends.sqlite3", HOST="localhost"), []),
    (database("company.db", HOST="db"), [(DB, "db", None)]),
    (cache(f"redis://user:{SECRET}@cache:6380/1"), [(CACHE, "cache", 6380)]),
    (cache("redis://cache"), [(CACHE, "cache", 6379)]),
    (cache(f"rediss://:{SECRET}@cache/0,redis://b:1"), [(CACHE, "b", 1), (CACHE, "cache", 6379)]),
    (cache(["redis://a", "redis://b:2"]), [(CACHE, "a", 6379), (CACHE, "b", 2)]),
    (cache(f"redis://:{SECRET},a;b@x@cache:1"), [(CACHE, "cache", 1)]),
    (cache("redis://[2001:db8::1]:1/0"), [(CACHE, "2001:db8::1", 1)]),
    (cache("redis://"), [(CACHE, "localhost", 6379)]),
    (cache(f"unix://:{SECRET}@/run/redis/redis.sock?db=1"), [(CACHE, "/run/redis/redis.sock", None)]),
    (cache("unix:/run/memcached.sock", MEMCACHED), [(CACHE, "/run/memcached.sock", None)]),
    (cache("/run/memcached.sock", MEMCACHED), [(CACHE, "/run/memcached.sock", None)]),
    (cache("a:1;b", MEMCACHED), [(CACHE, "a", 1), (CACHE, "b", 11211)]),
    (cache(["127.0.0.1:11211"], MEMCACHED), [(CACHE, "127.0.0.1", 11211)]),
    (cache("cache_table", "django.core.cache.backends.db.DatabaseCache"), []),
    (cache("/var/tmp/x", "django.core.cache.backends.filebased.FileBasedCache"), []),
    (cache(lambda: "x"), []),
    ({"EMAIL_HOST": "mail.internal", "EMAIL_PORT": 587}, [("EMAIL_HOST", "mail.internal", 587)]),
    ({"EMAIL_BACKEND": SMTP}, [("EMAIL_HOST", "localhost", 25)]),
    ({"EMAIL_BACKEND": "anymail.backends.mailgun.EmailBackend"}, []),
    ({"EMAIL_HOST": "mail", "EMAIL_BACKEND": "post_office.EmailBackend"}, [("EMAIL_HOST", "mail", 25)]),
    *(
        ({"EMAIL_HOST": "mail", "EMAIL_BACKEND": f"django.core.mail.backends.{kind}.EmailBackend"}, [])
        for kind in ("console", "dummy", "filebased", "locmem")
    ),
    ({"AWS_S3_ENDPOINT_URL": "https://minio.internal:9000"}, [("AWS_S3_ENDPOINT_URL", "minio.internal", 9000)]),
    (
        {
            "STORAGES": {
                "media": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {"endpoint_url": "http://s3"}}
            }
        },
        [("STORAGES['media']", "s3", 80)],
    ),
    (
        {"STORAGES": {"media": {"BACKEND": "storages.backends.s3boto3.S3Boto3Storage"}}},
        [("STORAGES['media']", "s3.amazonaws.com", 443)],
    ),
    (
        {"STORAGES": {"media": {"BACKEND": "storages.backends.s3.S3Storage"}}, "AWS_S3_ENDPOINT_URL": "http://minio:1"},
        [("AWS_S3_ENDPOINT_URL", "minio", 1)],
    ),
    ({"STORAGES": {"staticfiles": {"BACKEND": "shop.files3.Storage"}}}, []),
    ({"CELERY_BROKER_URL": f"amqp://shop:{SECRET}@mq//"}, [("CELERY_BROKER_URL", "mq", 5672)]),
    (
        {"CELERY_BROKER_URL": "sentinel://a:1;sentinel://b"},
        [("CELERY_BROKER_URL", "a", 1), ("CELERY_BROKER_URL", "b", 26379)],
    ),
    ({"BROKER_URL": ["amqp://a", "amqps://b"]}, [("BROKER_URL", "a", 5672), ("BROKER_URL", "b", 5671)]),
    (
        {"CELERY_BROKER_URL": "redis+socket:///run/redis/redis.sock"},
        [("CELERY_BROKER_URL", "/run/redis/redis.sock", None)],
    ),
    ({"CELERY_BROKER_URL": "kafka://mq:9092"}, [("CELERY_BROKER_URL", "mq", 9092)]),
    ({"CELERY_RESULT_BACKEND": f"db+postgresql://u:{SECRET}@db/x"}, [("CELERY_RESULT_BACKEND", "db", 5432)]),
    (
        {"CELERY_RESULT_BACKEND": "mongodb://a:1,b/x"},
        [("CELERY_RESULT_BACKEND", "a", 1), ("CELERY_RESULT_BACKEND", "b", 27017)],
    ),
    *(
        ({"CELERY_RESULT_BACKEND": url}, [])
        for url in ("django-db", "rpc://", "cache+memory://", "db+sqlite:////x", f"sqs://k:{SECRET}@")
    ),
    ({"REDIS_URL": "redis://cache/0"}, [("REDIS_URL", "cache", 6379)]),
    ({"REDIS_URL": None}, []),
    (layer(("cache", 1)), [(LAYER, "cache", 1)]),
    (layer(f"redis://:{SECRET}@cache"), [(LAYER, "cache", 6379)]),
    (layer({"address": "redis://cache:2"}), [(LAYER, "cache", 2)]),
    (layer({"host": "cache", "port": 3, "password": SECRET}), [(LAYER, "cache", 3)]),
    ({"CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}}, []),
    # Passwords that were not escaped: better no peer than a part of one.
    (cache("redis://:horse/staple@cache:6379/0"), []),
    (cache("redis://horse:12/34@cache:6379/0"), []),
    (cache("redis://cache:6379/0?password=a@b"), []),
    (cache("correct horse"), []),
    # Odd shapes are passed over, and what follows is read.
    ({"DATABASES": None, "CACHES": [1], "REDIS_URL": "redis://cache"}, [("REDIS_URL", "cache", 6379)]),
]


@pytest.mark.parametrize(("said", "peers"), CASES)
def test_peers(said: dict[str, t.Any], peers: list[tuple[str, str, int | None]]) -> None:
    found = probe.peers_of(Settings(**said))
    assert found == peers
    assert SECRET not in json.dumps(found)


class Recorder:
    def __init__(self, connection: t.Any) -> None:
        self.connection = connection

    def applied_migrations(self) -> dict[tuple[str, str], object]:
        if isinstance(self.connection, Exception):
            raise self.connection
        return dict.fromkeys(self.connection)


def test_a_database_that_does_not_answer_is_an_error_of_its_own() -> None:
    connections = {"default": [("shop", "0002"), ("shop", "0001")], "other": OSError("connection refused")}
    found, errors = probe.applied(connections, Recorder)
    assert found == [["default", "shop", "0001"], ["default", "shop", "0002"]]
    assert errors == {"other": "OSError: connection refused"}


PROJECT = """
print("settings may print")
SECRET_KEY = "x"
USE_TZ = True
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    "broken": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/x.sqlite3"},
    "driverless": {"ENGINE": "no.such.engine"},
}
REDIS_URL = "redis://cache"
"""


def test_a_project_is_asked_as_a_release_asks(tmp_path: Path) -> None:
    pytest.importorskip("django")
    (tmp_path / "live.py").write_text(PROJECT, "utf-8")
    environment = {"DJANGO_SETTINGS_MODULE": "live"}
    argv = [sys.executable, str(probe.__file__)]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert (said["applied"], said["peers"]) == ([], [["REDIS_URL", "cache", 6379]])
    assert list(said["errors"]) == ["broken", "driverless"]
    assert "unable to open database file" in said["errors"]["broken"]
