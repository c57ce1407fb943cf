# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import files, systemd
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd, UnitState

from .host import UNITS, Host

SHOWN = [
    (
        "ActiveState=active\nSubState=running\nNRestarts=2\nResult=success\nActiveEnterTimestampMonotonic=1500000\n",
        UnitState("active", "running", 2, "success", 1.5),
        True,
    ),
    (
        "ActiveState=failed\nSubState=failed\nResult=exit-code\n",
        UnitState("failed", "failed", 0, "exit-code", 0.0),
        False,
    ),
    (
        "ActiveState=activating\nSubState=auto-restart\nNRestarts=\n",
        UnitState("activating", "auto-restart", 0, "", 0),
        False,
    ),
    ("", UnitState("unknown", "unknown", 0, "", 0.0), False),
]


@pytest.mark.parametrize(("text", "state", "is_up"), SHOWN)
def test_parse_show(text: str, state: UnitState, is_up: bool) -> None:
    assert systemd.parse_show(text) == state
    assert state.is_up is is_up


def answering(rc: int, out: str, err: str = "") -> Systemd:
    return Systemd(Layout("shop"), lambda _argv: (rc, out, err))


@pytest.mark.parametrize(
    ("text", "version"), [("systemd 252 (252.38-1~deb12u1)\n+PAM", 252), ("systemd 257 (257-9)", 257), ("busybox", 0)]
)
def test_version(text: str, version: int) -> None:
    assert answering(0, text).version() == version


def test_systemd_is_quoted_when_it_refuses() -> None:
    with pytest.raises(ContainerlessError, match="systemctl start a.service failed: Unit a.service not found"):
        answering(5, "", "Unit a.service not found.\n").start("a.service")
    with pytest.raises(ContainerlessError, match="said on standard output"):
        answering(1, "said on standard output").reload()


def test_what_is_not_loaded_may_be_stopped() -> None:
    answering(5, "", "not loaded").stop("a.service")


def test_argv(host: Host) -> None:
    one = Systemd(host.layout, host)
    one.stop()
    one.stop("a.service", "b.service", block=False)
    one.start()
    one.forget()
    one.forget("c.service")
    one.ensure_user()
    one.journal("a.service", 12)
    assert host.calls == [
        ["systemctl", "stop", "--no-block", "a.service", "b.service"],
        ["systemctl", "stop", "c.service"],
        ["systemctl", "reset-failed", "c.service"],
        ["systemd-sysusers", "--inline", f'u cl-shop - "containerless shop" {host.layout.data}'],
        ["journalctl", "--no-pager", "-q", "-o", "cat", "-n", "12", "-u", "a.service"],
    ]


INSTANCES = [
    ("containerless-shop-web@.service", "containerless-shop-web@7.service"),
    ("containerless-shop-web@.socket", "containerless-shop-web@7.socket"),
    ("containerless-shop-task.migrate@.service", "containerless-shop-task.migrate@7.service"),
    ("containerless-shop-web@.service.d/50-sandbox.conf", "containerless-shop-web@7.service.d/50-sandbox.conf"),
]


@pytest.mark.parametrize(("name", "expected"), INSTANCES)
def test_instance(name: str, expected: str) -> None:
    assert answering(0, "").instance(name, 7) == expected


def test_units_are_gone_before_a_reload(host: Host) -> None:
    one = Systemd(host.layout, host)
    seen: list[list[str]] = []
    host.before = lambda argv: (
        seen.append(sorted(os.listdir(host.layout.units))) if argv[1] == "daemon-reload" else None
    )
    one.install(UNITS, 3)
    one.install(UNITS, 12)
    assert one.activations() == [3, 12]
    assert len(one.installed(3)) == 7
    one.uninstall(3)
    one.uninstall(12)
    assert [len(names) for names in seen] == [9, 0]
    assert one.activations() == []


def test_only_units_that_systemd_may_know_otherwise_cost_a_reload(host: Host) -> None:
    one = Systemd(host.layout, host)
    one.install(UNITS, 3)
    one.install(UNITS, 3)
    assert not host.called("systemctl", "daemon-reload")
    one.install({**UNITS, next(iter(UNITS)): "[Unit]\nDescription=another\n"}, 3)
    assert len(host.called("systemctl", "daemon-reload")) == 1


