# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample project runs in profile strict without an opt-out: under each server, with a task queue and databases.

One machine an image; each release of the shop follows the one before, so the servers are switched under each other.
"""

from __future__ import annotations

import json

import pytest
from conftest import HERE, SECRETS, Project, assert_strict

SERVERS = ("gunicorn", "uvicorn", "granian")
BROKER = "redis+socket:///run/redis/redis-server.sock"
PASSWORD = "only-for-these-tests"


@pytest.mark.parametrize("server", SERVERS)
def test_the_shop_runs_under_each_server(shop: Project, server: str) -> None:
    shop.ship(server)
    assert f"venv/bin/{server} " in web_command(shop)
    order = json.dumps({"product": "tea", "quantity": 1, "customer": server})
    before = json.loads(shop.ask("/api/order/")[1])["orders"]
    assert shop.ask("/api/order/", "-H", "Content-Type: application/json", "-d", order)[0] == 201
    assert json.loads(shop.ask("/api/order/")[1])["orders"] == before + 1
    status, page = shop.ask("/")
    assert (status, "<h1" in page) == (200, True)
    assert json.loads(shop.ask("/health/")[1])["release"] == shop.status()["release"]
    assert_strict(shop, "0.2")
    assert shop.ask("/health/")[0] == 200  # a look from inside disturbs nobody


def web_command(project: Project) -> str:
    unit = f"containerless-{project.host.app}-web@{project.status()['activation']}.service"
    return project.host.sh(f"tr '\\0' ' ' < /proc/$(systemctl show -P MainPID {unit})/cmdline").stdout


def test_celery_with_redis_by_unix_socket(shop: Project) -> None:
    env = {**shop.settings["app_release_env"], "CELERY_BROKER_URL": BROKER, "CELERY_RESULT_BACKEND": BROKER}
    shop.ship("celery", app_release_env=env, app_sandbox_bind_read_only=["/run/redis"])
    works(shop)
    assert_strict(shop, "0.2")


def test_celery_with_redis_by_named_egress(shop: Project) -> None:
    url = "redis://redis.internal:6379/0"
    env = {**shop.settings["app_release_env"], "CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": url}
    shop.release("celery", app_release_env=env, app_sandbox_egress=["redis.internal:6379"]).check()
    works(shop)
    assert_strict(shop, "0.5")


def works(shop: Project) -> None:
    """A task goes through the queue: a worker's child writes the order, and the answer comes back."""
    said = json.loads(
        shop.manage("import json; from store.tasks import order; print(json.dumps(order.delay('tea').get(timeout=20)))")
    )
    unit = f"containerless-shop-worker@{shop.status()['activation']}.service"
    assert f"{said['pid']}" in shop.host.sh(f"systemctl status --no-pager {unit}").stdout


# --- PostgreSQL ---


def test_postgresql_by_peer_authentication(shop: Project) -> None:
    shop.host.postgresql()
    env = {**shop.settings["app_release_env"], "SHOP_DATABASE": "postgresql://cl-shop@/shop?host=/run/postgresql"}
    shop.release("gunicorn", app_release_env=env, app_sandbox_bind_read_only=["/run/postgresql"]).check()
    assert shop.manage(ASK_SERVER) == json.dumps(["cl-shop", False])
    assert shop.ask("/")[0] == 200
    assert_strict(shop, "0.2")


ASK_SERVER = (
    "import json; from django.db import connection as c; k = c.cursor();"
    " k.execute('select usename, ssl from pg_stat_ssl join pg_stat_activity using (pid) where pid = pg_backend_pid()');"
    " print(json.dumps(list(k.fetchone())))"
)


def test_postgresql_by_named_egress_over_tls(shop: Project) -> None:
    shop.host.postgresql()
    shop.host.sh(f"sh -s cl-shop {PASSWORD}", stdin=(HERE / "tls.sh").read_bytes())
    tls = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/etc/ssl/certs/ca-certificates.crt"}
    known = {
        "app_release_secrets": {**SECRETS, "SHOP_DATABASE": f"postgresql://cl-shop:{PASSWORD}@db.internal:5432/shop"},
        "app_release_secrets_as": "env",
        "app_release_env": {**shop.settings["app_release_env"], **tls},
        "app_sandbox_egress": ["db.internal:5432"],
    }
    shop.release("gunicorn", **known).check()
    assert shop.manage(ASK_SERVER) == json.dumps(["cl-shop", True])
    assert shop.ask("/")[0] == 200
    assert_strict(shop, "0.5")
    # Its certificate counts: with another authority, or without TLS, the database is not reached and nothing changes.
    for wrong in ({"PGSSLROOTCERT": "/etc/ssl/other.crt"}, {"PGSSLMODE": "disable"}):
        live = shop.status()["release"]
        refused = shop.release("gunicorn", **{**known, "app_release_env": {**known["app_release_env"], **wrong}})
        said = " ".join(refused.output.split())
        assert refused.rc != 0
        assert "certificate verify failed" in said or "no pg_hba.conf entry" in said
        assert shop.status()["release"] == live
        assert PASSWORD not in refused.output
