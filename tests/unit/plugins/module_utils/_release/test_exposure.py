# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release import exposure

# As systemd 252 and 257 print it, in a UTF-8 and in the C locale.
TEXTS = {
    "→ Overall exposure level for shop-web@3.service: 0.2 SAFE 😀\n": 2,
    "-> Overall exposure level for y.service: 9.6 UNSAFE :-{\n": 96,
    "→ Overall exposure level for a: b.service: 10.0 UNSAFE\n": 100,
}
TESTS = [
    {"set": True, "name": "PrivateTmp=", "json_field": "PrivateTmp", "description": "own tmp", "exposure": None},
    {"set": False, "name": "UMask=", "json_field": "UMask", "description": "group-readable", "exposure": "0.1"},
    {
        "set": False,
        "name": "PrivateNetwork=",
        "json_field": "PrivateNetwork",
        "description": "hosts",
        "exposure": "0.5",
    },
    {"set": False, "name": "DeviceAllow=", "json_field": "DeviceAllow", "description": "rtc", "exposure": "0.1"},
    {"set": None, "name": "RemoveIPC=", "json_field": "RemoveIPC", "description": "does not apply", "exposure": None},
]


def answering(*answers: tuple[int, str, str]) -> tuple[exposure.Run, list[list[str]]]:
    asked: list[list[str]] = []
    pending = list(answers)

    def run(command: list[str]) -> tuple[int, str, str]:
        asked.append(command)
        return pending.pop(0)

    return run, asked


def beside(run: exposure.Run) -> exposure.Begin:
    return lambda command: lambda: run(command)


@pytest.mark.parametrize(("text", "tenths"), TEXTS.items())
def test_the_figure_is_read_from_the_text(text: str, tenths: int) -> None:
    assert exposure.parse_figure("\n  NAME  DESCRIPTION  EXPOSURE\n" + text) == tenths


def test_an_answer_without_a_figure_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(ContainerlessError, match="no overall exposure level"):
        exposure.parse_figure("Unit x.service is masked.")


def test_costs_come_worst_first_and_then_by_name() -> None:
    costs = exposure.parse_costs(json.dumps(TESTS))
    assert [(cost.field, cost.tenths) for cost in costs] == [("PrivateNetwork", 5), ("DeviceAllow", 1), ("UMask", 1)]


@pytest.mark.parametrize("document", ["", "{}1", '[{"name": "x"}]', '[{"exposure": 1}]', "[1]", '[{"exposure": "a"}]'])
def test_json_of_another_form_is_an_error_and_not_an_empty_list(document: str) -> None:
    with pytest.raises(ContainerlessError, match="JSON"):
        exposure.parse_costs(document)


@pytest.mark.parametrize(
    ("value", "tenths"), [("0.5", 5), ("0", 0), ("2", 20), ("9.6", 96), ("10", 100), ("10.0", 100)]
)
def test_a_limit_counts_tenths(value: str, tenths: int) -> None:
    assert exposure.parse_limit(value) == tenths


@pytest.mark.parametrize("value", ["", "-1", ".5", "0.25", "0,5", "10.1", "11", "5e-1", "0.5 ", "\u0665"])
def test_a_limit_that_is_none_names_the_option(value: str) -> None:
    with pytest.raises(ContainerlessError, match="app_sandbox_max_exposure"):
        exposure.parse_limit(value)


@pytest.mark.parametrize(("tenths", "text"), [(0, "0.0"), (2, "0.2"), (10, "1.0"), (96, "9.6"), (100, "10.0")])
def test_tenths_are_written_as_systemd_writes_them(tenths: int, text: str) -> None:
    assert str(exposure.Exposure("x.service", tenths)) == text


@pytest.mark.parametrize(("offline", "option"), [(False, "--offline=no"), (True, "--offline=yes")])
def test_measure_asks_for_the_figure_and_for_the_reasons(offline: bool, option: str) -> None:
    run, asked = answering((0, next(iter(TEXTS)), ""), (0, json.dumps(TESTS), ""))
    seen = exposure.measure(run, "x.service", offline=offline)
    assert (seen.tenths, len(seen.costs)) == (2, 3)
    assert asked == [
        ["systemd-analyze", "security", "--no-pager", option, "x.service"],
        ["systemd-analyze", "security", "--no-pager", option, "--json=short", "x.service"],
    ]


