#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation only: the action plugin of this name does the work, on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: published_artifact
short_description: Upload an artifact to a store and move a channel to it
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Copies a variant index with its artifacts, test records and signatures from one store to another, then moves a
    channel.
  - Everything is put once, under its digest, and verified on the way. What is there is left alone, so a second run
    changes nothing, and an upload that was cut off is finished by the next one.
  - Runs on the control node. Credentials of a cloud store come from its environment, as in C(AWS_ACCESS_KEY_ID).
requirements:
  - obstore 0.12 on the control node
attributes:
  check_mode:
    description: Says what would be copied. A source that nothing was built into yet is no error then.
    support: full
  diff_mode:
    description: Shows where the channel pointed and where it points.
    support: full
options:
  project:
    description: Name of the app, a lower-case letter followed by at most 23 of a-z, 0-9 and _.
    type: str
    required: true
  store:
    description:
      - URL of the store to copy to, such as V(file:///srv/artifacts), V(s3://bucket/folder), V(gs://bucket/folder),
        V(az://container/folder) or V(https://dav.example.org/folder).
      - A local folder must exist; a wrong path is not made.
    type: str
    required: true
  channel:
    description: Channel to move, at most 64 of a-z, 0-9, dot, dash and underscore.
    type: str
    default: production
  source:
    description: URL of the store to copy from, usually the build store.
    type: str
    required: true
  source_channel:
    description: Channel of the source that names what is copied.
    type: str
    required: true
  require_test_record:
    description: Refuse an index with a variant that has no passed test record. Nothing is copied then.
    type: bool
    default: true
  test_level:
    description: Level of the test record that is required.
    type: str
    choices: [default, full]
    default: default
  signers:
    description:
      - Whose signatures count, each a line of ALLOWED SIGNERS in C(ssh-keygen(1\)) - names, options, key.
      - When given, manifest, provenance and, where it is required, test record of each variant need a good signature by
        one of these keys. Nothing is copied otherwise. Check mode says so too, but for a record that is yet to be made.
    type: list
    elements: str
    default: []
  state:
    description: There is only one way; removing old artifacts is another task.
    type: str
    choices: [present]
    default: present
"""

EXAMPLES = r"""
- name: Upload what was built and tested
  containerless.django.published_artifact:
    project: shop
    source: file:///home/ops/.cache/containerless/shop/store
    source_channel: built-1a2b3c4d
    store: file:///srv/artifacts
    channel: production
"""

RETURN = r"""
created:
  description: Keys of the manifests, test records, signatures and indexes that were not in the store.
  returned: when something is built
  type: list
  elements: str
moved:
  description: Whether the channel pointed elsewhere before.
  returned: when something is built
  type: bool
signed_by:
  description:
    - Who signed each variant, by content_id; a name out of O(signers).
    - V(unsigned) without a signature; without O(signers) the fingerprint of each key and C((not checked\)).
  returned: when something is built
  type: dict
channel:
  description: The channel.
  returned: when something is built
  type: str
  sample: production
version:
  description: Version that the channel names.
  returned: when something is built
  type: str
  sample: 1.0.0.g1a2b3c4d
index_id:
  description: Variant index that the channel points to.
  returned: when something is built
  type: str
  sample: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
"""
