# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release import watch
from ansible_collections.containerless.django.plugins.module_utils._release.health import Answer, HealthError
from ansible_collections.containerless.django.plugins.module_utils._release.watch import Rate

GOOD, BAD = Answer(200, "OK", "", 0.0), Answer(500, "Internal Server Error", "oh", 0.0)

# asked, bad, per cent that may be bad -> too much
RATES = [
    (0, 0, 0, False),
    (1, 1, 0, False),
    (2, 2, 0, True),
    (2, 2, 100, False),
    (20, 2, 10, False),
    (19, 2, 10, True),
    (100, 10, 10, False),
    (100, 11, 10, True),
    (1000, 2, 0, True),
]


@pytest.mark.parametrize(("asked", "bad", "percent", "much"), RATES)
def test_rate(asked: int, bad: int, percent: int, much: bool) -> None:
    said = Rate(asked, bad, BAD, "answered 500").verdict(percent)
    assert bool(said) is much
    if much:
        assert said == f"{bad} of {asked} answers after the flip were bad, the last one: answered 500"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ASK", 0.001)
    monkeypatch.setattr(watch, "LOOK", 0.001)


def test_a_process_that_ends_is_seen_at_once(quick: None) -> None:
    looks: list[int] = []

    def ended() -> str:
        looks.append(1)
        return "process web ended" if len(looks) == 3 else ""

    with pytest.raises(HealthError, match="^process web ended$"):
        watch.watch(10, 10, lambda: (GOOD, ""), ended)
    assert len(looks) == 3


def test_bad_answers_are_seen_before_the_time_is_up(quick: None) -> None:
    with pytest.raises(
        HealthError, match=r"^\d+ of \d+ answers after the flip were bad, the last one: a 500$"
    ) as caught:
        watch.watch(10, 10, lambda: (BAD, "a 500"), lambda: "")
    assert caught.value.answer == BAD


def test_a_crash_before_the_first_answer_has_no_answer(quick: None) -> None:
    never = threading.Event()

    def silent() -> tuple[Answer, str]:
        never.wait(60)
        return GOOD, ""

    with pytest.raises(HealthError, match="gone") as caught:
        watch.watch(10, 10, silent, lambda: "gone")
    never.set()
    assert (caught.value.answer.status, caught.value.answer.reason) == (0, "gone")


def test_a_good_release_is_watched_to_the_end_and_no_longer(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(watch.time, "sleep", lambda _seconds: clock.__setitem__(0, clock[0] + 1))
    looks: list[float] = []
    rate = watch.watch(5, 10, lambda: (GOOD, ""), lambda: looks.append(clock[0]) or "")
    assert looks == [0, 1, 2, 3, 4]
    assert rate.bad == 0


def test_few_bad_answers_among_good_ones_are_let_pass(quick: None) -> None:
    answers = iter([(GOOD, "")] * 15 + [(BAD, "a 500")] * 2)
    over = threading.Event()

    def ask() -> tuple[Answer, str]:
        try:
            return next(answers)
        except StopIteration:
            over.set()
            return GOOD, ""

    def ended() -> str:
        over.wait(10)
        return ""

    assert watch.watch(0.05, 20, ask, ended).bad == 2
