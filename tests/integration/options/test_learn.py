# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Learn mode: what it says an app needs is what the app runs with, and with less it does not."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from ansible_collections.containerless.django.tests.rig import APP, Host, Rig

OTHER = "/var/lib/other"
#: A wall, what is refused, and what is to be set.
WALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "family": (
        "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
        "RestrictAddressFamilies",
        {"directive": "RestrictAddressFamilies", "allow": ["AF_NETLINK"]},
    ),
    "path": (
        f"open('{OTHER}/x', 'w').write('x')",
        "TemporaryFileSystem",
        {"directive": "BindPaths", "allow": [OTHER]},
    ),
    "memory": (
        "import mmap; mmap.mmap(-1, 4096, prot=7)",
        "MemoryDenyWriteExecute",
        {"directive": "MemoryDenyWriteExecute"},
    ),
    "call": (
        "import os; os.setpriority(os.PRIO_PROCESS, 0, 5)",
        "SystemCallFilter",
        {"directive": "SystemCallFilter", "allow": ["setpriority"]},
    ),
}
#: All of them, and files that it asks for and does without.
ALL = "\n".join(
    [
        "for name in ('/proc/meminfo', '/opt/nothing'):",
        "    try: open(name)",
        "    except OSError: pass",
        *(code for code, _directive, _setting in WALLS.values()),
    ]
)
PID_FILE = f"--threads 4 --pid {OTHER}/gunicorn.pid"


@pytest.fixture(scope="module", autouse=True)
def folder(rig: Rig, host: Host) -> None:
    """A release is there, so its user is; the folder is the user's own: nothing but the sandbox refuses it."""
    rig.release("v1").check()
    host.sh(f"install -d -o cl-{APP} -m 750 {OTHER}")


def learn(host: Host, code: str, process: str = "worker") -> dict[str, Any]:
    argv = ["containerless", "learn", APP, process, "--json", "--", "python", "-c", code]
    done = host.sh(shlex.join(argv), check=False)
    assert done.returncode in (0, 3), done.stderr
    return dict(json.loads(done.stdout))


def running(host: Host) -> str:
    """The main processes of what is live, and where requests go."""
    live = f"$(readlink /run/containerless/{APP}/web.sock | cut -d/ -f1)"
    return host.sh(f"echo {live}; systemctl show -p Id,MainPID,NRestarts 'containerless-{APP}-*@{live}.service'").stdout


def opted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**item["value"], "reason": "learned"} for item in found]


def manage(host: Host, code: str) -> int:
    return host.sh(f"containerless manage {APP} -- shell -c {shlex.quote(code)}", check=False).returncode


@pytest.mark.parametrize("wall", WALLS)
def test_a_wall_is_told_with_the_smallest_way_past_it(host: Host, wall: str) -> None:
    code, directive, setting = WALLS[wall]
    found = learn(host, code)
    assert (found["works"], found["explained"]) == (False, True)
    assert found["works_with"] == [{"option": "app_sandbox_opt_out", "value": setting}]
    assert [item["directive"] for item in found["refused"] if item["needed"]] == [directive]


def test_several_walls_are_found_and_what_is_not_needed_is_left_out(rig: Rig, host: Host) -> None:
    """And a release with exactly that runs what the one before could not."""
    before = running(host)
    found = learn(host, ALL)
    assert running(host) == before
    assert [item["value"] for item in found["works_with"]] == [setting for _code, _directive, setting in WALLS.values()]
    assert {item["subject"] for item in found["refused"] if not item["needed"]} >= {"/proc/meminfo"}
    assert manage(host, ALL) != 0
    rig.release("v1", app_sandbox_opt_out=opted(found["works_with"])).check()
    assert manage(host, ALL) == 0
    assert learn(host, ALL)["works"]


def test_web_is_asked_at_a_socket_of_its_own(host: Host) -> None:
    before = running(host)
    ask = f"containerless learn {APP} --json --seconds 2 --path /page/"
    assert json.loads(host.sh(ask).stdout)["works"]
    missing = json.loads(host.sh(f"{ask} --path /none/", check=False).stdout)
    assert (missing["works"], missing["why"]) == (False, "/none/: answered 404 Not Found")
    assert running(host) == before


def test_a_release_that_a_wall_kept_from_going_live_is_learned_from(rig: Rig, host: Host) -> None:
    env = {"GUNICORN_CMD_ARGS": PID_FILE}
    failed = rig.release("v1", env=env, app_release_health_timeout=5)
    assert failed.rc != 0
    release = host.sh(f"ls -td /etc/containerless/{APP}/1*-* | head -1").stdout.strip().rpartition("/")[2]
    told = rig.play("learn", app_sandbox_learn_release=release, app_sandbox_learn_seconds=2).check().output
    assert f"{{directive: BindPaths, allow: [{OTHER}], reason: say why}}" in told
    opt_out = {"directive": "BindPaths", "allow": [OTHER], "reason": "its pid file"}
    rig.release("v1", env=env, app_sandbox_opt_out=[opt_out]).check()
    assert host.sh(f"test -s {OTHER}/gunicorn.pid")
    # Writable, and still nothing that was written there can be executed.
    run = f"import shutil, os; shutil.copy('/usr/bin/true', '{OTHER}/x'); os.execv('{OTHER}/x', ['x'])"
    assert (
        "Permission denied" in host.sh(f"containerless manage {APP} -- shell -c {shlex.quote(run)}", check=False).stderr
    )


def test_what_is_no_fault_of_the_sandbox_is_told_so(host: Host) -> None:
    found = learn(host, "raise SystemExit(4)")
    assert (found["works"], found["explained"], found["why"]) == (False, False, "it ended with 4")
    assert found["works_with"] == []
    closed = learn(host, "open('/etc/shadow')")
    assert "/etc/shadow" not in [item["subject"] for item in closed["refused"]]


def test_a_network_is_named_as_a_matter_of_peers(host: Host) -> None:
    found = learn(host, "import socket; socket.create_connection(('127.0.0.1', 22))")
    assert {item["option"] for item in found["refused"] if item["call"] == "socket"} == {"app_sandbox_egress"}


def test_a_secret_is_in_nothing_that_is_said(host: Host) -> None:
    found = learn(host, "import os; raise SystemExit(open(os.environ['CREDENTIALS_DIRECTORY'] + '/SECRET_KEY').read())")
    assert "********" in json.dumps(found)
    assert "only-for-the-rig" not in json.dumps(found)


def test_nothing_of_it_stays(host: Host) -> None:
    for left in ("*learn*", "*@999999*"):
        assert host.sh(f"systemctl list-units --all --no-legend '{left}'").stdout == ""
    folder = host.sh(f"ls /run/containerless/{APP}").stdout.split()
    assert [name for name in folder if not re.fullmatch(r"\d{1,5}|learn\.lock|(web|previous)\.sock", name)] == []
    assert host.sh("pgrep strace", check=False).returncode == 1
