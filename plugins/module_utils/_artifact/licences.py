# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an SBOM says of a licence: an SPDX expression, an SPDX id, or else the words that were found. Pure."""

from __future__ import annotations

import typing as t

#: CycloneDX takes an id only from the SPDX list. These are the ones that Python packages write as free text.
IDS = frozenset(
    (
        *("0BSD", "AFL-3.0", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "Artistic-2.0", "BSD-2-Clause"),
        *("BSD-3-Clause", "BSL-1.0", "CC0-1.0", "EPL-2.0", "EUPL-1.2", "GPL-2.0-only", "GPL-2.0-or-later"),
        *("GPL-3.0-only", "GPL-3.0-or-later", "HPND", "ISC", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only"),
        *("LGPL-3.0-or-later", "MIT", "MIT-0", "MIT-CMU", "MPL-1.1", "MPL-2.0", "NCSA", "OFL-1.1", "OpenSSL"),
        *("PostgreSQL", "PSF-2.0", "Python-2.0", "Unicode-3.0", "Unlicense", "WTFPL", "X11", "Zlib", "ZPL-2.1"),
    )
)
#: Classifiers that name one licence in one version; the others ("BSD License") stay words.
_CLASSIFIERS = {
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}
_PREFIX = "License :: "
#: Some packages put the whole text of their licence into the field.
_LONGEST = 100

Licences = list[dict[str, t.Any]]


def named(words: str) -> dict[str, t.Any]:
    """Return one licence: its id where it is one, else its name."""
    return {"license": {"id": words} if words in IDS else {"name": words}}


def _of_classifiers(classifiers: t.Iterable[str]) -> Licences:
    parts = sorted({line.split(" :: ")[-1] for line in classifiers if line.startswith(_PREFIX)} - {"OSI Approved"})
    return [named(_CLASSIFIERS.get(part, part)) for part in parts]


def of_metadata(expression: str | None, free: str | None, classifiers: t.Iterable[str]) -> Licences:
    """Return the licences of a distribution: License-Expression (PEP 639), else License, else the classifiers.

    A License that is a text instead of a name counts less than the classifiers; of it, the first line is shown.
    """
    if expression and expression.strip():
        return [{"expression": expression.strip()}]
    lines = (free or "").strip().splitlines()
    short = lines[0].strip() if len(lines) == 1 and len(lines[0]) <= _LONGEST else None
    if short in IDS:
        return [named(short)]
    found = _of_classifiers(classifiers)
    if found:
        return found
    return [named(short or lines[0].strip()[:_LONGEST])] if lines else []