def test_a_unit_never_stands_there_without_its_drop_ins(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Systemd(host.layout, host)
    written: list[str] = []
    monkeypatch.setattr(files, "write", lambda path, _data: written.append(os.path.relpath(path, host.layout.units)))
    one.install(UNITS, 3)
    dropped = ["/" in name for name in written]
    assert dropped == sorted(dropped, reverse=True)
    assert any(dropped)


def test_the_folder_of_units_gets_a_time_that_no_tick_of_the_clock_gives_twice(host: Host) -> None:
    one = Systemd(host.layout, host)
    seen = set()
    for number in range(20):
        one.install(UNITS, number)
        seen.add(os.stat(host.layout.units).st_mtime_ns)
    assert len(seen) == 20


def test_services_and_socket_are_stopped_in_one_call(host: Host) -> None:
    """Else a connection that waits would start the service again in between."""
    one = Systemd(host.layout, host)
    one.install(UNITS, 1)
    one.uninstall(1)
    (call,) = host.called("systemctl", "stop")
    assert "containerless-shop-web@1.socket" in call
    assert len(call[2:]) == 7


def test_units_of_others_are_not_ours(host: Host) -> None:
    one = Systemd(host.layout, host)
    others = (
        "containerless-shop_admin-web@1.service",
        "containerless-shopping-web@1.service",
        "containerless-shop.service",
        "containerless-shop-web@.service",
        "containerless-shop-web@1.path",
        "shop-web@1.service",
    )
    for name in others:
        Path(host.layout.units, name).write_text("", "utf-8")
    assert one.installed() == []
    one.install(UNITS, 1)
    one.uninstall(1)
    assert sorted(os.listdir(host.layout.units)) == sorted(others)


def test_an_activation_is_not_the_beginning_of_another(host: Host) -> None:
    one = Systemd(host.layout, host)
    one.install(UNITS, 1)
    one.install(UNITS, 11)
    one.uninstall(1)
    assert one.activations() == [11]


def test_a_service_that_others_keep_loaded_after_its_end_is_begun_again(tmp_path: Path) -> None:
    calls: list[list[str]] = []

    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        calls.append(list(argv))
        return int(argv[0] == "systemd-run"), "", "Unit gate.service was already loaded or has a fragment file."

    Systemd(Layout("shop", root=str(tmp_path)), run).begin("gate", "requests wait")
    assert calls[-1] == ["systemctl", "start", "--no-block", "gate.service"]


def test_a_host_without_units_has_no_activations(tmp_path: Path) -> None:
    assert Systemd(Layout("shop", root=str(tmp_path))).activations() == []


def test_run_has_no_shell_no_terminal_and_survives_any_output() -> None:
    script = "import sys; sys.stdout.buffer.write(b'\\xff'); print(sys.argv[1], sys.stdin.read()); sys.exit(3)"
    rc, out, err = systemd.run([sys.executable, "-c", script, "$HOME; x"])
    assert (rc, out, err) == (3, "\ufffd$HOME; x \n", "")


def test_several_units_are_asked_for_at_once_in_their_order(host: Host) -> None:
    host.shown["b.service"] = {"Id": "other.service", "ActiveState": "failed", "NRestarts": "4"}
    host.up["a.service"] = 1.5
    shown = Systemd(host.layout, host).show_all(["b.service", "a.service"])
    assert {unit: (state.active, state.restarts) for unit, state in shown.items()} == {
        "b.service": ("failed", 4),
        "a.service": ("active", 0),
    }
    assert len(host.calls) == 1
    assert Systemd(host.layout, host).show_all([]) == {}
    assert len(host.calls) == 1


@pytest.mark.parametrize(
    ("said", "memory"), [("[not set]\n", 0), ("18446744073709551615\n", 0), ("", 0), ("1048576\n", 1 << 20)]
)
def test_memory(said: str, memory: int) -> None:
    assert answering(0, said).memory("a.slice") == memory


def test_what_is_killed_is_on_the_way_to_its_stop_before(host: Host) -> None:
    Systemd(host.layout, host).kill("a.service", "b.service")
    assert host.calls == [
        ["systemctl", "stop", "--no-block", "a.service", "b.service"],
        ["systemctl", "kill", "--signal=SIGKILL", "a.service", "b.service"],
    ]


@pytest.mark.parametrize(
    ("seconds", "when"), [(60, "--on-active=60.000"), (0.5, "--on-active=0.500"), (0, "--no-block")]
)
def test_what_is_put_off_is_tried_until_it_succeeds(host: Host, seconds: float, when: str) -> None:
    Systemd(host.layout, host).after("later", seconds, ["do", "it"], "what it is")
    (call,) = host.calls
    assert call[:2] == ["systemd-run", "--quiet"]
    assert {when, "--collect", "--unit=later", "--description=what it is"} <= set(call)
    assert {"--property=Restart=on-failure", "--property=RestartSec=5"} <= set(call)
    assert ("--timer-property=AccuracySec=100ms" in call) is (seconds > 0)
    assert call[call.index("--") :] == ["--", "do", "it"]


def test_what_can_not_be_put_off_is_an_error(host: Host) -> None:
    host.refused["systemd-run"] = "no such luck"
    with pytest.raises(ContainerlessError, match="systemd-run --quiet --collect failed: no such luck"):
        Systemd(host.layout, host).after("later", 60, ["do", "it"], "")
    assert len(host.called("systemd-run")) == 2


# units that are active, state of the service -> whether it is put off
PUT_OFF = [
    ([], "inactive", False),
    (["later.timer"], "inactive", True),
    ([], "activating", True),
    ([], "failed", False),
]


@pytest.mark.parametrize(("up", "service", "expected"), PUT_OFF)
def test_is_put_off(host: Host, up: list[str], service: str, expected: bool) -> None:
    host.up = dict.fromkeys(up, 0.0)
    host.shown["later.service"] = {"ActiveState": service}
    assert Systemd(host.layout, host).is_put_off("later") is expected


def test_a_program_that_was_begun_runs_beside_us() -> None:
    ended = systemd.run_beside([sys.executable, "-c", "import sys; print(1); print(2, file=sys.stderr); sys.exit(3)"])
    assert systemd.run([sys.executable, "-c", "print(4)"]) == (0, "4\n", "")
    assert ended() == (3, "1\n", "2\n")


def test_what_is_put_off_twice_counts_as_it_was_told_last(host: Host) -> None:
    one = Systemd(host.layout, host)
    for seconds in (5.0, 7.0):
        put_off = one.begin_after("containerless-shop-deadman", seconds, ["true"], "a switch")
        put_off()
    assert host.later["containerless-shop-deadman"] == (7.0, ["true"])
