# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""halt.py stands still after each flushed change of the truth, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.containerless.django.tests.campaigns.host import halt

HALT = Path(halt.__file__)
# What the engine does with its files, in one page.
REQUEST = """
import json, os

def flush(folder):
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)

def write(path, text):
    with open(path + ".new", "w") as handle:
        handle.write(text)
        os.fsync(handle.fileno())
    os.rename(path + ".new", path)
    flush(os.path.dirname(path))

def append(path):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(fd, "wb") as handle:
        handle.truncate(0)
        handle.write(b"line")
        handle.flush()
        os.fsync(fd)
    flush(os.path.dirname(path))

def act(params, check):
    from .._core.errors import ContainerlessError
    var = params["folder"]
    write(f"{var}/journal", json.dumps({"step": "commit"}))
    write(f"{var}/journal", json.dumps({"step": "commit"}))
    write(f"{var}/active", "2")
    append(f"{var}/ledger.jsonl")
    write(f"{var}/another", "")
    open(f"{var}/ledger.jsonl").close()
    if params["state"] == "broken":
        raise ContainerlessError("no")
    os.remove(f"{var}/journal")
    flush(var)
    return {"changed": True}
"""
POINTS = ["begin", "commit", "commit #2", "commit active", "commit ledger", "commit journal removed"]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    package = tmp_path / "rooms/containerless"
    for name, text in {
        "__init__.py": "",
        "_core/__init__.py": "",
        "_core/errors.py": "class ContainerlessError(Exception): pass\n",
        "_release/__init__.py": "",
        "_release/request.py": REQUEST,
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    folder = tmp_path / "var"
    folder.mkdir()
    calls = [{"state": state, "folder": str(folder)} for state in ("activated", "broken")]
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"app": "x", "rooms": str(tmp_path / "rooms"), "folder": str(folder), "calls": calls}))
    return path


def halted(job: Path, *only: str) -> list[dict[str, object]]:
    argv = [sys.executable, "-I", str(HALT), str(job), *only]
    out = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def test_it_names_every_change_in_its_order_and_tells_how_the_calls_ended(job: Path) -> None:
    *points, last = halted(job)
    first = [f"activated/{point}" for point in POINTS] + ["activated/commit end"]
    second = [f"broken/{point}" for point in POINTS[1:-1]]
    assert [point["point"] for point in points] == first + second
    assert last == {"results": [{"changed": True}, {"failed": "no", "evidence": {}}]}


@pytest.mark.parametrize(
    ("point", "file", "text"), [("commit active", "active", "2"), ("commit ledger", "ledger.jsonl", "line")]
)
def test_at_a_named_point_it_stays_when_all_of_it_was_written(job: Path, point: str, file: str, text: str) -> None:
    argv = [sys.executable, "-I", str(HALT), str(job), f"activated/{point}"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert json.loads(process.stdout.readline()) == {"point": f"activated/{point}"}
            assert (job.parent / "var" / file).read_text() == text
            assert not (job.parent / "var/another").exists()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
        finally:
            process.kill()


def test_a_name_that_never_comes_stops_nothing(job: Path) -> None:
    assert [list(told) for told in halted(job, "none")] == [["results"]]
