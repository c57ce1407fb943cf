# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release import files, lease

BOOT = "01234567-89ab-cdef-0123-456789abcdef"

# boot of the lease, its deadline at second 100 of boot BOOT -> seconds that are left
LEFT = [
    (BOOT, None, 0),
    (BOOT, 99, 0),
    (BOOT, 100, 0),
    (BOOT, 101, 1),
    (BOOT, 1000, 900),
    ("f" * 36, 1000, 0),
    ("", 1000, 0),
]


@pytest.mark.parametrize(("boot", "deadline", "seconds"), LEFT)
def test_left(monkeypatch: pytest.MonkeyPatch, boot: str, deadline: int | None, seconds: int) -> None:
    monkeypatch.setattr(lease, "now", lambda: 100)
    monkeypatch.setattr(lease, "boot_id", lambda: BOOT)
    assert lease.left(boot, deadline) == seconds


def test_now_is_in_whole_seconds_since_boot() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    found = lease.now()
    assert isinstance(found, int)
    assert int(before) <= found <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_clock_that_is_set_ends_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = lease.now() + 1000
    for jump in (-1e6, 1e9):
        monkeypatch.setattr(lease.time, "time", lambda jump=jump: jump)
        assert lease.left(lease.boot_id(), deadline) > 900


def test_a_boot_has_one_id_and_a_kernel_without_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lease.boot_id() == lease.boot_id() != ""
    monkeypatch.setattr(files, "read", lambda _path: None)
    assert len(lease.boot_id()) == 36
