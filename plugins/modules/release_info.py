#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: Read which release of an app runs on a host
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Reads ledger, active release and units of an app, and what of the host decides about a variant.
  - Changes nothing. Needs root, because the ledger does.
attributes:
  check_mode:
    description: Reads only.
    support: full
options:
  name:
    description: Name of the app, a lower-case letter followed by at most 23 of a-z, 0-9 and _.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Read what runs
  containerless.django.release_info:
    name: shop
  become: true
  register: shop
"""

RETURN = r"""
app:
  description: The app on this host.
  returned: success
  type: dict
  contains:
    release:
      description: Id of the active release; null when there is none.
      type: str
      sample: 2.0.0.g1a2b3c4d-0123456789ab
    activation:
      description: Number of the active activation.
      type: int
      sample: 3
    signed_by:
      description:
        - Who signed the artifact of the active release, as it was checked when it was released.
        - V(unsigned) without a signature; the key's fingerprint and C((not checked\)) where no signers were given;
          null without a release.
      type: str
      sample: ann@example.org
    sandbox:
      description:
        - Profile of the active release's sandbox, what it opted out of and why (C(opt_out)), and what this host is
          known not to hold (C(unenforced)). Null without a release.
      type: dict
      sample:
        profile: strict
        opt_out: [{directive: MemoryDenyWriteExecute, allow: [], value: "no", reason: callbacks of old cffi in pycares}]
        unenforced: []
    running:
      description: Whether each process is up and web.sock leads to it.
      type: bool
    processes:
      description: State of each process as systemd says it.
      type: dict
    problems:
      description: Why the release would not start again, such as a Python that an upgrade of the host removed.
      type: list
      elements: str
    draining:
      description: Numbers of earlier activations that still answer what they had begun.
      type: list
      elements: int
    under_way:
      description: Step of a release that is under way or was interrupted; null otherwise.
      type: str
    unconfirmed_for:
      description: Seconds until an unconfirmed release is taken back; 0 when nothing is waited for, null without one.
      type: int
    timers:
      description: Whether the artifact's timers run on this host.
      type: bool
    pinned:
      description: Releases that are never removed.
      type: list
      elements: str
    releases:
      description: Every activation with its last state, oldest first.
      type: list
      elements: dict
    ledger_head:
      description: SHA-256 of the ledger's last line.
      type: str
host:
  description:
    - What chooses a variant and its encoding, and renders units. It holds machine, libc, libc_version, pythons,
      encodings, systemd and platform.
  returned: success
  type: dict
trees:
  description: content_ids of the unpacked trees.
  returned: success
  type: list
  elements: str
tool:
  description: Digest of the installed host tool; empty when there is none.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.errors import ContainerlessError
from ..module_utils._core.names import Layout
from ..module_utils._release import hostinfo
from ..module_utils._release.systemd import Systemd


def main() -> None:
    module = AnsibleModule(argument_spec={"name": {"type": "str", "required": True}}, supports_check_mode=True)
    try:
        layout = Layout(module.params["name"])
        module.exit_json(**hostinfo.facts(layout, Systemd(layout)))
    except ContainerlessError as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{exc.strerror}: {exc.filename} (is become: true set?)", exception=exc)


if __name__ == "__main__":
    main()
