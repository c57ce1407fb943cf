# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Static files of the kept releases: a page that is open in a browser finds its files after a flip, either way.

`static/` is the union, for a proxy. `served/<content_id>/` is the STATIC_ROOT of an app that serves its files itself
(whitenoise reads that folder once, at start): its own files as they are, and beside them those of the other trees.
All of it is hard links, so it costs names, not space.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._core.names import DIGEST, Layout
from . import files


def publish(layout: Layout, content_id: str) -> None:
    """Have a tree's static files in both places, before it goes live; until then a name of the live release is its."""
    source = f"{layout.tree(content_id)}/static"
    _link_all(source, layout.static, replace=False)
    _link_all(source, layout.served(content_id), replace=True)
    for other in files.names(layout.trees, DIGEST):
        if other != content_id:
            _link_all(f"{layout.tree(other)}/static", layout.served(content_id), replace=False)


def lead(layout: Layout, content_id: str) -> None:
    """Have the union show the files of this tree, which is live, where another one has the same name."""
    _link_all(f"{layout.tree(content_id)}/static", layout.static, replace=True)


def prune(layout: Layout) -> None:
    """Take away what no tree of this host has any more; another tree's file of that name takes its place."""
    trees = files.names(layout.trees, DIGEST)
    for shown in [layout.static, *map(layout.served, files.names(f"{layout.srv}/served", DIGEST))]:
        for name, path in _walk(shown):
            sources = (f"{layout.tree(tree)}/static/{name}" for tree in trees)
            if not any(os.path.exists(source) and os.path.samefile(source, path) for source in sources):
                os.unlink(path)
        _remove_empty_folders(shown)
    active = os.path.basename(os.readlink(layout.current)) if os.path.islink(layout.current) else ""
    for tree in sorted(trees, key=lambda name: name != active):
        _link_all(f"{layout.tree(tree)}/static", layout.static, replace=False)


def _walk(folder: str) -> t.Iterator[tuple[str, str]]:
    """Yield (relative name, path) of every file."""
    for place, _folders, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            yield os.path.relpath(path, folder), path


def _remove_empty_folders(folder: str) -> None:
    for place, _folders, _names in os.walk(folder, topdown=False):
        if place != folder:
            with contextlib.suppress(OSError):
                os.rmdir(place)


def _link_all(source: str, target: str, *, replace: bool) -> None:
    files.directory(target)
    for folder, folders, names in os.walk(source):
        place = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        for name in folders:
            files.directory(os.path.join(place, name))
        for name in names:
            # Beside the folder: within it such a name may be a file of the app.
            _link_file(os.path.join(folder, name), os.path.join(place, name), f"{target}.new" if replace else "")


def _link_file(source: str, path: str, aside: str) -> None:
    """Link a file; with `aside`, in the place of another one."""
    try:
        os.link(source, path)
    except FileExistsError:
        if aside and not os.path.samefile(source, path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
            os.link(source, aside)
            os.rename(aside, path)
