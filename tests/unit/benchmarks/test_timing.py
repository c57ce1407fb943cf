# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run cost, and in which order runs come."""

from __future__ import annotations

import os
import sys
import typing as t

import pytest
from ansible_collections.containerless.django.tests.benchmarks.figures import Sample
from ansible_collections.containerless.django.tests.benchmarks.timing import Failed, in_turns, measure

if t.TYPE_CHECKING:
    from pathlib import Path

# Burns 0.2 s of processor time in a child of its own.
BURN = """
import os, time
if os.fork():
    os.wait()
else:
    while time.process_time() < 0.2:
        pass
    os._exit(0)
"""


def run(tmp_path: Path, code: str) -> Sample:
    return measure([sys.executable, "-I", "-c", code], log=tmp_path / "log", env=os.environ, cwd=tmp_path)


def test_processor_time_includes_what_was_started_and_waited_for(tmp_path: Path) -> None:
    assert run(tmp_path, BURN).cpu >= 0.2


def test_waiting_is_time_on_the_clock_alone(tmp_path: Path) -> None:
    sample = run(tmp_path, "import time; time.sleep(0.3)")
    assert sample.wall >= 0.3
    assert sample.cpu < sample.wall


def test_a_failure_shows_what_was_said(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"ended with 3:\nno room$"):
        run(tmp_path, "import sys; print('no room'); sys.exit(3)")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({}, "abcabcabc"), ({"c": 1}, "abcabab"), ({"a": 0, "b": 2}, "bcbcc")],
)
def test_runs_take_turns(limits: dict[str, int], expected: str) -> None:
    order: list[str] = []

    def runner(name: str) -> t.Callable[[], Sample]:
        def go() -> Sample:
            order.append(name)
            return Sample(1, 1)

        return go

    found = in_turns({name: runner(name) for name in "abc"}, 3, lambda said: None, limits)
    assert "".join(order) == expected
    assert {name: len(samples) for name, samples in found.items()} == {name: expected.count(name) for name in "abc"}
