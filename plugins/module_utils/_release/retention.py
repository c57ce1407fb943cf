# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which releases stay on a host. Decided from the ledger alone, never from times of files."""

from __future__ import annotations

import os
import re
import shutil
import typing as t

from .._core import canonical
from .._core.names import DIGEST, RELEASE_ID, Layout
from . import files, ledger, static

_TRASH = ".trash-"


def kept(entries: t.Sequence[ledger.Entry], active: int | None, keep: int, pinned: t.Container[str] = ()) -> set[str]:
    """Return the ids of the releases that stay: those of the newest `keep` distinct artifacts that were good.

    The active release, the good one before it and the pinned ones stay in any case and take no place of the others
    beyond `keep`. Releases that failed or were never good don't count.
    """
    last = ledger.states(entries)
    good = [entry for entry in entries if entry.state == "good"]
    stays = {entry.release for entry in good if entry.release in pinned}
    if active is not None and active in last:
        stays.add(last[active].release)
        before = ledger.rollback_target(entries, active)
        stays |= {before.release} if before else set()
    artifacts: list[str] = []
    for entry in reversed(good):
        if entry.content_id not in artifacts:
            artifacts.append(entry.content_id)
    newest = set(artifacts[:keep])
    return stays | {entry.release for entry in good if entry.content_id in newest}


def prunable(layout: Layout, releases: t.Container[str]) -> list[str]:
    """Return the releases of this host that are none of `releases`."""
    return [name for name in files.names(layout.etc, RELEASE_ID) if name not in releases]


def prune(layout: Layout, releases: t.Container[str]) -> list[str]:
    """Remove every release but these, their trees and static files; return what went, by its name.

    A tree is renamed before it is removed: one that is half gone is never taken for a whole one.
    """
    gone = prunable(layout, releases)
    for name in gone:
        shutil.rmtree(layout.snapshot(name), ignore_errors=True)
        shutil.rmtree(layout.release(name), ignore_errors=True)
    wanted = {_content_id(layout, name) for name in files.names(layout.etc, RELEASE_ID)}
    trees = [name for name in files.names(layout.trees, DIGEST) if name not in wanted]
    for name in trees:
        os.rename(layout.tree(name), f"{layout.trees}/{_TRASH}{name}")
    for name in [name for name in files.names(f"{layout.srv}/served", DIGEST) if name not in wanted]:
        shutil.rmtree(layout.served(name), ignore_errors=True)
    trash = files.names(layout.trees, re.escape(_TRASH) + ".*")
    if trash:
        static.prune(layout)
    # Last: what is left of them tells the next run that a crash came before.
    for name in trash:
        shutil.rmtree(f"{layout.trees}/{name}", ignore_errors=True)
    return sorted([*gone, *trees])


def _content_id(layout: Layout, release: str) -> str:
    return canonical.sha256(files.read(f"{layout.release(release)}/manifest.json") or b"")
