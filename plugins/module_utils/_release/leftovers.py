# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a process leaves that dies within a write: the new file or folder, still without its name."""

from __future__ import annotations

import os
import re
import shutil
import typing as t

from .._core.names import DIGEST, PREFIX, Layout
from . import files

_ASIDE = r".*\.new"


def sweep(layout: Layout) -> None:
    """Remove it. Within static files, trees and data such a name may be an app's own."""
    for path in list(_found(layout)):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            files.remove(path)


def _found(layout: Layout) -> t.Iterator[str]:
    ours = re.escape(f"{PREFIX}-{layout.app}") + "[-.]"
    for folder, pattern in (
        (layout.var, _ASIDE),
        (layout.run, _ASIDE),
        (layout.srv, _ASIDE),
        (f"{layout.srv}/served", _ASIDE),
        (layout.units, ours + _ASIDE),
        (os.path.dirname(layout.boot_unit_file), ours + _ASIDE),
        (layout.trees, rf"\.{DIGEST}\..+"),
    ):
        yield from (f"{folder}/{name}" for name in files.names(folder, pattern))
    for folder, folders, names in os.walk(layout.etc):
        yield from (f"{folder}/{name}" for name in (*folders, *names) if re.fullmatch(_ASIDE, name))
