#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact
short_description: Build the immutable artifact of a Django project for one platform
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - One commit and one lock become one deterministic tar with a manifest, in the build store. Same inputs, same bytes.
  - Runs against a build host of the target's suite, which needs its own Python and tar; no network, no root.
  - An artifact that was built from the same inputs before is taken from the build store, and no host is touched.
  - An artifact whose lock was built before takes the installed distributions of that one; only the app is new.
  - With C(--diff) it says what changed against the artifact that the channel of the source folder points to.
  - See docs/build.md for the steps and for what is refused.
attributes:
  check_mode:
    description: Says whether a build would be needed.
    support: full
  diff_mode:
    description:
      - Distributions, files, migrations, names of settings, processes and timers that changed; in check mode
        distributions, processes and timers, because the rest is known after the build.
    support: full
requirements:
  - git, and the Python libraries obstore, packaging, pip, pypi-simple and uv on the control node
extends_documentation_fragment:
  - containerless.django.source
options:
  platform:
    description: Platform of the build host and of the targets, such as V(debian12) or V(debian13).
    type: str
    required: true
  cache:
    description: Folder of the control node for fetched wheels. Without it, C($XDG_CACHE_HOME/containerless).
    type: path
  encodings:
    description:
      - How the tar is compressed, the preferred encoding first; a host takes the first that it can read.
      - V(zstd) needs the program C(zstd) on the build host, and on a target that or Python 3.14.
      - No part of the artifact's identity. An artifact that is there already stays as it is.
    type: list
    elements: str
    choices: [gzip, zstd]
    default: [gzip]
  index_url:
    description:
      - Index to fetch from, such as V(https://user:password@pypi.example.org/simple), instead of the one that pip is
        configured for. Its credentials reach that index alone, and uv by environment; they appear nowhere else.
    type: str
    default: ""
  wheelhouse:
    description: Folder of the control node with wheels and sdists. When given, nothing is fetched from an index.
    type: path
  signing_key:
    description:
      - Private key of C(ssh-keygen) to sign the artifact with, or a public one whose private key an agent holds.
      - An artifact that is there already and has no signature of this key gets one.
    type: path
  folder:
    description:
      - Folder of the build host in which the build makes and removes its own.
      - When empty, C(/dev/shm) if it has room for eight times the wheels, else C(/var/tmp).
    type: str
    default: ""
  python:
    description: Interpreter of the build host that the artifact is built with.
    type: path
    default: /usr/bin/python3
"""

EXAMPLES = r"""
- name: Build shop on a Debian 12 machine
  containerless.django.artifact:
    name: shop
    src: /home/me/shop
    store: file:///home/me/.cache/containerless/shop/store
    platform: debian12
  delegate_to: builder
"""

RETURN = r"""
content_id:
  description: Identity of the artifact, the SHA-256 of its manifest. Null in check mode when it is not built yet.
  returned: success
  type: str
  sample: 1d3cf678b1a13364d9f5954d73fa009eeb34691f41ecc11e0e7389f53c22e918
version:
  description: Version of the artifact.
  returned: success
  type: str
  sample: 1.0.0.g1a2b3c4d
platform:
  description: Platform that it was built for.
  returned: success
  type: str
  sample: debian12
key:
  description: Build key, the digest of everything that decides the bytes.
  returned: success
  type: str
seconds:
  description: Duration of each step.
  returned: success
  type: dict
  sample: {inputs: 0.1, parts: 0.2, "machine: install": 1.1}
"""
