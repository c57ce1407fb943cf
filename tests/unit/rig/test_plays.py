# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read out of a playbook's output."""

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.tests.rig.plays import Played, PlayFailed, recap

OUTPUT = """
PLAY RECAP in a message
ok: [rig1]

PLAY RECAP *********************************************************************
localhost                  : ok=4    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0@
rig1                       : ok=7    changed=1    unreachable=0    failed=1    skipped=0    rescued=0    ignored=0@

""".replace("@", "   ")


def test_recap_counts_by_host():
    found = recap(OUTPUT)
    assert list(found) == ["localhost", "rig1"]
    assert (found["rig1"]["ok"], found["rig1"]["changed"], found["rig1"]["failed"]) == (7, 1, 1)


def test_output_without_a_recap_has_none():
    assert recap("ERROR! no such playbook\n") == {}


def test_check_raises_with_the_end_of_the_output():
    good = Played(0, OUTPUT, {}, 10.0, 2.5)
    assert good.check() is good
    assert good.ended == 12.5
    with pytest.raises(PlayFailed, match="rc 2\n(?s:.*)rig1"):
        Played(2, OUTPUT, {}, 0.0, 0.0).check()
