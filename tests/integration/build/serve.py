# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks the artifact that lies beside this file, as a host does, starts its web process and asks it for a page."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from module_utils._artifact import unpack

HERE = Path(__file__).resolve().parent
SOCKET = str(HERE / "web.sock")


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the process's socket."""

    def connect(self) -> None:
        """Connect to it."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def ask(path: str) -> int:
    """Return the status of a page."""
    connection = UnixConnection("localhost", timeout=30)
    connection.request("GET", path, headers={"X-Forwarded-Proto": "https"})
    return connection.getresponse().status


def main() -> None:
    """Print what works, a line each."""
    manifest = json.loads((HERE / "manifest.json").read_bytes())
    (blob,) = [path for path in HERE.iterdir() if len(path.name) == 64]
    trees = HERE / "trees"
    with blob.open("rb") as stream:
        unpack.install(stream, encoding="gzip", manifest=manifest, trees=str(trees), interpreter="/usr/bin/python3")
    tree = trees / hashlib.sha256((HERE / "manifest.json").read_bytes()).hexdigest()
    (HERE / "state").mkdir()
    env = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": manifest["django"]["settings_module"],
        "SECRET_KEY": "only-for-this-test-0123456789-abcdefghijklmnopqrstuvwxyz",
        "STATE_DIRECTORY": str(HERE / "state"),
        "STATIC_ROOT": str(tree / "static"),
    }
    python, app = str(tree / "venv/bin/python"), str(tree / "app")
    subprocess.run([python, "manage.py", "migrate", "--verbosity", "0"], cwd=app, env=env, check=True)
    argv = [str(tree / "venv/bin/gunicorn"), *manifest["processes"]["web"][1:], "--bind", f"unix:{SOCKET}"]
    with subprocess.Popen(argv, cwd=app, env=env, stderr=subprocess.DEVNULL) as server:
        try:
            while not Path(SOCKET).exists() and server.poll() is None:
                time.sleep(0.1)
            static = json.loads((tree / "static/staticfiles.json").read_bytes())["paths"]["store/shop.css"]
            for path in ("/", "/health/", f"/static/{static}"):
                print(ask(path), path.replace(static, "css"))
        finally:
            server.terminate()
    modules = "import django, shop.settings as s; print(django.__cached__, s.__cached__)"
    print(subprocess.run([python, "-B", "-c", modules], cwd=app, env=env, check=True, capture_output=True).returncode)
    print(sys.version_info[0], manifest["python"]["version"])


if __name__ == "__main__":
    main()
