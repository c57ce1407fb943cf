# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ContainerlessError(Exception):
    """A refusal or failure said in one sentence that names the option or file to change."""


class InvalidDocument(ContainerlessError):
    """A JSON document that does not follow its schema."""
