# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that are about the test of one artifact."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  project:
    description: Name of the app, a lower-case letter followed by at most 23 of a-z, 0-9 and _.
    type: str
    required: true
  store:
    description: URL of the store that holds the artifact, usually the build store.
    type: str
    required: true
  content_id:
    description: The artifact that is tested.
    type: str
    required: true
"""
