#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation only: the action plugin of this name does the work, on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: published_artifact_info
short_description: Read which artifacts a store offers
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Reads a variant index by its index_id, its version or the channel that points to it, with all that it names.
  - Everything is verified against the digest it stands under; what was changed in the store is an error.
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
    description: URL of the store, such as V(file:///srv/artifacts).
    type: str
    required: true
  missing_ok:
    description: Whether a local folder that does not exist is an empty store. It is an error otherwise.
    type: bool
    default: false
  index_id:
    description: Digest of the index. It is taken before O(version) and O(channel); an empty string is no choice.
    type: str
    default: ""
  version:
    description:
      - Version of the index. It is taken before O(channel).
      - A version with several indexes is an error that names them.
    type: str
    default: ""
  channel:
    description: Channel that points to the index.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Read what is in production
  containerless.django.published_artifact_info:
    project: shop
    store: file:///srv/artifacts
    channel: production
  register: offer
"""

RETURN = r"""
found:
  description: Whether there is such an index. A missing channel is no error.
  returned: success
  type: bool
index_id:
  description: Digest of the index.
  returned: found
  type: str
  sample: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
version:
  description: Its version.
  returned: found
  type: str
  sample: 1.0.0.g1a2b3c4d
commit:
  description: Commit that it was built from.
  returned: found
  type: str
index:
  description: The index itself.
  returned: found
  type: dict
manifests:
  description: The manifest of each variant, by content_id.
  returned: found
  type: dict
records:
  description: The test records of each variant, by content_id, then by level and class of configurations.
  returned: found
  type: dict
platforms:
  description: What each variant was built on, by content_id, such as debian12.
  returned: found
  type: dict
"""
