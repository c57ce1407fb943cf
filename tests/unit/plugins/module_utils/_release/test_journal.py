# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import InvalidDocument
from ansible_collections.containerless.django.plugins.module_utils._release import journal
from ansible_collections.containerless.django.plugins.module_utils._release.journal import Journal, Ref

from ..documents import JOURNAL, SHA

OLD = Ref(activation=1, release="1.0-0123456789ab", content_id=SHA)
NEW = Ref(activation=2, release="2.0-0123456789ab", content_id=SHA)
RUN = Journal(kind="release", run="r1", step="preflight", origin=OLD, target=NEW, boot_id=JOURNAL["boot_id"])  # type: ignore[arg-type]


def test_a_journal_is_read_back() -> None:
    for origin in (OLD, None):
        entry = dataclasses.replace(RUN, origin=origin)
        assert journal.from_document(entry.document()) == entry


@pytest.mark.parametrize("step", journal.STEPS)
def test_every_step_has_one_recovery(step: str) -> None:
    entry = dataclasses.replace(RUN, step=step)
    assert journal.recovery(entry, active=1, confirmed=False) == "undo"
    assert journal.recovery(entry, active=2, confirmed=False) == "revert"
    assert journal.recovery(entry, active=2, confirmed=True) == "finish"


def test_a_first_release_has_nothing_to_go_back_to() -> None:
    entry = dataclasses.replace(RUN, origin=None)
    assert journal.recovery(entry, active=None, confirmed=False) == "undo"
    assert journal.recovery(entry, active=2, confirmed=False) == "finish"


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(InvalidDocument):
        dataclasses.replace(RUN, step="dance").document()
