# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine import guard
from ansible_collections.containerless.django.plugins.module_utils._machine.paths import Cache

NAME, PROJECT = "web", "0123456789"
PATIENCE = 30


@pytest.fixture
def owner() -> t.Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def made(cache: Cache, owner: int, key: str) -> None:
    """Make what looks like a machine, as a process that ends afterwards."""
    child = os.fork()
    if child == 0:
        guard.begin(cache, PROJECT, NAME, owner)
        paths = cache.machine(PROJECT, NAME)
        paths.root.mkdir(parents=True)
        paths.known_hosts.write_text(key)
        os._exit(0)
    os.waitpid(child, 0)


def waits(check: t.Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not check():
        time.sleep(0.05)
    return check()


def test_a_machine_goes_with_its_owner(tmp_path: Path, owner: subprocess.Popen[bytes]) -> None:
    cache = Cache(tmp_path)
    folder = cache.machine(PROJECT, NAME).root
    made(cache, owner.pid, "key")
    time.sleep(0.5)
    assert folder.is_dir()
    owner.kill()
    assert waits(lambda: not folder.exists())


def test_the_machine_of_another_run_stays(tmp_path: Path, owner: subprocess.Popen[bytes]) -> None:
    cache = Cache(tmp_path)
    paths = cache.machine(PROJECT, NAME)
    made(cache, owner.pid, "key")
    time.sleep(0.5)
    paths.known_hosts.write_text("the key of a machine that was made since")
    owner.kill()
    time.sleep(1)
    assert paths.root.is_dir()
