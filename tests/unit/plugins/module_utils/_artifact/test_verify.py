# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import tar, tree, verify
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError

from ..documents import MANIFEST

SBOM = b'{"bomFormat":"CycloneDX"}\n'
FILES = {"META/sbom.cdx.json": SBOM, "app/manage.py": b"VALUE = 1\n"}


class Artifact(t.NamedTuple):
    tar: bytes
    manifest: dict[str, t.Any]


def make(root: Path, files: dict[str, bytes], after_seal: dict[str, bytes]) -> Artifact:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    sealed = tree.seal(str(root))
    for name, data in after_seal.items():
        (root / name).write_bytes(data)
    out = io.BytesIO()
    tar.write_tar(str(root), out, mtime=1)
    data = out.getvalue()
    manifest = copy.deepcopy(MANIFEST)
    manifest["tar"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    manifest["tree"] = {"sha256": sealed.sha256, "files": sealed.files, "bytes": sealed.bytes}
    manifest["sbom"] = {"sha256": hashlib.sha256(SBOM).hexdigest()}
    return Artifact(data, manifest)


def prove(artifact: Artifact, folder: Path, blob: bytes | None = None) -> None:
    folder.mkdir()
    stream = io.BytesIO(gzip.compress(artifact.tar) if blob is None else blob)
    try:
        verify.blob(stream, encoding="gzip", manifest=artifact.manifest, folder=str(folder))
    finally:
        assert list(folder.iterdir()) == []


def test_a_whole_one_is_proven_and_nothing_stays(tmp_path: Path) -> None:
    prove(make(tmp_path / "root", FILES, {}), tmp_path / "scratch")


@pytest.mark.parametrize(
    ("files", "after_seal", "said"),
    [
        (FILES, {"app/manage.py": b"VALUE = 2\n"}, "not those that were sealed: app/manage.py: changed"),
        (FILES, {"META/tree.sha256": b"x" * 239}, "META/tree.sha256: changed|its manifest says otherwise"),
        ({**FILES, "META/sbom.cdx.json": b"{}\n"}, {}, "META/sbom.cdx.json is not the one that its manifest names"),
        ({"app/manage.py": b""}, {}, "META/sbom.cdx.json is not the one that its manifest names"),
    ],
)
def test_a_builder_that_lied_is_found_out(
    files: dict[str, bytes], after_seal: dict[str, bytes], said: str, tmp_path: Path
) -> None:
    artifact = make(tmp_path / "root", files, after_seal)
    with pytest.raises(ContainerlessError, match=said):
        prove(artifact, tmp_path / "scratch")


def test_another_tar_is_found_out(tmp_path: Path) -> None:
    artifact = make(tmp_path / "root", FILES, {})
    with pytest.raises(ContainerlessError, match="has not the SHA-256"):
        prove(artifact, tmp_path / "scratch", gzip.compress(artifact.tar.replace(b"VALUE = 1", b"VALUE = 2")))
