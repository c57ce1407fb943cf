# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds projects end to end on this machine: the control node's half here, the build host's in another process."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import processes, unpack
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _builder, _parts, _wheels
from ansible_collections.containerless.django.plugins.plugin_utils._build_action import read_request
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository
from ansible_collections.containerless.django.plugins.plugin_utils._store import Missing, open_store

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
PLATFORM, NAME = "here", "hello"
#: The options of module artifact that decide bytes, with their defaults.
ASKED: dict[str, t.Any] = {
    "name": NAME,
    "ref": "HEAD",
    "version": None,
    "lock": "",
    "settings_module": None,
    "secret_names": [],
    "env": {},
    "allow_dirty": False,
}
PATIENCE = 30  # seconds until a server that does not answer is an error
SECRET = "a-secret-of-the-tests-0123456789-abcdefghijklmnopqrstuvwxyz"
_EMPTY_ROOMS = ["unshare", "--mount", "sh", "-c"]
_EMPTY_ROOMS += [
    'for room in /dev/shm /var/tmp; do mount -t tmpfs -o mode=1777 none $room || exit; done; exec "$@"',
    "-",
]
# What systemd does for a process with a socket: it becomes descriptor 3, and the process is told its own number.
_LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Refused(ContainerlessError):
    """The build host's own refusal, with what it left behind."""

    def __init__(self, sentence: str, left: list[str]) -> None:
        super().__init__(sentence)
        self.left = left


@dataclass(frozen=True)
class Host:
    """What differs between two build hosts. `user`: a number, 0 is whoever runs the tests; `order`: see other_order."""

    python: str = PYTHON
    user: int = 0
    umask: int = 0o022
    env: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    order: bool = False

    @property
    def prefix(self) -> list[str]:
        """Root gives the build rooms of its own, so that what it leaves there is known to be of it."""
        if os.geteuid() != 0:
            return []
        change = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--"]
        return [*_EMPTY_ROOMS, *(change if self.user else [])]

    def build(self, bundle: Path, out: Path) -> dict[str, t.Any]:
        """Run the build host's half."""
        order = str(HERE / "other_order") if self.order else ""
        asked = {"bundle": str(bundle), "out": str(out), "folder": self.folder, "python": self.python}
        done = subprocess.run(
            [*self.prefix, PYTHON, "-B", str(HERE / "on_host.py")],
            input=json.dumps({"plugins": str(ROOT / "plugins"), "order": order, "build": asked}),
            env={"PATH": os.environ["PATH"], **self.env, **({"PYTHONPATH": order} if order else {})},
            umask=self.umask,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, t.Any] = json.loads(done.stdout)
        if "error" in answer:
            raise Refused(answer["error"], answer["left"])
        assert answer["left"] == [], "a build leaves nothing behind"
        return {**answer, "stderr": done.stderr}


HERE_AND_NOW = Host()


