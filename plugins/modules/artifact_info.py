#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_info
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
options:
  name:
    description: Name of the app, a lower-case letter followed by at most 23 of a-z, 0-9 and _.
    type: str
    required: true
  src:
    description:
      - Folder on the control node with the project; a git checkout, or a folder in one.
      - What is built is the commit O(ref), never the files that lie in the folder.
    type: path
    required: true
  store:
    description: URL of the build store, such as V(file:///home/me/.cache/containerless/shop/store).
    type: str
    required: true
  ref:
    description: Commit, tag or branch to build.
    type: str
    default: HEAD
  version:
    description:
      - Version of the artifact, at most 48 letters, digits, dots and underscores.
      - Without it, C(project.version) of C(pyproject.toml) or the commit's date, then C(.g) and 8 digits of the commit.
    type: str
  lock:
    description: Requirements file in the commit, below O(src); each line has a version and SHA-256 hashes.
    type: str
    default: requirements.txt
  settings_module:
    description: Django settings to build with. Without it, what C(manage.py) sets by default.
    type: str
  secret_names:
    description:
      - Names of secrets that the settings ask for. Each gets a throw-away value, as variable and as credential.
      - C(SECRET_KEY) is always among them. Real values never reach a build.
    type: list
    elements: str
    default: []
  env:
    description: Further environment of C(collectstatic). It decides bytes and is no place for secrets.
    type: dict
    default: {}
  allow_dirty:
    description:
      - Build what stands in O(src), ignored files left out, when it differs from the commit that is checked out.
      - The version then ends in C(.dirty) and the manifest says so. Without it, such a folder is refused.
    type: bool
    default: false
  platforms:
    description: Platforms, such as V(debian12) or V(debian13).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: See what has to be built
  containerless.django.artifact_info:
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
