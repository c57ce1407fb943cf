#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_index
short_description: Write the index over the artifacts of a commit and point the source's channel to it
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - The index names the artifact of each platform; it is what tests, uploads and releases start from.
  - Runs on the control node, whatever host the task has.
attributes:
  check_mode:
    description: Says whether the channel would move.
    support: full
  diff_mode:
    description: Shows where the channel pointed and where it points.
    support: full
requirements:
  - git, and the Python libraries obstore, packaging, pip and uv on the control node
extends_documentation_fragment:
  - containerless.django.source
options:
  platforms:
    description: Platforms, such as V(debian12) or V(debian13).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Point the channel of this checkout to what was built
  containerless.django.artifact_index:
    name: shop
    src: /home/me/shop
    store: file:///home/me/.cache/containerless/shop/store
    platforms: [debian12, debian13]
"""

RETURN = r"""
index_id:
  description: Identity of the index. Null in check mode when an artifact is not built yet.
  returned: success
  type: str
channel:
  description: Channel of the build store that follows this source folder.
  returned: success
  type: str
  sample: built-0a1b2c3d
version:
  description: Version of the artifacts.
  returned: success
  type: str
content_ids:
  description: The content_id of each platform.
  returned: success
  type: dict
"""