def test_a_unit_that_systemd_can_not_analyse_is_an_error() -> None:
    run, _ = answering((1, "", "Failed to load unit x.service: Unit not found.\n"))
    with pytest.raises(ContainerlessError, match="Unit not found"):
        exposure.measure(run, "x.service")


def test_the_gate_lets_the_limit_itself_pass() -> None:
    exposure.gate(exposure.Exposure("x.service", 5), "0.5")


def test_the_gate_names_unit_figure_limit_and_what_costs_most() -> None:
    seen = exposure.Exposure("x.service", 6, exposure.parse_costs(json.dumps(TESTS)))
    with pytest.raises(ContainerlessError) as refusal:
        exposure.gate(seen, "0.5")
    assert str(refusal.value) == (
        "x.service has an exposure of 0.6, above app_sandbox_max_exposure 0.5; most of it: "
        "PrivateNetwork= 0.5 (hosts); DeviceAllow= 0.1 (rtc); UMask= 0.1 (group-readable)"
    )


def figures(*said: str) -> tuple[int, str, str]:
    lines = [f"→ Overall exposure level for {number}.service: {figure} OK\n" for number, figure in enumerate(said)]
    return 0, "".join(lines), ""


def test_all_units_pass_the_gate_with_one_question() -> None:
    run, asked = answering(figures("0.2", "0.5"))
    assert exposure.gate_all(run, ["0.service", "1.service"], "0.5") == [2, 5]
    assert asked == [["systemd-analyze", "security", "--no-pager", "--offline=no", "0.service", "1.service"]]


def test_one_of_several_above_the_limit_is_asked_for_its_reasons() -> None:
    run, _ = answering(figures("0.2", "0.6"), figures("0.6"), (0, json.dumps(TESTS), ""))
    with pytest.raises(ContainerlessError, match=r"^1\.service has an exposure of 0\.6, above .*PrivateNetwork= 0\.5"):
        exposure.gate_all(run, ["0.service", "1.service"], "0.5")


def test_a_unit_without_a_figure_passes_no_gate() -> None:
    run, _ = answering(figures("0.2"))
    with pytest.raises(ContainerlessError, match="printed 1 figures for 2 units"):
        exposure.gate_all(run, ["0.service", "1.service"], "0.5")


def test_only_so_many_reasons_are_named() -> None:
    assert exposure.Exposure("x", 6, exposure.parse_costs(json.dumps(TESTS))).worst(1) == "PrivateNetwork= 0.5 (hosts)"


def test_verify_passes_units_whose_every_line_counts() -> None:
    run, asked = answering((0, "", "other.service: a warning about somebody else\n"))
    exposure.begin_verify(beside(run), ["/run/x.service", "/run/y.service"])()
    assert asked == [
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "/run/x.service", "/run/y.service"]
    ]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((1, "", "50-sandbox.conf:9: Failed to parse, ignoring\n\n"), "50-sandbox.conf:9: Failed to parse, ignoring"),
        ((1, "", ""), "systemd-analyze verify: rc 1"),
    ],
)
def test_verify_says_which_line_systemd_would_ignore(answer: tuple[int, str, str], sentence: str) -> None:
    run, _ = answering(answer)
    with pytest.raises(ContainerlessError, match="does not accept") as refusal:
        exposure.begin_verify(beside(run), ["x.service"])()
    assert str(refusal.value).endswith(": " + sentence)


def test_the_real_systemd_agrees_with_the_parser(tmp_path: t.Any) -> None:
    """Runs where systemd is installed: an open unit, and one line that closes something."""
    import shutil
    import subprocess

    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")

    def run(command: list[str]) -> tuple[int, str, str]:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    unit = tmp_path / "open.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    open_unit = exposure.measure(run, str(unit), offline=True)
    (tmp_path / "open.service.d").mkdir()
    (tmp_path / "open.service.d" / "net.conf").write_text("[Service]\nPrivateNetwork=yes\n")
    closed = exposure.measure(run, str(unit), offline=True)
    assert closed.tenths < open_unit.tenths
    gone = {cost.field for cost in open_unit.costs} - {cost.field for cost in closed.costs}
    assert gone == {"PrivateNetwork"}
