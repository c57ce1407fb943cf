# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release import activations, files, health
from ansible_collections.containerless.django.plugins.module_utils._release.activations import Activations, env_quote
from ansible_collections.containerless.django.plugins.module_utils._release.journal import Ref
from ansible_collections.containerless.django.plugins.module_utils._release.state import State, Stored
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd
from hypothesis import given, settings, strategies

from ..documents import MANIFEST, RELEASE
from .host import CONFIG, UNITS, Host, answer

REF = Ref(activation=1, release="1.0-0123456789ab", content_id=canonical.digest(MANIFEST))
NEXT = Ref(activation=2, release="2.0-0123456789ab", content_id="e" * 64)


def stored(manifest: dict[str, t.Any] = MANIFEST, scale: dict[str, int] | None = None, **health: t.Any) -> Stored:
    config = {**CONFIG, "scale": scale or {}, "health": {**CONFIG["health"], **health}}
    return Stored(REF.release, {**RELEASE, "config": config}, manifest, REF.content_id)


@pytest.fixture
def one(host: Host) -> Activations:
    """Return the verbs on a host whose first activation has its units."""
    os.makedirs(host.layout.activation_run(1))
    os.makedirs(host.layout.srv)
    made = Activations(host.layout, Systemd(host.layout, host))
    made.systemd.install(UNITS, 1)
    host.calls.clear()
    return made


def started(host: Host) -> list[str]:
    return [unit for call in host.called("systemctl", "start") for unit in call[2:] if unit != "--no-block"]


def test_a_socket_is_there_before_its_process_and_the_others_wait_for_their_word(one: Activations, host: Host) -> None:
    one.begin_web(stored(), REF)
    assert started(host) == ["containerless-shop-web@1.socket", "containerless-shop-web@1.service"]
    one.begin_others(stored(), REF)
    assert started(host)[2:] == ["containerless-shop-worker@1.service"]
    assert "--no-block" in host.calls[-1]


def test_all_of_an_activation_begins_in_one_call_and_a_start_has_its_socket_open(one: Activations, host: Host) -> None:
    one.begin(stored(), REF)
    all_of_it = [f"containerless-shop-{unit}" for unit in ("web@1.socket", "web@1.service", "worker@1.service")]
    assert host.calls == [["systemctl", "start", "--no-block", *all_of_it]]
    one.start(stored(), REF)
    assert host.calls[1:] == [["systemctl", "start", all_of_it[0]], *host.calls[:1]]


@pytest.mark.parametrize("django", [None, {**MANIFEST["django"], "migrations": []}])
def test_a_release_without_migrations_asks_no_database(one: Activations, host: Host, django: t.Any) -> None:
    assert one.compare(stored({**MANIFEST, "django": django}), REF) == (None, [])
    assert host.calls == []


NO_MIGRATIONS = {**MANIFEST, "django": {**MANIFEST["django"], "migrations": []}}


def test_the_settings_of_a_project_without_migrations_are_compared_too(one: Activations, host: Host) -> None:
    assert one.compare_settings(stored({**MANIFEST, "django": None}), REF) == (None, [])
    assert host.calls == []
    one.start(stored(), REF)
    host.peers = [("EMAIL_HOST", "mail.internal", 25)]
    comparison, unreachable = one.compare_settings(stored(NO_MIGRATIONS), REF)
    assert comparison is None
    assert [line.partition(",")[0] for line in unreachable] == ["EMAIL_HOST names mail.internal:25"]


def test_settings_that_can_not_be_read_stop_no_release_without_migrations(one: Activations, host: Host) -> None:
    host.refused["systemctl start"] = "Job failed"
    host.logs["containerless-shop-task.applied@1.service"] = "ImportError: no settings"
    comparison, (said,) = one.compare_settings(stored(NO_MIGRATIONS), REF)
    assert comparison is None
    assert said.startswith("the settings were not compared with the sandbox: ")
    assert said.endswith("ImportError: no settings")


def test_a_task_that_fails_shows_its_last_lines(one: Activations, host: Host) -> None:
    host.refused["systemctl start"] = "Job failed. See journalctl -xe"
    host.logs["containerless-shop-task.migrate@1.service"] = "OperationalError: no such table\n"
    with pytest.raises(ContainerlessError, match="^the migration failed: OperationalError: no such table$"):
        one.migrate(REF)
    host.logs.clear()
    with pytest.raises(ContainerlessError, match="its journal is empty"):
        one.migrate(REF)


WORKER = "containerless-shop-worker@1.service"
WORKERS = [
    ({"NRestarts": "1"}, "process worker does not stay up"),
    ({"ActiveState": "failed", "Result": "exit-code"}, r"process worker does not stay up \(exit-code\)"),
]


