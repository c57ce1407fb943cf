# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A few thousand of the inputs of `make fuzz-artifact`."""

from __future__ import annotations

import subprocess
import sys
import typing as t
from contextlib import closing
from pathlib import Path

import pytest
from ansible_collections.containerless.django.tests.fuzz import artifact
from ansible_collections.containerless.django.tests.fuzz.jail import REASONS, Jail

ROOT = Path(__file__).parents[5]
MODULE = "ansible_collections.containerless.django.tests.fuzz.artifact"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[artifact.Bench]:
    with closing(Jail()) as jail:
        yield artifact.make_bench(tmp_path_factory.mktemp("good"), jail, artifact.SEED)


@pytest.mark.parametrize(("kind", "inputs"), [("tar", 1800), ("blob", 300), ("forged", 400)])
@pytest.mark.exhaustive
def test_bent_archives_neither_crash_the_reader_nor_leave_its_folder(
    kind: str, inputs: int, bench: artifact.Bench
) -> None:
    tally, digest = artifact.run_batch(bench, kind, range(inputs), None)
    assert tally.faults == []
    assert sum(tally.kinds.values()) == inputs
    assert min(tally.kinds["accepted"], tally.kinds["refused"]) > inputs / 50
    assert set(tally.reasons) <= {name for name, _ in REASONS}
    assert artifact.run_batch(bench, kind, range(50), None)[1] == artifact.run_batch(bench, kind, range(50), None)[1]
    assert artifact.run_batch(bench, kind, range(1, 51), None)[1] != digest


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    path = str(ROOT / ".cache/collections")
    command = [sys.executable, "-B", "-m", MODULE, "--no-bits", "--inputs", "120", *argv]
    return subprocess.run(command, env={"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=False)


@pytest.mark.exhaustive
def test_the_run_says_seed_and_figures_and_writes_them_down(tmp_path: Path) -> None:
    report = tmp_path / "docs/fuzz.md"
    one, same, other = run("--seed", "7", "--report", str(report)), run("--seed", "7"), run("--seed", "8")
    assert one.returncode == 0, one.stdout
    # Of two faults in one blob, either thread of the unpacker may come to the one it sees first.
    figures = [run.stdout.partition("refused because of")[0] for run in (one, same, other)]
    assert figures[0] == figures[1] != figures[2]
    assert "seed 7" in one.stdout
    assert max(map(len, one.stdout.splitlines())) <= 80
    table = one.stdout[one.stdout.index("seed 7, Python") :]
    assert table.rstrip("\n") in report.read_text(encoding="utf-8")


def test_a_fault_ends_with_1_and_says_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = artifact.Tally()
    tally.add(41, artifact.Verdict("escape", "'x' leads out of the target"))
    wanted = artifact._arguments([])
    assert artifact._closed(wanted, {"tar": tally}, "0" * 64) == 1
    assert "escape at --kind tar --only 41: 'x' leads out of the target" in capsys.readouterr().out


def test_a_process_that_dies_is_a_crash_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / ".cache/collections"))
    monkeypatch.setattr(artifact, "__spec__", t.cast("t.Any", type("Spec", (), {"name": MODULE})))
    reader = artifact.Reader(artifact.SEED)
    reader._process.kill()
    reader._process.wait()
    answer = reader.read("tar", 0, 10)
    assert answer["kinds"] == {"crash": 1}
    assert sum(reader.read("tar", 0, 10)["kinds"].values()) == 10
    reader.close()
