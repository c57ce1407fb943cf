#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation only: the action plugin of this name does the work, on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: test_overlay
short_description: Write what the own tests of a project need beside its artifact
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Writes a tar with the distributions that the lock of a project has for its tests and the artifact lacks, and with
    the files of the commit that C(exclude) of C([tool.containerless]) takes out of the artifact.
  - It is made for one artifact, which it names, and its bytes depend on that, the lock and what is asked for. Nothing
    of it ever becomes a part of the artifact.
  - What the artifact holds is not in it. A lock that has another version of such a distribution is refused.
  - Distributions need a wheel with a locked hash. Nothing is built from source.
  - Runs on the control node. Credentials of a cloud store come from its environment.
requirements:
  - obstore 0.12, packaging, pypi-simple and uv on the control node
attributes:
  check_mode:
    description: Says whether a file would be written.
    support: full
  diff_mode:
    description: Shows nothing.
    support: none
extends_documentation_fragment:
  - containerless.django.tested
options:
  src:
    description: Folder with the project on the control node. It must have the commit that the artifact is made of.
    type: path
    required: true
  dest:
    description: File that is written on the control node.
    type: path
    required: true
  groups:
    description: >-
      Groups of C(dependency-groups) that the tests need. When omitted, V(dev) where the lock is a C(uv.lock) and the
      project has that group.
    type: list
    elements: str
  extras:
    description: Extras of the project that the tests need.
    type: list
    elements: str
    default: []
  lock:
    description: Lock file in the commit that pins what the tests need. When empty, the one of the artifact.
    type: str
    default: ""
  cache:
    description: Folder of the control node for fetched wheels. C(containerless) in the user's cache folder by default.
    type: path
  index_url:
    description: Index to fetch from. When empty, the one that pip is configured for.
    type: str
    default: ""
  wheelhouse:
    description: Folder of the control node with wheels. When given, nothing is fetched from an index.
    type: path
"""

EXAMPLES = r"""
- name: Write what the tests need
  containerless.django.test_overlay:
    project: shop
    store: file:///home/ops/.cache/containerless/shop/store
    content_id: 6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f
    src: /home/ops/shop
    dest: /home/ops/.cache/containerless/shop/tests.tar
    groups: [dev]
  register: overlay
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
sha256:
  description: Its SHA-256, in hex. Empty in check mode.
  returned: success
  type: str
distributions:
  description: What it holds beside the artifact.
  returned: success
  type: list
  elements: str
  sample: [pytest 9.1.1, pytest-django 4.12.0]
files:
  description: Number of files of the commit that the artifact leaves out.
  returned: success
  type: int
"""