@pytest.mark.parametrize(("shown", "message"), WORKERS)
def test_a_process_beside_web_must_stay_up(one: Activations, host: Host, shown: dict[str, str], message: str) -> None:
    one.start(stored(), REF)
    assert one.healthy(stored(), REF).status == 200
    host.shown[WORKER] = shown
    with pytest.raises(ContainerlessError, match=message):
        one.healthy(stored(), REF)


def test_a_process_beside_web_is_watched_until_it_has_settled(
    one: Activations, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.start(stored(), REF)
    clock = [1000.0]
    host.shown[WORKER] = {"ActiveEnterTimestampMonotonic": str(int(clock[0] * 1e6))}
    waits: list[float] = []
    monkeypatch.setattr(activations.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(
        activations.time, "sleep", lambda seconds: (waits.append(seconds), clock.__setitem__(0, clock[0] + 1))
    )
    one._stay_up([WORKER], 5)
    assert len([seconds for seconds in waits if seconds]) == 5
    host.shown[WORKER] = {"ActiveState": "activating"}
    with pytest.raises(ContainerlessError, match="process worker did not come up"):
        one._stay_up([WORKER], 5)


@pytest.mark.parametrize(
    "shown", [{"NRestarts": "3", "Result": "exit-code"}, {"ActiveState": "failed", "NRestarts": "0"}]
)
def test_a_web_process_that_ends_again_and_again_is_not_waited_for(
    one: Activations, host: Host, shown: dict[str, str]
) -> None:
    host.shown["containerless-shop-web@1.service"] = shown
    with pytest.raises(ContainerlessError, match="the web process ended"):
        one.healthy(stored(timeout=3600), REF)


# scale -> processes that are started, by the name in a sentence
SCALES: list[tuple[dict[str, int], list[str]]] = [
    ({}, ["web", "worker"]),
    ({"worker": 0}, ["web"]),
    ({"web": 2, "worker": 3}, ["web", "web.2", "worker", "worker.2", "worker.3"]),
]


@pytest.mark.parametrize(("scale", "names"), SCALES)
def test_each_process_runs_as_often_as_it_is_told(
    one: Activations, host: Host, scale: dict[str, int], names: list[str]
) -> None:
    more = {f"containerless-shop-{name}@.service": "" for name in names}
    one.systemd.install(more, 1)
    one.begin(stored(scale=scale), REF)
    units = [f"containerless-shop-{name}@1.service" for name in names]
    assert started(host)[1:] == units
    assert [activations.name_of(unit) for unit in units] == names
    assert [unit for unit, shown in one.states(stored(scale=scale), REF).items() if shown.is_up] == units


def test_a_proxy_in_front_of_a_server_has_to_run_too(one: Activations, host: Host) -> None:
    number = {"web": 2}
    units = {
        host.layout.template_proxy(1): "",
        host.layout.template_proxy(2): "",
        "containerless-shop-web.2@.service": "",
    }
    one.systemd.install(units, 1)
    one.start(stored(scale=number), REF)
    first, second = (f"containerless-shop-{name}@1.service" for name in ("web.proxy", "web.proxy2"))
    one.systemd.start(first)
    host.shown[second] = {"ActiveState": "failed", "Result": "timeout"}
    shown = one.states(stored(scale=number), REF)
    assert {first, second} <= set(shown)
    assert [unit for unit, state in shown.items() if not state.is_up] == [second]
    with pytest.raises(ContainerlessError, match=r"^process web.proxy2 does not stay up \(timeout\)$"):
        one.healthy(stored(scale=number), REF)


@pytest.mark.parametrize(("unit", "message"), [("web.2", "ended 4 times"), ("worker.2", "process worker.2 does not")])
def test_every_instance_counts(one: Activations, host: Host, unit: str, message: str) -> None:
    one.systemd.install({f"containerless-shop-{name}.2@.service": "" for name in ("web", "worker")}, 1)
    twice = {"web": 2, "worker": 2}
    one.start(stored(scale=twice), REF)
    one.healthy(stored(scale=twice), REF)
    host.shown[f"containerless-shop-{unit}@1.service"] = {"NRestarts": "3", "ActiveState": "failed"}
    with pytest.raises(ContainerlessError, match=message):
        one.healthy(stored(scale=twice, timeout=3600, status=[204 if unit == "web.2" else 200]), REF)


def test_a_process_has_the_health_command_that_it_was_given(one: Activations, host: Host) -> None:
    one.systemd.install({host.layout.template_task(f"healthy_{name}"): "" for name in ("web", "worker")}, 1)
    one.start(stored(), REF)
    commands = {"worker": ["python", "check.py"]}
    one.healthy(stored(commands=commands), REF)
    unit = host.layout.task("healthy_worker", 1)
    assert started(host)[-1] == unit
    host.refused[f"systemctl start {unit}"] = "exit-code"
    host.logs[unit] = "the queue is full"
    with pytest.raises(ContainerlessError, match="^the health command of process worker failed: the queue is full$"):
        one.healthy(stored(commands=commands), REF)


# what is seen after the flip -> why it is taken back
ENDS = [
    ("worker", {"NRestarts": "1", "Result": "signal"}, r"process worker ended after the flip \(signal\)"),
    ("worker", {"ActiveState": "failed", "Result": "exit-code"}, r"process worker ended after the flip \(exit-code\)"),
    ("web", {"ActiveState": "inactive", "Result": "success"}, r"process web ended after the flip \(success\)"),
]


@pytest.mark.parametrize(("process", "shown", "message"), ENDS)
def test_a_process_that_ends_after_the_flip_is_seen(
    one: Activations, host: Host, process: str, shown: dict[str, str], message: str
) -> None:
    one.start(stored(), REF)
    host.shown[f"containerless-shop-{process}@1.service"] = shown
    with pytest.raises(health.HealthError, match=message):
        one.watch(stored(), REF, 10, 100)


def test_bad_answers_after_the_flip_are_judged_by_the_check_of_the_release(one: Activations, host: Host) -> None:
    host.respond = lambda _number: answer(200, **{"Containerless-Release": "another"})
    one.start(stored(), REF)
    with pytest.raises(health.HealthError, match="2 of 2 answers .* answered by release another"):
        one.watch(stored(), REF, 10, 0)


def test_a_release_that_goes_on_well_is_let_pass(one: Activations, host: Host) -> None:
    one.start(stored(), REF)
    assert one.watch(stored(), REF, 0.05, 0).bad == 0


def test_requests_are_held_at_the_next_release_until_the_one_before_answered_all(one: Activations, host: Host) -> None:
    one.start(stored(), REF)
    one.publish(REF)
    one.systemd.install(UNITS, 2)
    seen = host.webs[1].seen
    stops: list[tuple[str, int]] = []
    host.before = lambda argv: (
        stops.append((os.readlink(host.layout.web_socket), len(seen))) if argv[:2] == ["systemctl", "stop"] else None
    )
    one.hold(stored(), REF, NEXT)
    assert stops == [("2/web.sock", 1)]
    assert sorted(host.up) == ["containerless-shop-web@2.socket"]
    assert one.systemd.activations() == [1, 2]  # its units stay, so that it can be started again


def test_what_never_served_is_killed_and_its_worker_ends_in_peace(one: Activations, host: Host) -> None:
    one.systemd.install({"containerless-shop-web.2@.service": "", "containerless-shop-website@.service": ""}, 1)
    one.start(stored(), REF)
    host.calls.clear()
    one.kill_web(REF)
    webs = ["containerless-shop-web.2@1.service", "containerless-shop-web@1.service"]
    assert [call[-2:] for call in host.calls] == [webs, webs]
    host.calls.clear()
    one.kill_web(NEXT)
    assert host.calls == []


def state(host: Host, timers: bool) -> State:
    """Return the state of a host with both releases staged, which runs timers or does not."""
    os.makedirs(host.layout.var, exist_ok=True)
    for ref in (REF, NEXT):
        contents = {
            "release.json": canonical.dumps({**RELEASE, "config": CONFIG}),
            "manifest.json": canonical.dumps(MANIFEST),
            **{f"units/{name}": text.encode() for name, text in UNITS.items()},
        }
        os.makedirs(host.layout.etc, exist_ok=True)
        files.replace_folder(host.layout.release(ref.release), contents)
    found = State.read(host.layout)
    found.write_host_options(timers=timers)
    return found


@pytest.mark.parametrize(
    ("active", "timers", "up"), [(REF, True, [1]), (NEXT, True, [2]), (NEXT, False, []), (None, True, [])]
)
def test_timers_run_for_what_is_active_and_where_they_run_at_all(
    one: Activations, host: Host, active: Ref | None, timers: bool, up: list[int]
) -> None:
    one.systemd.install(UNITS, 2)
    one.follow(state(host, True), REF)
    one.follow(state(host, timers), active)
    assert [unit for unit in host.up if unit.endswith(".timer")] == [host.layout.timer("cleanup", n) for n in up]


def test_links_follow_what_is_active(one: Activations, host: Host) -> None:
    for ref in (REF, NEXT):
        one.publish(ref)
        assert os.readlink(host.layout.web_socket) == f"{ref.activation}/web.sock"
        assert os.readlink(host.layout.current) == f"trees/{ref.content_id}"
    one.publish(None)
    one.publish(None)
    assert not os.path.lexists(host.layout.web_socket)
    assert not os.path.lexists(host.layout.current)


def test_web_is_drained_and_workers_end_at_once(one: Activations, host: Host) -> None:
    one.start(stored(), REF)
    host.calls.clear()
    one.drain(REF, 30)
    (stop,) = host.called("systemctl", "stop")
    assert stop == ["systemctl", "stop", "--no-block", WORKER]
    assert list(host.webs) == [1]
    assert host.later == {
        host.layout.drainer(1): (30.0, [f"{host.layout.tools}/current/command", "drain", "shop", "1"])
    }
    host.drain()
    assert (host.webs, one.systemd.activations()) == ({}, [])


def test_a_drained_activation_is_nobodys_backup(one: Activations, host: Host) -> None:
    one.systemd.install(UNITS, 2)
    one.publish(NEXT, REF)
    assert os.readlink(host.layout.previous_socket) == "1/web.sock"
    one.end(1)
    assert os.readlink(host.layout.previous_socket) == "2/web.sock"
    assert os.readlink(host.layout.web_socket) == "2/web.sock"


def test_a_drained_activation_waits_for_what_its_timers_started(
    one: Activations, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = host.layout.timer("cleanup", 1, "service")
    one.systemd.install({host.layout.template_timer("cleanup", "service"): ""}, 1)
    host.shown[run] = {"ActiveState": "activating"}
    there: list[bool] = []

    def sleep(_seconds: float) -> None:
        there.append(os.path.exists(os.path.join(host.layout.units, run)))
        host.shown.clear()

    monkeypatch.setattr(activations.time, "sleep", sleep)
    one.end(1)
    assert there == [True]
    assert one.systemd.activations() == []


@pytest.mark.parametrize(("keep", "left"), [(REF, [1]), (NEXT, []), (None, [])])
def test_others_are_tidied_away(one: Activations, keep: Ref | None, left: list[int]) -> None:
    one.systemd.install(UNITS, 7)
    one.tidy(keep)
    assert one.systemd.activations() == left


def test_what_still_drains_is_not_tidied_away(one: Activations, host: Host) -> None:
    one.systemd.install(UNITS, 7)
    one.systemd.install(UNITS, 8)
    one.drain(Ref(7, "", ""), 30)
    one.tidy(REF)
    assert one.systemd.activations() == [1, 7]


def test_only_services_that_logged_are_quoted(one: Activations, host: Host) -> None:
    host.logs[WORKER] = "one\ntwo\n"
    assert one.journal(REF) == {WORKER: "one\ntwo"}


# EnvironmentFile=: what is quoted is read back by systemd's rules, told again here in short.


def read_back(text: str) -> dict[str, str]:
    """Return what systemd (parse_env_file() in env-file.c) makes of lines of NAME="value"."""
    values: dict[str, str] = {}
    at = 0
    while at < len(text):
        equal = text.index("=", at)
        name, at = text[at:equal], equal + 1
        assert text[at] == '"'
        at += 1
        value = ""
        while text[at] != '"':
            if text[at] == "\\":
                at += 1
                value += text[at] if text[at] in '"\\`$' else "" if text[at] == "\n" else "\\" + text[at]
            else:
                value += text[at]
            at += 1
        assert text[at + 1] == "\n", "more after the value"
        values[name] = value
        at += 2
    return values


@settings(database=None, deadline=None)
@given(strategies.dictionaries(strategies.from_regex(r"[A-Z_]{1,8}", fullmatch=True), strategies.text()))
def test_env_quote_is_read_back(values: dict[str, str]) -> None:
    assert read_back("".join(f"{name}={env_quote(value)}\n" for name, value in values.items())) == values


@pytest.mark.parametrize(
    "value", ["", " ", "a b", "#no comment", "$HOME", "`id`", "'", '"', "\\", "\\\\n", "a\nB=c", "%i"]
)
def test_env_quote(value: str) -> None:
    assert read_back(f"A={env_quote(value)}\n") == {"A": value}


def test_a_socket_that_does_not_open_says_why(one: Activations, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activations, "_SOCKET", 0.01)
    host.refused["systemctl start containerless-shop-web@1.socket"] = "Failed to create listening socket"
    with pytest.raises(ContainerlessError, match="Failed to create listening socket"):
        one.healthy(stored(), REF)


def test_an_ignored_line_is_the_reason_before_the_exposure_that_it_leaves(one: Activations, host: Host) -> None:
    host.exposure = "9.6"
    host.refused["systemd-analyze verify"] = "50-sandbox.conf:9: Failed to parse, ignoring"
    with pytest.raises(ContainerlessError, match="does not accept the units: 50-sandbox.conf:9"):
        one.verify(stored(), REF)
    host.refused.clear()
    with pytest.raises(ContainerlessError, match=r"has an exposure of 9\.6, above app_sandbox_max_exposure"):
        one.verify(stored(), REF)
