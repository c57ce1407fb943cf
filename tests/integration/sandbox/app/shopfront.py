# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Django site in one file; each page uses one thing that sandboxes like to break."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import zoneinfo
from multiprocessing import shared_memory
from pathlib import Path

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.http import JsonResponse
from django.urls import path

STATE = Path(os.environ["STATE_DIRECTORY"])

settings.configure(
    SECRET_KEY="for tests only",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": STATE / "db.sqlite3",
            "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL", "transaction_mode": "IMMEDIATE"},
        },
        "postgres": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "/run/postgresql",
            "NAME": "shop",
            "USER": "cl-shop",
        },
    },
    MEDIA_ROOT=STATE / "media",
)


def sqlite(request):
    with connections["default"].cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS visit (at text)")
        cursor.execute("INSERT INTO visit VALUES (datetime('now'))")
        cursor.execute("SELECT count(*) FROM visit")
        (visits,) = cursor.fetchone()
        cursor.execute("PRAGMA journal_mode")
        (mode,) = cursor.fetchone()
        # Looked at while the connection is open: the last one to close takes both files away.
        files = sorted(entry.name for entry in STATE.glob("db.sqlite3*"))
    return JsonResponse({"visits": visits, "mode": mode, "files": files})


def postgres(request):
    with connections["postgres"].cursor() as cursor:
        cursor.execute("SELECT current_user, inet_server_addr() IS NULL")
        user, by_socket = cursor.fetchone()
    return JsonResponse({"user": user, "by_socket": by_socket})


def image(request):
    from PIL import Image

    names = []
    for kind in ("JPEG", "PNG", "WEBP"):
        data = io.BytesIO()
        Image.new("RGB", (640, 480), "teal").resize((64, 48), Image.Resampling.LANCZOS).save(data, kind)
        name = default_storage.save(f"images/a.{kind.lower()}", ContentFile(data.getvalue()))
        with default_storage.open(name) as file:
            names.append(Image.open(file).format)
    return JsonResponse({"read back": names})


def upload(request):
    file = request.FILES["file"]
    name = default_storage.save("uploads/file", file)
    return JsonResponse({"spooled": type(file).__name__, "size": default_storage.size(name)})


def _double(queue, number):
    queue.put(2 * number)


def parallel(request):
    seen = []
    threads = [threading.Thread(target=seen.append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_double, args=(queue, 21))
    process.start()
    answer = queue.get(timeout=20)
    process.join()
    block = shared_memory.SharedMemory(create=True, size=4096)
    block.buf[:5] = b"hello"
    shared = bytes(block.buf[:5]).decode()
    block.close()
    block.unlink()
    return JsonResponse({"threads": len(seen), "queue": answer, "shared": shared})


def library(request):
    """What the standard library and its data files must go on doing."""
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder, "x").write_text("x")
    shell = subprocess.run(["/bin/sh", "-c", "echo from a shell"], capture_output=True, text=True, check=True)
    return JsonResponse(
        {
            "zone": str(zoneinfo.ZoneInfo("Europe/Berlin")),
            "certificates": ssl.create_default_context().cert_store_stats()["x509_ca"],
            "temporary": temporary,
            "subprocess": shell.stdout.strip(),
            "loop": sys.modules.get("uvloop") is not None,
            "home": os.environ.get("HOME", ""),
        }
    )


def probes(request):
    """Run the escape probes from a worker: inherits everything that the app itself is confined by."""
    argv = [sys.executable, str(Path(__file__).with_name("probes.py")), request.GET["facts"]]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return JsonResponse(json.loads(done.stdout))


urlpatterns = [path(f"{view.__name__}/", view) for view in (sqlite, postgres, image, upload, parallel, library, probes)]

django.setup()
wsgi = get_wsgi_application()
asgi = get_asgi_application()
