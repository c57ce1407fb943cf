# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands of docs/artifact.md, run as a person would who has no tool of ours; and its tables."""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import tar
from ansible_collections.containerless.django.plugins.module_utils._core import canonical, schemas
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository

from .conftest import STATED, Artifact

Check = t.Callable[[Artifact], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs/artifact.md").read_text("utf-8")


@pytest.fixture
def check(page: str, repository: Repository, tmp_path: Path) -> Check:
    """Return what runs the section on an artifact of the store."""
    section = page.partition("\n## Check it yourself\n")[2].partition("\n## ")[0]
    script = "".join(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    assert "sha256sum" in script

    def run(artifact: Artifact) -> subprocess.CompletedProcess[str]:
        place = {"store": str(repository.store.folder), "app": "shop", "content_id": artifact.content_id}
        env = {**os.environ, **place, "TMPDIR": str(tmp_path), "LC_ALL": "C.UTF-8"}
        return subprocess.run(["sh", "-eu"], input=script, env=env, text=True, capture_output=True, check=False)

    return run


def test_a_whole_artifact_passes_and_nothing_stays(
    check: Check, repository: Repository, artifact: Artifact, tmp_path: Path
) -> None:
    artifact.publish(repository)
    before = sorted(tmp_path.iterdir())
    done = check(artifact)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.rpartition("/")[2] for line in done.stdout.splitlines()] == [
        "manifest.json: OK",
        "sbom.cdx.json: OK",
        f"{artifact.blob.name}: OK",
        "artifact.tar: OK",
        "tree.sha256: OK",
    ]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("what", ["manifest", "sbom", "blob"])
def test_one_flipped_bit_in_the_store_stops_it(
    check: Check, repository: Repository, artifact: Artifact, what: str
) -> None:
    artifact.publish(repository)
    keys = repository.keys
    key = keys.blob(artifact.blob.name) if what == "blob" else getattr(keys, what)(artifact.content_id)
    path = t.cast("Path", repository.store.folder) / key
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = check(artifact)
    assert done.returncode
    assert f"{path.name}: FAILED" in done.stdout


def packed_again(artifact: Artifact, files: dict[str, bytes], scratch: Path) -> None:
    """Give an artifact a tar with other files, as a builder that lies would: only the list of files is as before."""
    with tarfile.open(fileobj=io.BytesIO(artifact.tar)) as archive:
        archive.extractall(scratch, filter="data")
    for name, data in files.items():
        (scratch / name).write_bytes(data)
    out = io.BytesIO()
    tar.write_tar(str(scratch), out, mtime=1)
    blob = gzip.compress(out.getvalue())
    artifact.blob = artifact.folder / canonical.sha256(blob)
    artifact.blob.write_bytes(blob)
    artifact.manifest["tar"] = {"sha256": canonical.sha256(out.getvalue()), "size": len(out.getvalue())}
    blobs = [{"encoding": "gzip", "sha256": artifact.blob.name, "size": len(blob)}]
    artifact.provenance = canonical.dumps({**STATED, "blobs": blobs, "platform": "debian12"})


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"app/data": b"other"}, "app/data: FAILED"),
        ({"app/more": b"unsealed"}, "> app/more"),
        ({"META/tree.sha256": b""}, "tree.sha256: FAILED"),
    ],
)
def test_a_builder_that_lied_is_found_out(
    check: Check, repository: Repository, artifact: Artifact, files: dict[str, bytes], said: str
) -> None:
    packed_again(artifact, files, artifact.folder / "scratch")
    artifact.publish(repository)
    done = check(artifact)
    assert done.returncode
    assert said in done.stdout


def test_the_names_of_other_things_do_not_mislead_it(check: Check, repository: Repository, artifact: Artifact) -> None:
    timer = {"argv": ["echo", '"sha256":"1'], "schedule": '"tar":{"sha256":"2'}
    artifact.manifest["timers"] = {"tar": timer, "tree": timer, "sbom": timer}
    artifact.publish(repository)
    done = check(artifact)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_field_of_the_manifest_is_described(page: str) -> None:
    section = page.partition("\n## The manifest\n")[2].partition("\n## ")[0]
    described = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"\w+", row)
    }
    assert described == set(schemas.MANIFEST["properties"])
