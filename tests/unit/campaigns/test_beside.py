# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.containerless.django.tests.campaigns import beside

TICK = os.sysconf("SC_CLK_TCK")
PROCESS = "{pid} (a (b) c) S 1 {pid} 1 0 -1 0 0 0 0 0 {utime} {stime} {cutime} {cstime} 20 0 1"


def process(proc: Path, pid: int, environ: bytes, **times: int) -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "environ").write_bytes(environ)
    (proc / str(pid) / "stat").write_text(PROCESS.format(pid=pid, **times))


def test_what_is_not_ours_is_what_others_took(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(f"cpu {9 * TICK} 0 {5 * TICK} 777 888 0 0 {2 * TICK} 6 7\ncpu0 1 2 3\n")
    (tmp_path / "meminfo").write_text("")
    ours = f"A=b\0{beside.MARK}={os.getpid()}\0".encode()
    process(tmp_path, 1, ours, utime=4 * TICK, stime=TICK, cutime=TICK, cstime=0)
    process(tmp_path, 2, f"{beside.MARK}=9999999\0".encode(), utime=TICK, stime=0, cutime=0, cstime=0)
    process(tmp_path, os.getpid(), b"", utime=0, stime=0, cutime=0, cstime=2 * TICK)
    assert beside.others(tmp_path) == 16 - 6 - 2


def test_this_computer_was_at_work_before_this_test() -> None:
    assert beside.busy(Path("/proc/stat").read_text(encoding="ascii")) > 0
    assert beside.spent(Path("/proc/self/stat").read_text(encoding="utf-8")) > 0
