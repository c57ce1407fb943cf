# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release is measured with: three versions of the rig, padded until an artifact has 30 MB and 3,000 files.

Django alone has 4,500 files, half of them translations: these are left out, as who wants a small artifact does.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from ...plugins.plugin_utils._repository import Repository
from ...plugins.plugin_utils._store import Missing, open_store
from ...tools import bootstrap
from ..fixtures import history
from ..fixtures.history import Version, git
from ..fixtures.rig.history import HERE as RIG
from ..rig import hosts as machines
from ..rig.core import APP, defaults
from ..rig.plays import play

FOLDER = bootstrap.CACHE / "rig-payload"
SOURCE, STORE, BARE, WHEELS = FOLDER / "source", FOLDER / "store", FOLDER / "payload.git", FOLDER / "wheels"
IMAGE = "debian12"
#: With two kept, each version was pruned by the time that it is its turn again, so it is always sent and unpacked.
TAGS = ("p1", "p2", "p3")
KEPT = 2
PAD_FILES, PAD_BYTES = 296, 47_000
#: What the artifacts are kept by, beside the files of the rig: other ones are made anew.
MADE = f"{PAD_FILES} {PAD_BYTES}"
_TRANSLATION = re.compile(r"django/.*\blocale/(?!en/|__)[^/]+/")
_PIN = re.compile(r"^django==(\S+)[^\n]*(?:\n    --hash=\S+[^\n]*)+", re.MULTILINE)


def settings() -> dict[str, Any]:
    """Return the inventory's variables of a rig that releases the payload, without the waits that a user chooses."""
    waits = {"app_release_drain": 0, "app_release_watch": 0, "app_release_health_stay_up": 0}
    where = {"app_src": str(SOURCE), "app_store": STORE.as_uri(), "app_build_store": (FOLDER / "built").as_uri()}
    return {**defaults(IMAGE), **waits, **where, "app_release_keep": KEPT}


def repository() -> Repository:
    return Repository(open_store(STORE.as_uri(), missing=Missing.EMPTY), APP)


def content_id(tag: str) -> str | None:
    """Return the artifact that the channel of a tag leads to."""
    pointer = repository().channel(tag)
    return repository().index(pointer["index_id"])["variants"][0]["content_id"] if pointer else None


def manifest(tag: str) -> dict[str, Any]:
    found = content_id(tag)
    assert found
    return repository().manifest(found)


def blob(tag: str) -> Path:
    """Return the artifact as it is sent: peers get the same file."""
    dest = FOLDER / f"{tag}.tar.gz"
    found = content_id(tag)
    assert found
    if not dest.is_file():
        repository().fetch_blob(found, dest, ["gzip"])
    return dest


def prepare() -> None:
    """Make sources, artifacts and the clone for Capistrano, where they are not there from an earlier run."""
    whole = FOLDER / "whole"
    if not whole.exists() or whole.read_text(encoding="utf-8") != MADE:
        shutil.rmtree(FOLDER, ignore_errors=True)
        STORE.mkdir(parents=True)
        _make_source()
        _publish()
        _make_clone()
        whole.write_text(MADE, encoding="utf-8")


def _make_source() -> None:
    _make_wheel()
    with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
        for number, tag in enumerate(TAGS, 1):
            _make_version(Path(scratch, tag), tag, number)
        versions = [Version(tag, tag, f"2024-0{n}-01T12:00:00Z", f"Pad {tag}") for n, tag in enumerate(TAGS, 1)]
        history.create(SOURCE, Path(scratch), versions)


def _make_version(folder: Path, tag: str, number: int) -> None:
    """Lay bytes that no compression shrinks over the rig, each time other ones."""
    shutil.copytree(RIG / "base", folder)
    project = folder / "pyproject.toml"
    project.write_text(project.read_text(encoding="utf-8").replace("1.0.0", f"{number}.0.0"), encoding="utf-8")
    lock = folder / "requirements.txt"
    lock.write_text(_lock(lock.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / "pad").mkdir()
    drawer = random.Random(tag)
    for name in range(PAD_FILES):
        (folder / f"pad/{name:03}.bin").write_bytes(drawer.randbytes(PAD_BYTES))


def _make_wheel() -> None:
    """Fetch the wheel of Django that the rig locks, and leave out its translations."""
    found = _PIN.search((RIG / "base/requirements.txt").read_text(encoding="utf-8"))
    assert found
    with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", scratch]
        subprocess.run([*argv, f"django=={found[1]}"], check=True)
        (whole,) = Path(scratch).iterdir()
        WHEELS.mkdir()
        strip(whole, WHEELS / whole.name)


def strip(whole: Path, dest: Path) -> None:
    """Write a wheel anew without translations, and without their lines in its RECORD."""
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(dest, "w", zipfile.ZIP_DEFLATED) as out:
        for info in source.infolist():
            data = source.read(info)
            if info.filename.endswith(".dist-info/RECORD"):
                lines = data.decode().splitlines(keepends=True)
                data = "".join(line for line in lines if not _TRANSLATION.match(line)).encode()
            if not _TRANSLATION.match(info.filename):
                out.writestr(info, data)


def _lock(text: str) -> str:
    """Have a lock take our wheel, which has the name of the one of the index and other bytes."""
    (wheel,) = WHEELS.iterdir()
    pin = f"django=={{}} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
    return f"--find-links {WHEELS}\n" + _PIN.sub(lambda found: pin.format(found[1]), text)


def _publish() -> None:
    folder = FOLDER / "builder"
    inventory = machines.inventory(folder, {**settings(), "app_build_host": "build"})
    try:
        machines.make(folder, [{"name": "build", "image": IMAGE, "backend": "nspawn"}])
        for tag in TAGS:
            play("containerless.django.build", inventory, {"app_build_ref": tag}).check()
            play("containerless.django.upload", inventory, {"app_upload_channel": tag}).check()
    finally:
        machines.remove(folder)


def _make_clone() -> None:
    """Commit what each artifact holds, file by file, as the branch of its tag."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
        work = Path(scratch, "work")
        git("init", "-q", "--template=", "-b", TAGS[0], str(work))
        for tag in TAGS:
            if tag != TAGS[0]:
                git("checkout", "-q", "-b", tag, repo=work)
                git("rm", "-rq", ".", repo=work)
            with tarfile.open(blob(tag)) as packed:
                packed.extractall(work, filter="tar")
            git("add", "--all", "--force", repo=work)
            git("commit", "-q", "-m", tag, repo=work, date="2024-01-01T12:00:00Z")
        git("clone", "-q", "--bare", str(work), str(BARE))
