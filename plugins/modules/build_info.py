#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: build_info
short_description: Say which artifacts of a commit are in the build store
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Reads the project and computes the build key of each platform; runs on the control node, whatever host the task has.
  - Refuses a project that can't be built, before a machine is made.
attributes:
  check_mode:
    description: Changes nothing in either mode.
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
- name: See what has to be built
  containerless.django.build_info:
    name: shop
    src: /home/me/shop
    store: file:///home/me/.cache/containerless/shop/store
    platforms: [debian12, debian13]
  register: __found
"""

RETURN = r"""
version:
  description: Version that the artifacts have or will have.
  returned: success
  type: str
  sample: 1.0.0.g1a2b3c4d
commit:
  description: Commit that O(ref) names.
  returned: success
  type: str
channel:
  description: Channel of the build store that follows this source folder.
  returned: success
  type: str
  sample: built-0a1b2c3d
artifacts:
  description: For each platform its build key and the content_id, null when it is not built.
  returned: success
  type: list
  elements: dict
  sample: [{platform: debian12, key: "...", content_id: null}]
missing:
  description: Platforms that are not built.
  returned: success
  type: list
  elements: str
  sample: [debian12]
"""
