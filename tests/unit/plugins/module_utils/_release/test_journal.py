# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import InvalidDocument
from ansible_collections.containerless.django.plugins.module_utils._release import journal
from ansible_collections.containerless.django.plugins.module_utils._release.journal import Journal, Ref

from ..documents import SHA

OLD = Ref(activation=1, release="1.0-0123456789ab", content_id=SHA)
NEW = Ref(activation=2, release="2.0-0123456789ab", content_id=SHA)
BOOT = "01234567-89ab-cdef-0123-456789abcdef"
RUN = Journal(kind="release", run="r1", who="ops", step="preflight", origin=OLD, target=NEW, boot_id=BOOT)


CHANGES: list[dict[str, t.Any]] = [
    {},
    {"origin": None},
    {"deadline": 17, "pending": True, "held": True, "one_way": True, "policy": {"drain": 1}},
]


def test_a_journal_is_read_back() -> None:
    for changes in CHANGES:
        entry = dataclasses.replace(RUN, **changes)
        assert journal.from_document(entry.document()) == entry


@pytest.mark.parametrize("step", journal.STEPS)
def test_every_step_has_one_recovery(step: str) -> None:
    entry = dataclasses.replace(RUN, step=step)
    assert journal.recovery(entry, active=1, confirmed=False) == "undo"
    assert journal.recovery(entry, active=2, confirmed=False) == "revert"
    assert journal.recovery(entry, active=2, confirmed=True) == "finish"


@pytest.mark.parametrize("active", [None, 1, 2])
def test_a_way_without_return_goes_forward_unless_it_was_confirmed(active: int | None) -> None:
    entry = dataclasses.replace(RUN, one_way=True)
    assert journal.recovery(entry, active, confirmed=False) == "forward"
    assert journal.recovery(entry, 2, confirmed=True) == "finish"


def test_a_rollback_that_was_committed_is_finished_its_target_was_good_before() -> None:
    entry = dataclasses.replace(RUN, kind="rollback")
    assert journal.recovery(entry, active=2, confirmed=False) == "finish"
    assert journal.recovery(entry, active=1, confirmed=False) == "undo"


def test_a_first_release_has_nothing_to_go_back_to() -> None:
    entry = dataclasses.replace(RUN, origin=None)
    assert journal.recovery(entry, active=None, confirmed=False) == "undo"
    assert journal.recovery(entry, active=2, confirmed=False) == "finish"


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(InvalidDocument):
        dataclasses.replace(RUN, step="dance").document()
