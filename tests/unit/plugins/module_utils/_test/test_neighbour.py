# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an escape suite makes on a host goes by itself, wherever the test that made it died."""

from __future__ import annotations

import inspect
import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._test.probes import neighbour


class Killed(BaseException):
    """The test's process is gone: nothing of it runs any more."""


class Host:
    """Folders of its own, and a record of what is run on it; a call that begins with `dies` is never made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[tuple[str, ...]] = []
        self.dies: tuple[str, ...] = ("nowhere",)
        self.given: dict[str, t.Any] = {
            "source": inspect.getsource(neighbour),
            "state": str(root),
            "code": f"{root}/open-to-all",
            "port": 9999,
            "seconds": 480,
        }

    def run(self, *argv: str) -> str:
        if argv[: len(self.dies)] == self.dies:
            raise Killed
        self.calls.append(argv)
        if argv[-1] == neighbour.SOCKET:
            Path(neighbour.SOCKET).touch()
        return "1"

    def left(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    places = [f"{tmp_path}/{name}" for name in ("srv", "opt")]
    monkeypatch.setattr(neighbour, "PLACES", places)
    monkeypatch.setattr(neighbour, "FOLDERS", [*places, f"{tmp_path}/bin"])
    for name, path in (("SETUID", "bin/id"), ("SOCKET", "srv/socket"), ("SELF", "neighbour.py")):
        monkeypatch.setattr(neighbour, name, f"{tmp_path}/{path}")
    monkeypatch.setattr(neighbour, "USER", "cl-nobody-has-this-name")
    monkeypatch.setattr(neighbour, "_run", made.run)
    monkeypatch.setattr(neighbour, "_quietly", made.run)
    return made


DEATHS = [("useradd",), ("ip", "address", "replace"), ("systemctl", "start"), ("systemctl", "show")]


@pytest.mark.parametrize("dies", DEATHS, ids=" ".join)
def test_the_host_removes_what_a_killed_test_left(host: Host, dies: tuple[str, ...]) -> None:
    host.dies = dies
    with pytest.raises(Killed):
        neighbour.make(host.given)
    lease = next(call for call in host.calls if call[0] == "systemd-run")
    assert f"--unit={neighbour.LEASE}" in lease
    assert "--on-active=480" in lease
    interpreter, isolated, script, verb, told = lease[-5:]
    assert (interpreter, isolated, verb) == ("/usr/bin/python3", "-I", "remove")
    assert Path(script).read_text("utf-8") == host.given["source"]
    host.calls.clear()
    neighbour.remove(json.loads(told))
    assert host.left() == []
    assert host.calls == [
        ("systemctl", "stop", neighbour.UNIT),
        ("ip", "address", "delete", neighbour.METADATA, "dev", "lo"),
        ("userdel", neighbour.USER),
        ("systemctl", "stop", f"{neighbour.LEASE}.timer"),
    ]


def test_a_removal_that_is_killed_is_made_up_for(host: Host) -> None:
    neighbour.make(host.given)
    assert os.stat(neighbour.SETUID).st_mode & 0o4000
    host.dies = ("userdel",)
    host.calls.clear()
    with pytest.raises(Killed):
        neighbour.remove(host.given)
    assert not any(neighbour.LEASE in word for call in host.calls for word in call)


def test_what_is_no_longer_there_is_no_obstacle(host: Host) -> None:
    neighbour.remove({"code": f"{host.root}/gone/open-to-all"})
    assert host.left() == []
