#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation only: the action plugin of this name does the work, on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_info
short_description: Read, verify and compare artifacts of a store
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Reads an artifact by its content_id, or the one that a channel offers for a platform.
  - Manifest and SBOM are verified against the digests that name them. The provenance is its builder's word.
  - On demand it fetches all of the artifact and checks every byte, or says what changed since another artifact.
  - Runs on the control node, which need not be able to run the artifact. Credentials of a cloud store come from its
    environment.
  - See docs/artifact.md for what is in the documents, and how to check an artifact without this collection.
requirements:
  - obstore 0.12 on the control node
  - the program C(zstd), or Python 3.14, on the control node for artifacts that have no other encoding
  - C(ssh-keygen) on the control node where O(signers) is given
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Shows what changed since O(compare_to).
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
  content_id:
    description: Identity of the artifact, 64 hex digits. It is taken before O(channel); an empty string is no choice.
    type: str
    default: ""
  channel:
    description: Channel that offers the artifact.
    type: str
    default: ""
  platform:
    description:
      - Which of the artifacts that O(channel) offers, such as V(debian12).
      - When empty, the channel must offer one alone.
    type: str
    default: ""
  verify:
    description:
      - Fetch every blob and check its digest and that of the tar, each member and file, the list of files and the SBOM.
        What differs is an error that names it.
      - A blob that the control node can't decompress is checked by its digest alone, see RV(verified).
      - Takes twice the size of the unpacked artifact in the folder for temporary files, for a moment.
    type: bool
    default: false
  compare_to:
    description:
      - Earlier artifact to compare with, by its content_id, or the one that a channel of this name offers for the same
        platform. An empty string is none.
    type: str
    default: ""
  shown_files:
    description: Number of files that RV(difference) names of each kind; all are counted.
    type: int
    default: 20
  signers:
    description:
      - Whose signatures count, each a line as in ALLOWED SIGNERS of the manual of C(ssh-keygen) - names, options, key.
      - When given, manifest and provenance need a good signature by one of these keys; it is an error otherwise.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Prove that what is in production is what was built, to the last byte
  containerless.django.artifact_info:
    project: shop
    store: file:///srv/artifacts
    channel: production
    platform: debian12
    verify: true
  register: artifact

- name: Say what the next release would change
  containerless.django.artifact_info:
    project: shop
    store: file:///srv/artifacts
    channel: staging
    platform: debian12
    compare_to: production
  diff: true
"""

RETURN = r"""
content_id:
  description: Identity of the artifact, the SHA-256 of its manifest.
  returned: success
  type: str
  sample: 1d3cf678b1a13364d9f5954d73fa009eeb34691f41ecc11e0e7389f53c22e918
platform:
  description: What it was built for.
  returned: success
  type: str
  sample: debian12
manifest:
  description: The manifest, see docs/schemas/manifest.schema.json.
  returned: success
  type: dict
provenance:
  description: Who built it of what and when, see docs/schemas/provenance.schema.json.
  returned: success
  type: dict
sbom:
  description: What it holds, as CycloneDX 1.6.
  returned: success
  type: dict
signed_by:
  description:
    - Who signed the artifact; a name out of O(signers).
    - V(unsigned) without a signature; without O(signers) the fingerprint of each key and V((not checked\)).
  returned: success
  type: str
  sample: release@example.org
verified:
  description: The blobs that were fetched, and what of each was checked - V(every byte), or V(digest of the blob).
  returned: O(verify=true)
  type: list
  elements: dict
  sample: [{encoding: gzip, sha256: "...", size: 16126589, checked: every byte}]
compared_to:
  description: The content_id of the other artifact.
  returned: with O(compare_to)
  type: str
difference:
  description: What changed from the other artifact to this one.
  returned: with O(compare_to)
  type: dict
  contains:
    old:
      description: Version and start of the content_id of the other artifact.
      type: str
    new:
      description: Version and start of the content_id of this one.
      type: str
    same:
      description: Whether nothing changed.
      type: bool
    artifact:
      description: Version, commit, lock, platform, Python and settings module, in C(added), C(removed) and C(changed).
      type: dict
    distributions:
      description: Versions by name; of equal versions their wheels.
      type: dict
      sample: {added: {}, removed: {}, changed: {django: {old: 5.2.18, new: 5.2.19}}}
    migrations:
      description: Classes of migrations by app and name.
      type: dict
      sample: {added: {shop.0003_note: expand}, removed: {}, changed: {}}
    settings:
      description: Names of settings that are set explicitly. Values are in no artifact.
      type: dict
    processes:
      description: Command lines by name.
      type: dict
    timers:
      description: Schedules and command lines by name.
      type: dict
    files:
      description:
        - C(app), C(static) and C(venv), and for each C(added), C(removed) and C(changed) with C(count) and C(names).
        - Null when the control node can't decompress one of the artifacts.
      type: dict
"""
