# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is killed: every effect that others can see, no loop more than three times, and no step forgotten."""

from __future__ import annotations

from ansible_collections.containerless.django.tests.campaigns import kills
from ansible_collections.containerless.django.tests.campaigns.kills import Effect, Kill


def effect(kind: str, path: str, step: str = "stage", site: str = "") -> Effect:
    return Effect(f"staged/{step}: {kind} {path}", "staged", step, site or f"{kind} {path}", kind, path)


def names(effects: list[Effect]) -> list[str]:
    return [f"{each.kind} {each.path}" for each in effects]


def test_a_file_that_gets_its_name_by_a_rename_is_one_effect() -> None:
    told = [effect("write", "/a.new"), effect("rename", "/a"), effect("write", "/log"), effect("look", "systemctl")]
    assert names(kills.durable(told)) == ["rename /a", "write /log"]


def test_a_loop_has_three_turns_and_the_order_stays() -> None:
    loop = [effect("write", f"/{number}", site="unpack:7") for number in range(9)]
    told = [effect("mkdir", "/tree"), *loop, effect("rename", "/end")]
    assert names(kills.turns(told)) == ["mkdir /tree", "write /0", "write /4", "write /8", "rename /end"]


def test_the_same_line_in_another_step_is_another_loop() -> None:
    told = [effect("rename", f"/{step}", step, "note:3") for step in ("arm", "hold", "migrate", "start") * 2]
    assert len(kills.turns(told)) == 8


def test_a_program_that_waits_is_killed_before_and_beside_and_the_ways_on_take_turns() -> None:
    programs = [effect("run", f"systemctl {words}") for words in ("stop a", "start --no-block a", "daemon-reload")]
    found = kills.plan("release", [*programs, effect("rename", "/a")])
    assert [(kill.effect.split(": ")[1], kill.during) for kill in found] == [
        ("run systemctl stop a", False),
        ("run systemctl stop a", True),
        ("run systemctl start --no-block a", False),
        ("run systemctl daemon-reload", False),
        ("rename /a", False),
    ]
    assert [kill.way for kill in found] == ["next", "boot", "alone", "next", "boot"]


def test_what_comes_before_the_journal_is_the_preflight() -> None:
    (kill,) = kills.plan("release", [effect("rename", "/journal", "-")])
    assert kill.step == "preflight"


def test_the_first_of_each_step_come_in_front() -> None:
    plan = [Kill("release", f"{step} {number}", step, False, "next") for step in ("arm", "hold") for number in range(2)]
    assert [kill.effect for kill in kills.spread(plan)] == ["arm 0", "hold 0", "arm 1", "hold 1"]


def test_a_brief_campaign_hits_each_step_once_in_order() -> None:
    plan = [Kill("release", f"{step} {number}", step, False, "next") for step in ("arm", "hold") for number in range(3)]
    assert [kill.effect for kill in kills.brief(plan)] == ["arm 0", "hold 0"]
    assert kills.missing(("arm", "hold", "migrate"), plan) == ["migrate"]
