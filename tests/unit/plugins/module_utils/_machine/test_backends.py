# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine.backends import choose
from ansible_collections.containerless.django.plugins.module_utils._machine.errors import MachineError


@pytest.mark.parametrize(
    ("wanted", "root", "kvm", "chosen"),
    [
        ("auto", True, True, "qemu"),
        ("auto", False, True, "qemu"),
        ("auto", True, False, "nspawn"),
        ("auto", False, False, "qemu"),
        ("nspawn", True, True, "nspawn"),
        ("qemu", True, False, "qemu"),
    ],
)
def test_choose(wanted: str, root: bool, kvm: bool, chosen: str) -> None:
    assert choose(wanted, root, lambda: kvm) == chosen


def test_nspawn_needs_root() -> None:
    with pytest.raises(MachineError, match="backend: nspawn needs root"):
        choose("nspawn", False, lambda: True)


@pytest.mark.parametrize("wanted", ["nspawn", "qemu"])
def test_kvm_is_only_tried_when_it_decides(wanted: str) -> None:
    assert choose(wanted, True, lambda: pytest.fail("tried")) == wanted
