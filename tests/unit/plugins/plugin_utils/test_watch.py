# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.plugin_utils import _watch

QUICK = 0.001


class Script:
    """Answers one look after the other, and lets the test wait for the last one."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.looks = 0
        self.done = threading.Event()

    def __call__(self) -> bytes:
        self.looks += 1
        if not self.answers:
            self.done.set()
            return b""
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def watched(script: Script) -> list[str]:
    said: list[str] = []
    with _watch.Watch(script, said.append, QUICK):
        assert script.done.wait(10)
    return said


def test_each_step_is_said_once() -> None:
    assert watched(Script(b"", b"install\n", b"install\n", b"django\n")) == ["install", "django"]


def test_a_look_in_vain_is_no_fault() -> None:
    assert watched(Script(OSError("gone"), b"install\n")) == ["install"]


def test_it_gives_up_on_a_connection_that_only_fails() -> None:
    script = Script(*[OSError("gone")] * 100)
    watch = _watch.Watch(script, pytest.fail, QUICK)
    with watch:
        watch._thread.join(10)
    assert script.looks == _watch.PATIENCE


class Connection:
    """Runs commands as Ansible's local connection does: in a shell."""

    def exec_command(self, command: str, in_data: t.Any, sudoable: bool) -> tuple[int, bytes, bytes]:
        assert in_data is None
        assert not sudoable
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr


def test_a_path_is_no_command(tmp_path: Path) -> None:
    (tmp_path / "pro gress; exit 1").write_text("verify\n")
    assert _watch.reader(Connection(), str(tmp_path / "pro gress; exit 1"))() == b"verify\n"
    assert _watch.reader(Connection(), str(tmp_path / "none"))() == b""
