# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host in a folder: real files, real sockets that answer HTTP, and the few words of systemctl that a release says."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import socketserver
import sys
import sysconfig
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.containerless.django.plugins.module_utils._artifact import tar, tree
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import identity
from ansible_collections.containerless.django.plugins.module_utils._release.activations import Activations
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Desired
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from ..documents import MANIFEST, SHA

Respond = t.Callable[[http.server.BaseHTTPRequestHandler], None]
_UNIT = re.compile(r"containerless-shop-(?P<process>[a-z.]+)@(?P<activation>\d+)\.(?P<kind>service|socket|timer)")


def answer(status: int, body: str = "", **headers: str) -> Respond:
    """Return a handler that gives every GET this answer."""

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body.encode())), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body.encode())

    return respond


class Web(socketserver.ThreadingUnixStreamServer):
    """An HTTP server on a unix socket; `seen` are the requests that came."""

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, path: str, respond: Respond) -> None:
        self.seen: list[dict[str, str]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append({"path": self.path, **dict(self.headers)})
                with contextlib.suppress(OSError):
                    respond(self)

            def log_message(self, *_args: t.Any) -> None:
                pass

        super().__init__(path, Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


@contextlib.contextmanager
def web(path: str, respond: Respond) -> t.Iterator[Web]:
    """Answer on a socket for a while."""
    made = Web(path, respond)
    try:
        yield made
    finally:
        made.stop()


class Host:
    """The `run` of Systemd. Units start when their file is there; a web process answers on its activation's socket."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.calls: list[list[str]] = []
        self.webs: dict[int, Web] = {}
        self.up: dict[str, float] = {}
        self.enabled: set[str] = set()
        self.logs: dict[str, str] = {}
        self.shown: dict[str, dict[str, str]] = {}
        self.refused: dict[str, str] = {}
        self.applied: list[tuple[str, str]] | None = []
        self.exposure = "0.3"
        self.pending: list[tuple[str, str]] = []
        self.peers: list[tuple[str, str, int | None]] = []
        self.respond: t.Callable[[int], Respond] = lambda number: answer(200, f"activation {number}")
        #: What a look from inside of the sandbox finds.
        self.inside: dict[str, tuple[str, str]] = {"NoNewPrivileges": ("holds", "NoNewPrivs 1")}
        #: How the live release's Django takes migrations back.
        self.way_back: t.Callable[[set[tuple[str, str]]], dict[str, list[t.Any]]] = self._way_back
        #: Answers a management command of the live release.
        self.managed: t.Callable[[list[str]], tuple[int, str, str]] = lambda _argv: (0, "", "")
        #: What systemd-run was told: unit name -> (seconds, argv).
        self.later: dict[str, tuple[float, list[str]]] = {}
        self.before: t.Callable[[t.Sequence[str]], None] = lambda _argv: None

    def __call__(self, argv: t.Sequence[str]) -> tuple[int, str, str]:
        self.before(argv)
        self.calls.append(list(argv))
        for pattern, stderr in self.refused.items():
            if re.match(pattern, " ".join(argv)):
                return 1, "", stderr
        if tuple(argv[:2]) == ("systemctl", "--version"):
            return 0, "systemd 252 (252.39-1~deb12u2)\n+PAM +AUDIT\n", ""
        if tuple(argv[:2]) == ("systemd-analyze", "security"):
            units = [word for word in argv[2:] if not word.startswith("--")]
            figures = "\n".join(f"Overall exposure level for {unit}: {self.exposure} OK" for unit in units)
            return 0, "[]" if "--json=short" in argv else figures, ""
        words = 2 if argv[0] == "systemctl" else 1
        verb = getattr(self, "_" + "_".join(argv[:words]).replace("-", "_"), None)
        return verb(argv[words:]) if verb else (0, "", "")

    def _journalctl(self, words: t.Sequence[str]) -> tuple[int, str, str]:
        return 0, self.logs.get(words[-1], ""), ""

    def _systemd_run(self, words: t.Sequence[str]) -> tuple[int, str, str]:
        name = next(word.partition("=")[2] for word in words if word.startswith("--unit="))
        if name.startswith("containerless-sandbox-"):
            return 0, json.dumps(self.inside), ""
        if "--wait" in words:
            command = list(words[words.index("--") + 1 :])
            return self.managed(command[4:]) if command[0] == "/bin/sh" else self._script(command)
        if name in self.later:
            return 1, "", f"Failed to start transient timer unit: Unit {name}.timer was already loaded"
        seconds = [float(word.partition("=")[2]) for word in words if word.startswith("--on-active=")]
        self.later[name] = (seconds[0] if seconds else 0.0, list(words[words.index("--") + 1 :]))
        os.makedirs(self.layout.transient, exist_ok=True)
        Path(self.layout.transient, f"{name}.service").touch()
        return 0, "", ""

    def _script(self, command: list[str]) -> tuple[int, str, str]:
        assert "def way_back(" in command[2]
        return 0, json.dumps(self.way_back({(app, name) for app, name in json.loads(command[3])})), ""

    def _way_back(self, wanted: set[tuple[str, str]]) -> dict[str, list[t.Any]]:
        """Answer as Django does where each migration stands on the one before in the order of their names."""
        found: dict[str, list[t.Any]] = {"calls": [], "left": [], "more": [], "stuck": []}
        for app in sorted({app for app, _name in wanted}):
            kept = [key for key in sorted(self.applied or []) if key[0] == app and key not in wanted]
            ours = sorted(key for key in wanted if key[0] == app)
            above = [key for key in kept if key > ours[0]]
            if above or not set(ours) <= set(self.applied or []):
                found["left"] += ours
                found["more"] += above
            else:
                found["calls"].append((app, kept[-1][1] if kept else "zero"))
        return found

    def called(self, *words: str) -> list[list[str]]:
        """Return the calls that begin so."""
        return [call for call in self.calls if tuple(call[: len(words)]) == words]

    def _systemctl_start(self, words: t.Sequence[str]) -> tuple[int, str, str]:
        for unit in (word for word in words if not word.startswith("--")):
            if not os.path.exists(os.path.join(self.layout.units, unit)):
                return 5, "", f"Failed to start {unit}: Unit {unit} not found."
            found = _UNIT.fullmatch(unit)
            if found and found["kind"] == "service":
                self._start_service(found["process"], int(found["activation"]))
            self.up.setdefault(unit, time.monotonic())
        return 0, "", ""

    def _start_service(self, process: str, number: int) -> None:
        run = self.layout.activation_run(number)
        if process == "web" and number not in self.webs:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{run}/web.sock")
            self.webs[number] = Web(f"{run}/web.sock", self.respond(number))
        if process == "task.applied" and self.applied is not None:
            applied = [["default", *key] for key in self.applied]
            said = {"applied": applied, "peers": self.peers, "errors": {}}
            Path(run, "applied.json").write_text(json.dumps(said), "utf-8")
        if process == "task.migrate" and self.applied is not None:
            self.applied += self.pending

    def _systemctl_stop(self, words: t.Sequence[str]) -> tuple[int, str, str]:
        for unit in words:
            self.up.pop(unit, None)
            self.later.pop(unit.rpartition(".")[0], None)
            Path(self.layout.transient, unit).unlink(missing_ok=True)
            found = _UNIT.fullmatch(unit)
            if (
                found
                and (found["process"], found["kind"]) == ("web", "service")
                and int(found["activation"]) in self.webs
            ):
                self.webs.pop(int(found["activation"])).stop()
        return 0, "", ""

    def _systemctl_show(self, words: t.Sequence[str]) -> tuple[int, str, str]:
        if "--value" in words:
            return 0, "[not set]\n", ""
        units = words[: words.index("-p")]
        return 0, "\n".join(map(self._block, units)), ""

    def _block(self, unit: str) -> str:
        up = unit in self.up or unit.rpartition(".")[0] in self.later
        values = {
            "Id": unit,
            "ActiveState": "active" if up else "inactive",
            "SubState": "running" if up else "dead",
            "NRestarts": "0",
            "Result": "success",
            "ActiveEnterTimestampMonotonic": str(int(self.up.get(unit, 0) * 1e6)),
            **self.shown.get(unit, {}),
        }
        return "".join(f"{key}={value}\n" for key, value in values.items())

    def _systemctl_is_active(self, words: t.Sequence[str]) -> tuple[int, str, str]:
        return (0 if any(word in self.up or word.rpartition(".")[0] in self.later for word in words) else 3), "", ""

    def drain(self) -> None:
        """Let every drain come to its end, as its timer would."""
        for name in [name for name in self.later if "-drain-" in name]:
            _seconds, argv = self.later.pop(name)
            Activations(self.layout, Systemd(self.layout, self)).end(int(argv[-1]))

    def _systemctl_enable(self, words: t.Sequence[str]) -> tuple[int, str, str]:
        self.enabled.update(words)
        return 0, "", ""

    def _systemctl_is_enabled(self, words: t.Sequence[str]) -> tuple[int, str, str]:
        return (0 if words[-1] in self.enabled else 1), "", ""

    def _systemctl_disable(self, words: t.Sequence[str]) -> tuple[int, str, str]:
        self.enabled.difference_update(words)
        return 0, "", ""

    def stop_all(self) -> None:
        for number in list(self.webs):
            self.webs.pop(number).stop()
        self.up.clear()

    def reboot(self) -> None:
        """End every process and empty /run."""
        self.stop_all()
        self.later.clear()
        shutil.rmtree(f"{self.layout.root}/run", ignore_errors=True)
        os.makedirs(self.layout.units)


class Artifact(t.NamedTuple):
    """A small tree, packed and sealed as the builder does it."""

    manifest: dict[str, t.Any]
    blob: str


def artifact(folder: Path, version: str, migrations: t.Sequence[dict[str, t.Any]]) -> Artifact:
    root = folder / f"tree-{version}"
    files = {
        "app/manage.py": version,
        "static/site.css": version,
        f"static/{version}.css": "",
        "venv/bin/gunicorn": "#!\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    sealed = tree.seal(str(root))
    packed = io.BytesIO()
    tar.write_tar(str(root), packed, mtime=0)
    blob = folder / f"{version}.tar.gz"
    blob.write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    raw = packed.getvalue()
    manifest = {
        **MANIFEST,
        "version": version,
        "python": {**MANIFEST["python"], "soabi": sysconfig.get_config_var("SOABI")},
        "source_date_epoch": MANIFEST["source_date_epoch"] + int(version.partition(".")[0]),
        "tar": {"sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw)},
        "tree": sealed._asdict() if hasattr(sealed, "_asdict") else dict(sealed.__dict__),
        "django": {**MANIFEST["django"], "migrations": list(migrations)},
    }
    return Artifact(manifest, str(blob))


CONFIG: dict[str, t.Any] = {
    "env": {"DJANGO_SETTINGS_MODULE": "shop.settings"},
    "secrets": ["SECRET_KEY"],
    "secrets_as": "credentials",
    "health": {
        "path": "/",
        "host": "shop.example.org",
        "scheme": "https",
        "status": [200],
        "body": "",
        "consecutive": 2,
        "timeout": 1,
        "stay_up": 0,
    },
    "proxy_group": "",
    "public_dirs": [],
    "start_timeout": 90,
    "stop_timeout": 30,
    "task_timeout": 600,
    "max_exposure": "0.5",
    "sandbox": {},
}
UNITS = {
    f"containerless-shop-{name}@.{kind}": f"# {name}, activation %i\n"
    for name, kind in (
        ("web", "service"),
        ("web", "socket"),
        ("worker", "service"),
        ("task.applied", "service"),
        ("task.migrate", "service"),
        ("timer.cleanup", "service"),
        ("timer.cleanup", "timer"),
    )
}
for _process in ("web", "task.applied"):
    UNITS[f"containerless-shop-{_process}@.service.d/50-sandbox.conf"] = "[Service]\nNoNewPrivileges=yes\n"


def desired(made: Artifact, group: str, secrets: dict[str, str] | None = None, /, **config: t.Any) -> Desired:
    """Return what a control node would hand over for an artifact."""
    document = identity.release_document(
        project="shop",
        version=made.manifest["version"],
        index_id=canonical.digest(made.manifest),
        config={**CONFIG, "proxy_group": group, **config},
        templates=SHA,
    )
    return Desired(
        release_id=identity.release_id(document),
        document=document,
        manifest=made.manifest,
        units=UNITS,
        boot_unit="[Service]\nExecStart=/usr/local/bin/containerless boot shop\n",
        interpreter=sys.executable,
        secrets={"SECRET_KEY": "correct-horse"} if secrets is None else secrets,
        blob=made.blob,
    )
