# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the runner adds up, and that it can't be talked into saying that all is well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.containerless.django.tools import check
from ansible_collections.containerless.django.tools.check import Counts, Stage

if t.TYPE_CHECKING:
    from pathlib import Path

LINT = Stage("lint", ["true"])
UNITS = Stage("units", ["true"], counts_itself=False, counts_tests=True)
SCENARIO = Stage("molecule x", ["true"], counts_tests=True)


@pytest.mark.parametrize(
    ("stage", "exit_code", "tests", "counts"),
    [
        (LINT, 0, Counts(), Counts(passed=1)),
        (LINT, 1, Counts(), Counts(failed=1)),
        (UNITS, 0, Counts(passed=3), Counts(passed=3)),
        (UNITS, 1, Counts(passed=3, failed=1), Counts(passed=3, failed=1)),
        # pytest that could not even collect, ran nothing, or broke after its tests.
        (UNITS, 2, Counts(), Counts(failed=1)),
        (UNITS, 0, Counts(), Counts(failed=1)),
        (UNITS, 0, Counts(skipped=2), Counts(failed=1, skipped=2)),
        (UNITS, 3, Counts(passed=3), Counts(passed=3, failed=1)),
        (SCENARIO, 0, Counts(passed=4), Counts(passed=5)),
        (SCENARIO, 1, Counts(passed=4), Counts(passed=4, failed=1)),
        # A scenario without a verification tests nothing.
        (SCENARIO, 0, Counts(), Counts(failed=1)),
    ],
)
def test_a_stage_is_judged_by_its_exit_code_and_its_report(
    stage: Stage, exit_code: int, tests: Counts, counts: Counts
) -> None:
    assert check.judge(stage, exit_code, tests) == counts


def test_a_run_is_good_only_when_something_passed_and_nothing_failed() -> None:
    assert Counts(passed=1).good
    assert not Counts().good
    assert not Counts(passed=9, failed=1).good


def test_what_pytest_reports_is_what_is_counted(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 0\n"
        "def test_skipped(): pytest.skip()\n"
        "def test_broken(no_such_fixture): pass\n",
        encoding="utf-8",
    )
    report = tmp_path / "report.xml"
    config = tmp_path / "pytest.ini"
    config.write_text("[pytest]\n", encoding="utf-8")
    argv = [sys.executable, "-m", "pytest", "-q", "-c", str(config), f"--junitxml={report}", str(tmp_path)]
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=False)
    assert check.tests_in(report) == Counts(passed=1, failed=2, skipped=1)
    assert check.tests_in(tmp_path / "missing.xml") == Counts()


def test_the_closing_line_is_plain() -> None:
    assert str(Counts(3, 1)) == "3 passed, 1 failed"
    assert str(Counts(3, 1) + Counts(skipped=2)) == "3 passed, 1 failed, 2 skipped"


def test_the_closing_table_fits_into_80_columns() -> None:
    table = check.closing_table([check.Result(Stage("molecule failed_release", []), Counts(1234, 5), 1799.6)])
    assert all(len(line) <= 80 for line in table.splitlines())
    assert table.splitlines()[1].split() == ["molecule", "failed_release", "1234", "5", "1800"]


