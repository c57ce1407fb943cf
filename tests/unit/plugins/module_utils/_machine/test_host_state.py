# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept on the host while machines live: claims, locks, marked processes, cgroups."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine import cgroups, claims, host, processes
from ansible_collections.containerless.django.plugins.module_utils._machine.errors import MachineError
from ansible_collections.containerless.django.plugins.module_utils._machine.locks import locked_file, locked_folder

if TYPE_CHECKING:
    from pathlib import Path


def lowest(taken: object) -> int:
    return next(number for number in range(100) if number not in taken)  # type: ignore[operator]


@pytest.fixture
def owners(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    return folders


def test_two_machines_never_hold_one_number(tmp_path: Path, owners: list[Path]) -> None:
    assert [claims.claim(tmp_path / "claims", owner, lowest) for owner in owners] == [0, 1]


def test_a_machine_keeps_its_number(tmp_path: Path, owners: list[Path]) -> None:
    numbers = [claims.claim(tmp_path / "claims", owner, lowest) for owner in (*owners, *owners)]
    assert numbers == [0, 1, 0, 1]


def test_the_number_of_a_vanished_machine_is_free(tmp_path: Path, owners: list[Path]) -> None:
    claims.claim(tmp_path / "claims", owners[0], lowest)
    owners[0].rmdir()
    assert claims.claim(tmp_path / "claims", owners[1], lowest) == 0


def test_the_last_release_leaves_nothing(tmp_path: Path, owners: list[Path]) -> None:
    folder = tmp_path / "claims"
    for owner in owners:
        claims.claim(folder, owner, lowest)
    assert claims.release(folder, owners[0]) == [0]
    assert folder.is_dir()
    assert claims.release(folder, owners[1]) == [1]
    assert not folder.exists()
    assert claims.release(folder, owners[1]) == []


def test_many_claims_at_once_are_all_different(tmp_path: Path) -> None:
    folders = [tmp_path / f"m{number}" for number in range(12)]
    for folder in folders:
        folder.mkdir()
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda owner=owner: numbers.append(claims.claim(tmp_path / "claims", owner, lowest)))
        for owner in folders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(12))


def test_a_folder_that_its_holder_removed_is_made_again_for_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "machine"
    entered = threading.Event()

    def wait_for_it() -> None:
        with locked_folder(folder):
            if folder.is_dir():
                entered.set()

    with locked_folder(folder):
        other = threading.Thread(target=wait_for_it)
        other.start()
        time.sleep(0.1)
        assert not entered.is_set()
        folder.rmdir()
    other.join()
    assert entered.is_set()


def test_a_locked_file_is_appended_to(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("first\n")
    with locked_file(tmp_path / "log") as handle:
        subprocess.run(["echo", "second"], stdout=handle, check=True)
    assert (tmp_path / "log").read_text() == "first\nsecond\n"


def test_marked_processes_are_found_and_ended_with_their_children(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "60"], env=processes.environment(tmp_path / "other"))
    mine = subprocess.Popen(
        ["sh", "-c", "sleep 60 & sleep 60"], env=processes.environment(tmp_path), start_new_session=True
    )
    try:
        while len(processes.marked(tmp_path)) < 3:
            time.sleep(0.01)
        assert processes.end(tmp_path)
        assert processes.marked(tmp_path) == []
        assert mine.wait() == -9
        assert other.poll() is None
        assert not processes.end(tmp_path)
    finally:
        other.kill()
        other.wait()


def test_a_started_process_is_found_at_once(tmp_path: Path) -> None:
    for _attempt in range(20):
        process = processes.start(["sleep", "60"], tmp_path, tmp_path / "console")
        assert processes.marked(tmp_path) == [process.pid]
        processes.end(tmp_path)
        process.wait()


def test_a_process_that_ends_at_once_is_not_waited_for(tmp_path: Path) -> None:
    assert processes.start(["sh", "-c", "echo reason; exit 3"], tmp_path, tmp_path / "console").wait() == 3
    assert (tmp_path / "console").read_text() == "reason\n"


def test_cgroups_are_removed_from_the_leaves_up(tmp_path: Path) -> None:
    group = tmp_path / "machine"
    cgroups.make([str(group)])
    (group / "payload/system.slice").mkdir(parents=True)
    cgroups.remove([str(group), str(tmp_path / "never-made")])
    assert list(tmp_path.iterdir()) == []


def test_missing_tools_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "search_path", lambda: "/nowhere")
    with pytest.raises(MachineError, match=r"need mmdebstrap, qemu-utils: apt-get install mmdebstrap qemu-utils\.$"):
        host.require(["qemu-img", "mmdebstrap"])


def test_the_last_line_of_complaint_is_the_error() -> None:
    script = "import sys; print('first', file=sys.stderr); sys.exit('the reason')"
    with pytest.raises(MachineError, match=r"failed \(1\): the reason$"):
        host.run([sys.executable, "-c", script])


def test_files_are_only_given_away_by_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    path.touch()
    owner = path.stat().st_uid
    monkeypatch.delenv("SUDO_UID", raising=False)
    host.give_to_user(path)
    assert path.stat().st_uid == owner
