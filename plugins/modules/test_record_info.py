#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation only: the action plugin of this name does the work, on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: test_record_info
short_description: Read which test records count for a configuration
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Reads the test records of artifacts that have passed, are about a configuration of this class and have not expired.
  - With O(signers), a record that none of them signed does not count.
  - Runs on the control node. Credentials of a cloud store come from its environment.
requirements:
  - obstore 0.12 on the control node
attributes:
  check_mode:
    description: Reads only.
    support: full
options:
  project:
    description: Name of the app, a lower-case letter followed by at most 23 of a-z, 0-9 and _.
    type: str
    required: true
  store:
    description: URL of the store that holds the artifacts.
    type: str
    required: true
  artifacts:
    description: >-
      The artifacts, each with its C(content_id) and the C(platform) that it has to be tested on, such as V(debian12).
      What else stands in one is given back with it.
    type: list
    elements: dict
    required: true
  level:
    description: How thoroughly they have to be tested. V(full) counts for V(default) too.
    type: str
    choices: [default, full]
    default: default
  config:
    description: Configuration of a release, as M(containerless.django.release) takes it.
    type: dict
    required: true
  secret_names:
    description: Names of its secrets.
    type: list
    elements: str
    default: []
  signers:
    description: Who may sign, as in O(containerless.django.release#module:signers). Nobody has to when empty.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Read whether it was tested
  containerless.django.test_record_info:
    project: shop
    store: file:///home/ops/.cache/containerless/shop/store
    artifacts:
      - {content_id: 6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f, platform: debian12}
    config: "{{ shop_config }}"
    secret_names: [SECRET_KEY]
  register: tested
"""

RETURN = r"""
config_class:
  description: What of the configuration counts, as 12 hex digits.
  returned: success
  type: str
  sample: 3d5f0c9a1e2d
config:
  description: The configuration in its normal form. Secrets are named, without their values.
  returned: success
  type: dict
records:
  description: The record that counts of each artifact that has one.
  returned: success
  type: list
  elements: dict
untested:
  description: The other artifacts as they were given, each with the reason as C(why).
  returned: success
  type: list
  elements: dict
"""
