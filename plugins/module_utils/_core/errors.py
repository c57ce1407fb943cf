# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ContainerlessError(Exception):
    """A refusal or failure said in one sentence that names the option or file to change."""


class InvalidDocument(ContainerlessError):
    """A JSON document that does not follow its schema."""


def plain(text: str) -> str:
    """Return words of a foreign document as an error may print them: no control characters, at most 500 characters."""
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= 500 else f"{text[:500]}..."