@pytest.fixture
def sandboxed(tmp_path: Path) -> t.Callable[[str], list[str]]:
    """Make a command that runs the real runner on stages of the test's own, in a folder with a space in its name."""
    home = tmp_path / "a checkout"
    home.mkdir()
    (home / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")

    def argv(stages: str) -> list[str]:
        code = (
            "import sys; from pathlib import Path\n"
            "from ansible_collections.containerless.django.tools import check\n"
            f"check.ROOT = check.LOGS = Path({str(home)!r})\n"
            f"check.KINDS = {{'mine': lambda: [check.Stage(*words, **rest) for words, rest in {stages}]}}\n"
            "sys.exit(check.main(['mine']))\n"
        )
        return [sys.executable, "-c", code]

    return argv


def python_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


Sandboxed = t.Callable[[str], list[str]]


def test_every_stage_runs_though_an_earlier_one_failed(sandboxed: Sandboxed, tmp_path: Path) -> None:
    stages = "[(('bad', ['sh', '-c', 'echo why; exit 3']), {}), (('good', ['touch', 'ran']), {})]"
    done = subprocess.run(sandboxed(stages), env=python_path(), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert (tmp_path / "a checkout/ran").exists()
    assert "| why" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 passed, 1 failed"


def test_tests_are_counted_wherever_the_checkout_is(tmp_path: Path, sandboxed: Sandboxed) -> None:
    (tmp_path / "a checkout/test_x.py").write_text("def test_good(): pass\n", encoding="utf-8")
    stages = "[(('units', [sys.executable, '-m', 'pytest', 'test_x.py'], False, True), {})]"
    done = subprocess.run(sandboxed(stages), env=python_path(), capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "1 passed, 0 failed"


def test_stages_with_machines_run_beside_the_others(sandboxed: Sandboxed, tmp_path: Path) -> None:
    """Each of the two waits for what the other writes: one after the other would never end."""
    wait = "until [ -e {} ]; do sleep 0.05; done"
    stages = (
        f"[(('here', ['sh', '-c', 'touch here; {wait.format('there')}']), {{}}),"
        f" (('there', ['sh', '-c', 'touch there; {wait.format('here')}']), {{'machines': True}})]"
    )
    done = subprocess.run(sandboxed(stages), env=python_path(), capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines()[-1] == "2 passed, 0 failed"
    assert [line.split()[0] for line in done.stdout.splitlines()[-4:-2]] == ["here", "there"]


def test_stages_with_machines_run_side_by_side_and_others_never_do() -> None:
    """Two that use a processor would only wait for each other."""
    names = {"a": False, "m": True, "b": False, "n": True}
    queue = check.Queue([Stage(name, ["true"], machines=machines) for name, machines in names.items()])
    order = [queue.take(machines) for machines in (False, True, False, False, True)]
    assert [stage and stage.name for stage in order] == ["a", "m", "b", "n", None]


def test_what_takes_longest_begins_first() -> None:
    stages = [Stage("m", [], machines=True), Stage("vm", [], machines=True, long=True), Stage("a", [])]
    queue = check.Queue(stages)
    assert [stage and stage.name for stage in map(queue.take, (True, True, False))] == ["vm", "m", "a"]
    long = [stage.name for stage in check.molecule_stages() if stage.long]
    assert long == ["molecule power_cut", "molecule vm"]


def test_what_failed_stands_at_the_end(sandboxed: Sandboxed, tmp_path: Path) -> None:
    text = "def test_good(): pass\ndef test_bad(): assert 1 == 2, 'one is not two\\n' + 300 * 'x'\n"
    (tmp_path / "a checkout/test_x.py").write_text(text, encoding="utf-8")
    stages = "[(('units', [sys.executable, '-m', 'pytest', 'test_x.py'], False, True), {}), (('bad', ['false']), {})]"
    done = subprocess.run(sandboxed(stages), env=python_path(), capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-4:-2] == ["units: test_bad: AssertionError: one is not two", "bad: see its log"]
    assert done.stdout.splitlines()[-1] == "1 passed, 2 failed"


def test_a_run_of_nothing_fails(sandboxed: Sandboxed) -> None:
    done = subprocess.run(sandboxed("[]"), env=python_path(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "0 passed, 0 failed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_stage_undoes_it_and_skips_the_rest(
    sandboxed: Sandboxed, tmp_path: Path, number: signal.Signals
) -> None:
    stages = (
        "[(('long', ['sh', '-c', 'echo > begun; echo \"[x > converge] Executing\"; sleep 600 & wait']),"
        " {'undo': ['touch', 'undone']}), (('next', ['touch', 'ran']), {})]"
    )
    with subprocess.Popen(sandboxed(stages), env=python_path(), stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        output = []
        for line in running.stdout:
            output.append(line)
            if "converge" in line:
                running.send_signal(number)
    assert running.returncode == 128 + number
    assert (tmp_path / "a checkout/undone").exists()
    assert not (tmp_path / "a checkout/ran").exists()
    assert output[-1] == "0 passed, 1 failed\n"


def test_every_scenario_is_a_stage_and_none_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(check, "ROOT", tmp_path)
    assert [stage.name for stage in check.molecule_stages()] == ["molecule"]
    assert subprocess.run(check.molecule_stages()[0].argv, stdout=subprocess.DEVNULL, check=False).returncode == 1
    for name in ("default", "vm", "shared"):
        (tmp_path / "molecule" / name).mkdir(parents=True)
    for name in ("default", "vm"):
        (tmp_path / "molecule" / name / "molecule.yml").touch()
    assert [stage.name for stage in check.molecule_stages()] == ["molecule default", "molecule vm"]
    assert [stage.name for stage in check.molecule_stages(["vm"])] == ["molecule vm"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[1mINFO\x1b[0m     [default > converge] Executing\n", "converge"),
        ("PLAY [Create the machines of the scenario] ****\n", "PLAY [Create the machines of the scenario]"),
        (
            "TASK [app_machine : Packages | Install with apt: iproute2, qemu-utils] ***",
            "Install with apt: iproute2, qemu-utils",
        ),
        ("TASK [app_machine : Packages | Install with apt:] ***", ""),
        ("INFO     [default > converge] Executed: Successful", ""),
        ("TASK [app_release : Execute the converge] ***", ""),
    ],
)
def test_what_a_person_waits_for_is_shown(line: str, shown: str) -> None:
    assert check.worth_showing(line) == shown
