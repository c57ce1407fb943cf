# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import fcntl
import gzip
import hashlib
import io
import os
import stat
import subprocess
import sys
import tempfile
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import identity, inflate, tar, tree, unpack
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from hypothesis import HealthCheck, given, settings, strategies as st

from ..documents import MANIFEST
from .children import children

ENCODINGS = inflate.readable()
PROPERTY = settings(database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


class Artifact(t.NamedTuple):
    tar: bytes
    manifest: dict[str, t.Any]

    @property
    def gzip(self) -> bytes:
        return gzip.compress(self.tar, 6, mtime=0)

    def blob(self, encoding: str) -> bytes:
        if encoding == "zstd":
            return zstd(self.tar)
        return self.gzip if encoding == "gzip" else self.tar

    @property
    def content_id(self) -> str:
        return identity.content_id(self.manifest)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    root = tmp_path_factory.mktemp("stage")
    for name in ("app/manage.py", "venv/bin/gunicorn", "venv/lib/python3.11/site-packages/only_here.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("VALUE = 1\n")
    (root / "venv/bin/gunicorn").chmod(0o755)
    sealed = tree.seal(str(root))
    out = io.BytesIO()
    tar.write_tar(str(root), out, mtime=1)
    data = out.getvalue()
    manifest = copy.deepcopy(MANIFEST)
    manifest["tar"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    manifest["tree"] = {"sha256": sealed.sha256, "files": sealed.files, "bytes": sealed.bytes}
    manifest["python"]["version"] = f"3.{sys.version_info.minor}"
    return Artifact(data, manifest)


def install(artifact: Artifact, trees: Path, blob: bytes | None = None, encoding: str = "gzip", **facts: t.Any) -> bool:
    with tempfile.TemporaryFile() as file:
        file.write(artifact.gzip if blob is None else blob)
        file.seek(0)
        return unpack.install(
            t.cast("t.BinaryIO", file),
            encoding=encoding,
            manifest={**artifact.manifest, **facts},
            trees=str(trees),
            interpreter=sys.executable,
        )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_unpacked_once(encoding: str, artifact: Artifact, tmp_path: Path) -> None:
    trees = tmp_path / "srv/shop/trees"
    blob = artifact.blob(encoding)
    mask = os.umask(0o077)
    try:
        assert install(artifact, trees, blob, encoding) is True
    finally:
        os.umask(mask)
    assert os.listdir(trees) == [artifact.content_id]
    assert install(artifact, trees, b"never read") is False
    for path in (trees.parent, trees, trees / artifact.content_id, *trees.rglob("*")):
        assert path.lstat().st_uid == os.geteuid()
        assert path.is_symlink() or stat.S_IMODE(path.lstat().st_mode) in (0o755, 0o644)


def test_the_interpreter_sees_the_tree_and_not_the_packages_of_the_system(artifact: Artifact, tmp_path: Path) -> None:
    install(artifact, tmp_path)
    venv = tmp_path / artifact.content_id / "venv"
    home = os.path.realpath(sys.executable)
    lines = (venv / "pyvenv.cfg").read_text().splitlines()
    assert lines[:2] == [f"home = {os.path.dirname(home)}", "include-system-site-packages = false"]
    assert (os.readlink(venv / "bin/python"), os.readlink(venv / "bin/python3")) == (home, "python")
    script = "import sys; print(sys.prefix, *sys.path)"
    shown = subprocess.run([venv / "bin/python3", "-c", script], stdout=-1, text=True, check=True).stdout.split()
    assert shown[0] == str(venv)
    assert not [path for path in shown if "-packages" in path and not path.startswith(str(venv))]


def damaged(blob: bytes) -> bytes:
    middle = len(blob) // 2
    return blob[:middle] + bytes([blob[middle] ^ 0xFF]) + blob[middle + 1 :]


REFUSED: list[tuple[t.Callable[[Artifact], dict[str, t.Any]], str]] = [
    (lambda a: {"blob": a.gzip[:-20]}, "ends before its tar does"),
    (lambda a: {"blob": b""}, "ends before its tar does"),
    (lambda a: {"blob": damaged(a.gzip)}, "blob is damaged|has not the SHA-256"),
    (lambda a: {"blob": a.tar}, "blob is damaged"),
    (lambda a: {"blob": a.gzip + b"x"}, "data after its end"),
    (lambda a: {"blob": a.gzip + a.gzip}, "data after its end"),
    (lambda a: {"blob": gzip.compress(a.tar + bytes(512))}, "longer than the .* bytes of its manifest"),
    (lambda a: {"blob": gzip.compress(a.tar + bytes(50_000_000))}, "longer than the .* bytes of its manifest"),
    (lambda a: {"blob": a.tar[:-512], "encoding": "identity"}, "in the middle of its end"),
    (lambda a: {"blob": a.tar.replace(b"VALUE = 1", b"VALUE = 2"), "encoding": "identity"}, "has not the SHA-256"),
    (lambda a: {"encoding": "br"}, "encoding 'br' can't be unpacked"),
    (lambda a: {"tree": {**a.manifest["tree"], "files": 2}}, "more than the 2 files"),
    (lambda a: {"tree": {**a.manifest["tree"], "files": 99}}, "its manifest says otherwise"),
    (lambda a: {"tree": {**a.manifest["tree"], "sha256": "0" * 64}}, "not the one that was sealed: META/tree"),
    (lambda a: {"schema": "containerless.manifest/v2"}, "this version reads only"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
@pytest.mark.parametrize("old", [True, False])
def test_a_refusal_leaves_what_was_there(
    change: t.Callable[[Artifact], dict[str, t.Any]], reason: str, old: bool, artifact: Artifact, tmp_path: Path
) -> None:
    damage = tmp_path / "trees" / artifact.content_id / "app/manage.py"
    if old:
        install(artifact, tmp_path / "trees")
        damage.write_text("edited by hand")
    with pytest.raises(ContainerlessError, match=reason):
        install(artifact, tmp_path / "trees", **change(artifact))
    assert os.listdir(tmp_path) in ([], ["trees"])
    assert [path.name for path in tmp_path.glob("trees/*")] == ([artifact.content_id] if old else [])
    assert not old or damage.read_text() == "edited by hand"


ZSTD: list[tuple[t.Callable[[bytes, bytes], bytes], str]] = [
    (lambda blob, _: blob[: len(blob) // 2], "ends before its tar does"),
    (lambda blob, _: blob + b"x", "data after its end"),
    (lambda blob, _: blob + blob, "data after its end"),
    (lambda blob, _: damaged(blob), "blob is damaged|ends before its tar does|data after its end"),
    (lambda _, tar: zstd(tar + bytes(512)), "longer than the .* bytes of its manifest"),
    (lambda _, tar: zstd(tar + bytes(50_000_000)), "longer than the .* bytes of its manifest"),
    (lambda _, tar: zstd(tar[:-512]), "in the middle of its end"),
    (lambda _, tar: zstd(tar.replace(b"VALUE = 1", b"VALUE = 2")), "has not the SHA-256"),
]


@pytest.mark.skipif("zstd" not in ENCODINGS, reason="nothing here reads zstd")
@pytest.mark.parametrize(("change", "reason"), ZSTD, ids=[reason for _, reason in ZSTD])
def test_zstd_is_refused_as_gzip_is(
    change: t.Callable[[bytes, bytes], bytes], reason: str, artifact: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(ContainerlessError, match=reason):
        install(artifact, tmp_path, change(artifact.blob("zstd"), artifact.tar), "zstd")
    assert not list(tmp_path.iterdir())
    assert not children("zstd")


@pytest.mark.parametrize("interpreter", ["/nowhere/python3", "/etc/passwd", "/etc"])
def test_an_interpreter_is_needed(interpreter: str, artifact: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ContainerlessError, match=f"interpreter '{interpreter}' of this host can't be executed"):
        unpack.install(
            io.BytesIO(), encoding="gzip", manifest=artifact.manifest, trees=str(tmp_path), interpreter=interpreter
        )
    assert not list(tmp_path.iterdir())


def relink(root: Path) -> None:
    (root / "venv/bin/python").unlink()
    (root / "venv/bin/python").symlink_to("/bin/true")


DAMAGES: list[t.Callable[[Path], object]] = [
    lambda root: (root / "app/manage.py").write_text("edited"),
    lambda root: (root / "app/more.py").touch(),
    lambda root: (root / "venv/pyvenv.cfg").unlink(),
    lambda root: (root / "venv/pyvenv.cfg").write_text("include-system-site-packages = true\n"),
    relink,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_tree_is_replaced(damage: t.Callable[[Path], object], artifact: Artifact, tmp_path: Path) -> None:
    install(artifact, tmp_path)
    damage(tmp_path / artifact.content_id)
    assert install(artifact, tmp_path) is True
    assert install(artifact, tmp_path, b"never read") is False
    assert os.listdir(tmp_path) == [artifact.content_id]


def test_leftovers_of_killed_runs_go_and_nothing_else(artifact: Artifact, tmp_path: Path) -> None:
    for name in (f".{'a' * 64}.123", f".{artifact.content_id}.{os.getpid()}", f".{'b' * 64}.old", "b" * 64, ".mine"):
        (tmp_path / name / "app").mkdir(parents=True)
    assert install(artifact, tmp_path) is True
    assert sorted(os.listdir(tmp_path)) == sorted([".mine", artifact.content_id, "b" * 64])


def test_two_at_once_wait_for_each_other(artifact: Artifact, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    results: list[bool] = []
    runs = [threading.Thread(target=lambda: results.append(install(artifact, tmp_path))) for _ in range(2)]
    for run in runs:
        run.start()
    assert not os.listdir(tmp_path)
    os.close(fd)
    for run in runs:
        run.join()
    assert sorted(results) == [False, True]


def test_a_full_disk_is_said_and_leaves_nothing(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ContainerlessError, match="No space left on device"):
        install(artifact, tmp_path)
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


def test_a_tree_that_is_not_on_the_disk_gets_no_name(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(unpack, "_flush", failing)
    with pytest.raises(ContainerlessError, match="Input/output error"):
        install(artifact, tmp_path)
    assert not list(tmp_path.iterdir())


@PROPERTY
@given(at=st.integers(0, 10**6), patch=st.binary(min_size=1, max_size=8), encoding=st.sampled_from(ENCODINGS))
def test_tampered_blobs_never_pass(
    at: int, patch: bytes, encoding: str, artifact: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> None:
    good = artifact.blob(encoding)
    at %= len(good)
    bad = good[:at] + patch + good[at + len(patch) :]
    folder = tmp_path_factory.mktemp("host")
    try:
        assert install(artifact, folder / "trees", bad, encoding)
    except ContainerlessError:
        assert not list(folder.glob("trees/*"))
    else:
        # Bytes of the gzip header, such as its time, change nothing of what is unpacked.
        assert tree.verify(str(folder / "trees" / artifact.content_id), artifact.manifest["tree"]["sha256"]) == []
    assert [path.name for path in folder.iterdir()] in ([], ["trees"])