@dataclass(frozen=True)
class Artifact:
    """What a build handed over: documents as bytes, blobs in `out`."""

    documents: dict[str, bytes] = field(repr=False)
    out: Path
    #: Whether the environment was that of an earlier build, and how many wheels came from an index.
    layer: bool
    fetched: int
    warnings: list[str]
    seconds: dict[str, float]
    said: str

    @property
    def content_id(self) -> str:
        return canonical.sha256(self.documents["manifest"])

    @property
    def manifest(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", json.loads(self.documents["manifest"]))

    @property
    def provenance(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", json.loads(self.documents["provenance"]))

    @property
    def distributions(self) -> dict[str, dict[str, t.Any]]:
        return {item["name"]: item for item in self.manifest["distributions"]}

    def blob(self, encoding: str = "gzip") -> Path:
        """Return a blob whose bytes are those of the provenance."""
        path = self.out / f"blob.{encoding}"
        (told,) = [blob for blob in self.provenance["blobs"] if blob["encoding"] == encoding]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == told["sha256"]
        return path

    def install(self, trees: Path, encoding: str = "gzip") -> Path:
        """Unpack as a host does; return the tree."""
        with self.blob(encoding).open("rb") as blob:
            unpack.install(blob, encoding=encoding, manifest=self.manifest, trees=str(trees), interpreter=PYTHON)
        return trees / self.content_id


@dataclass(frozen=True)
class Builder:
    """Builds what a checkout holds, as action and module artifact do, into folders that every user can read."""

    folder: Path
    #: Wheels that were fetched; the tests of all runs share it.
    cache: Path

    def repository(self, store: Path) -> Repository:
        """Return what the tests' project keeps in a store."""
        return Repository(open_store(f"file://{store}", missing=Missing.CREATE), NAME)

    def build(
        self,
        src: Path,
        *,
        host: Host = HERE_AND_NOW,
        store: Path | None = None,
        cache: Path | None = None,
        warm: bool = True,
        url: str | None = None,
        wheelhouse: Path | None = None,
        encodings: tuple[str, ...] = ("gzip",),
        **asked: t.Any,
    ) -> Artifact:
        """Build and publish. `warm`: take the environment of an earlier build; `asked`: other options of the module."""
        request, target = read_request({**ASKED, "src": str(src), **asked}), _builder.platform(PLATFORM)
        repository = self.repository(store or self.folder / "store")
        key, layer_key = request.key(PLATFORM), request.layer_key(PLATFORM)
        scratch = Path(tempfile.mkdtemp(dir=self.folder))
        warnings: list[str] = []
        layer = (
            _parts.find_layer(repository, layer_key, scratch / "layer", warnings.append, encodings) if warm else None
        )
        index = _wheels.Index(url=url, wheelhouse=wheelhouse, options=request.project.lock.index_options)
        parts, fetched = _parts.gather(request.project, target, layer, index, cache or self.cache)
        told = _builder.inputs(
            request.project, target, parts, key=key, uv=request.uv_version, encodings=list(encodings)
        )
        _builder.write_bundle(scratch / "bundle.tar", request.project, parts, told, request.uv)
        _open(scratch, host.user)
        answer = host.build(scratch / "bundle.tar", scratch)
        documents = {name: answer[name].encode() for name in ("manifest", "provenance", "sbom")}
        artifact = Artifact(
            documents,
            scratch,
            layer=layer is not None,
            fetched=fetched,
            warnings=warnings + answer["warnings"],
            seconds=answer["seconds"],
            said=answer["stderr"],
        )
        blobs = {blob["sha256"]: artifact.blob(blob["encoding"]) for blob in artifact.provenance["blobs"]}
        repository.publish(*documents.values(), blobs)
        repository.put_build(key, artifact.content_id)
        repository.put_layer(layer_key, artifact.content_id)
        return artifact

    def refusal(self, src: Path, store: Path, **asked: t.Any) -> str:
        """Return the sentence with which a build is refused; nothing may have been kept anywhere."""
        with pytest.raises(ContainerlessError) as caught:
            self.build(src, store=store, **asked)
        assert not isinstance(caught.value, Refused) or caught.value.left == []
        assert [path for path in store.rglob("*") if path.is_file()] == []
        return str(caught.value)


def _open(folder: Path, user: int) -> None:
    """Let a user of the build host read and write where the module has its files."""
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user, user)


def platform() -> _wheels.Platform:
    """Return the platform that this machine's own Python is."""
    facts = "import os, platform; print(platform.python_version(), os.confstr('CS_GNU_LIBC_VERSION'))"
    full, _glibc, libc = subprocess.run(
        [PYTHON, "-c", facts], capture_output=True, text=True, check=True
    ).stdout.split()
    return replace(_builder.platform("debian12"), name=PLATFORM, full=full, glibc=int(libc.split(".")[1]))


def environment(artifact: Artifact, tree: Path, state: Path) -> dict[str, str]:
    """Return what a release gives its processes."""
    state.mkdir(exist_ok=True)
    django = artifact.manifest["django"]
    settings = {"DJANGO_SETTINGS_MODULE": django["settings_module"]} if django else {}
    return {
        "PATH": "/usr/bin:/bin",
        "SECRET_KEY": SECRET,
        "STATE_DIRECTORY": str(state),
        "STATIC_ROOT": f"{tree}/static",
        **settings,
    }


@contextlib.contextmanager
def serve(artifact: Artifact, tree: Path, **env: str) -> t.Iterator[t.Callable[[str], tuple[int, str]]]:
    """Start the web process of a tree on an inherited socket; give what asks it for a page."""
    versions = {name: item["version"] for name, item in artifact.distributions.items()}
    process = processes.command("web", artifact.manifest["processes"]["web"], distributions=versions, tree=str(tree))
    processes.check_installed("web", process)
    with tempfile.TemporaryDirectory(prefix="web-") as folder, socket.socket(socket.AF_UNIX) as sock:
        path, log = Path(folder, "web.sock"), Path(folder, "log")
        sock.bind(str(path))
        sock.listen()
        with log.open("wb") as out:
            server = subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, str(sock.fileno()), *process.argv],
                cwd=tree / "app",
                env={**environment(artifact, tree, Path(folder, "state")), **env},
                pass_fds=[sock.fileno()],
                stdout=out,
                stderr=out,
            )
        try:
            yield lambda page: _ask(path, page, server, log)
        finally:
            server.terminate()
            server.wait(PATIENCE)


def _ask(path: Path, page: str, server: subprocess.Popen[bytes], log: Path) -> tuple[int, str]:
    end = time.monotonic() + PATIENCE
    while True:
        connection = http.client.HTTPConnection("shop.example.org", timeout=1)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(1)
        try:
            with contextlib.closing(connection):
                connection.sock.connect(str(path))
                connection.request("GET", page, headers={"X-Forwarded-Proto": "https"})
                response = connection.getresponse()
                return response.status, response.read().decode()
        except OSError:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < end, log.read_text(encoding="utf-8")
