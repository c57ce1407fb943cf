# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import shutil
import subprocess
import typing as t
import zlib
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import inflate, pack, tar
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError

from .children import children

ENCODINGS = ["gzip", "identity", *(["zstd"] if shutil.which("zstd") else [])]
needs_zstd = pytest.mark.skipif("zstd" not in ENCODINGS, reason="the program zstd is not installed")
#: What zlib 1.2.13 makes of the tree below.
GOLDEN = "812553c85bf9ecbd6d48501f6485ce78ccec8953f72da312fbecc66e55d38309"


def noise(size: int) -> bytes:
    """Return bytes that don't shrink, always the same ones."""
    return b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(-(-size // 32)))[:size]


def make_tree(root: Path, sizes: t.Iterable[int] = (700_000, 0, 5, 40_000)) -> str:
    """Make files of noise with these sizes, and text that repeats itself over the edges of blocks."""
    (root / "app").mkdir(parents=True)
    for number, size in enumerate(sizes):
        (root / f"app/{number}.bin").write_bytes(noise(size))
        (root / f"app/{number}.py").write_text("".join(f"VALUE_{line} = {line}\n" for line in range(size // 5)))
    return str(root)


def plain(root: str) -> bytes:
    out = io.BytesIO()
    tar.write_tar(root, out, mtime=1)
    return out.getvalue()


def opened(path: Path, encoding: str) -> bytes:
    with path.open("rb") as blob:
        return b"".join(inflate.pieces(blob, encoding))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tree(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a tree of 11 MB: zstd gives nothing out of less, and does it the same way with and without threads."""
    return make_tree(tmp_path_factory.mktemp("large"), [3_500_000])


@pytest.mark.parametrize("threads", [1, 2, 3, None])
def test_one_pass_writes_all_encodings_and_says_what_they_are(threads: int | None, root: str, tmp_path: Path) -> None:
    told, blobs = pack.pack(root, str(tmp_path), 1, ENCODINGS, threads)
    data = plain(root)
    assert told == pack.Packed(hashlib.sha256(data).hexdigest(), len(data))
    assert list(blobs) == ENCODINGS
    assert blobs["identity"] == told
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"blob.{name}" for name in ENCODINGS)
    for encoding, packed in blobs.items():
        path = tmp_path / f"blob.{encoding}"
        assert packed == pack.Packed(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        assert opened(path, encoding) == data


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.exhaustive
def test_the_number_of_threads_changes_no_byte(encoding: str, large: str, tmp_path: Path) -> None:
    assert len({pack.pack(large, str(tmp_path), 1, [encoding], threads)[1][encoding] for threads in (1, 2, 3)}) == 1


@pytest.mark.skipif(zlib.ZLIB_RUNTIME_VERSION != "1.2.13", reason="every zlib may write other bytes")
def test_the_bytes_of_gzip_are_always_these(root: str, tmp_path: Path) -> None:
    assert pack.pack(root, str(tmp_path), 1, ["gzip"])[1]["gzip"].sha256 == GOLDEN


#: Trees whose tar is smaller than a block, and exactly so many blocks, with the size of their one large file.
SIZES = {"a part of a block": 0, "five blocks": 5 * 256 * 1024 - 10 * 1024, "and one record": 5 * 256 * 1024}


@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_gzip_is_read_by_everybody(size: int, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "app").mkdir(parents=True)
    (root / "app/data").write_bytes(noise(size // 2) * 2)
    data = plain(str(root))
    assert len(data) == size + 10 * 1024
    pack.pack(str(root), str(tmp_path), 1, ["gzip"])
    blob = tmp_path / "blob.gzip"
    assert gzip.decompress(blob.read_bytes()) == data
    assert subprocess.run(["gzip", "-dc", blob], stdout=-1, check=True).stdout == data
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xzf", blob, "-C", tmp_path / "out"], check=True)
    assert (tmp_path / "out/app/data").read_bytes() == (root / "app/data").read_bytes()


def test_gzip_is_as_small_as_that_of_one_thread(root: str, tmp_path: Path) -> None:
    size = pack.pack(root, str(tmp_path), 1, ["gzip"])[1]["gzip"].size
    assert size < 1.01 * len(gzip.compress(plain(root), 6))


@pytest.mark.parametrize(("encodings", "said"), [([], "not nothing"), (["gzip", "xz", "br"], "not xz, br")])
def test_unknown_encodings_are_named(encodings: list[str], said: str, root: str, tmp_path: Path) -> None:
    with pytest.raises(ContainerlessError, match=f"app_build_encodings must name some of gzip, identity, zstd, {said}"):
        pack.pack(root, str(tmp_path), 1, encodings)
    assert not list(tmp_path.iterdir())


def program(folder: Path, script: str) -> str:
    """Return a PATH on which there is no zstd but this one."""
    folder.mkdir()
    if script:
        (folder / "zstd").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "zstd").chmod(0o755)
    return str(folder)


FAILURES = {
    "": "no program zstd.*install its package zstd.*app_build_encodings",
    "echo zstd: out of memory >&2; exit 1": "zstd failed on the build host: zstd: out of memory",
    "cat > /dev/null; exit 3": "zstd failed on the build host: exit status 3",
}


@pytest.mark.parametrize(("script", "reason"), FAILURES.items(), ids=list(FAILURES.values()))
def test_a_zstd_that_is_missing_or_fails_leaves_nothing(
    script: str, reason: str, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", program(tmp_path / "bin", script))
    (tmp_path / "out").mkdir()
    with pytest.raises(ContainerlessError, match=reason):
        pack.pack(root, str(tmp_path / "out"), 1, ["gzip", "zstd"])
    assert not list((tmp_path / "out").iterdir())
    assert not children("zstd")


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a tree of so much noise that zstd writes before it has read all."""
    root = tmp_path_factory.mktemp("endless")
    (root / "noise.bin").write_bytes(random.Random(1).randbytes(45_000_000))
    return str(root)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_full_disk_is_said_and_leaves_nothing(encoding: str, endless: str, tmp_path: Path) -> None:
    (tmp_path / f"blob.{encoding}").symlink_to("/dev/full")
    with pytest.raises(ContainerlessError, match="can't pack the artifact: .*No space left on device"):
        pack.pack(endless, str(tmp_path), 1, [encoding])
    assert not list(tmp_path.iterdir())
    assert not children("zstd")


def test_what_has_no_place_in_a_tar_leaves_no_blob(tmp_path: Path) -> None:
    root, out = make_tree(tmp_path / "root"), tmp_path / "out"
    os.mkfifo(f"{root}/pipe")
    out.mkdir()
    with pytest.raises(ContainerlessError, match="'pipe' can't be in an artifact"):
        pack.pack(root, str(out), 1, ENCODINGS)
    assert not list(out.iterdir())
    assert not children("zstd")


@needs_zstd
def test_the_environment_does_not_change_zstd(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = pack.pack(root, str(tmp_path), 1, ["zstd"])
    monkeypatch.setenv("ZSTD_CLEVEL", "1")
    monkeypatch.setenv("ZSTD_NBTHREADS", "3")
    assert pack.pack(root, str(tmp_path), 1, ["zstd"]) == usual
