#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_on_host
short_description: The part of a release that runs on the host
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Called by the action plugin of M(containerless.django.release), never by a playbook.
  - Runs one transaction under the app's lock; see docs/decisions/0003 for its steps and its commit point.
attributes:
  check_mode:
    description: Says what a run would do, with a diff of code, distributions, migrations, units and names of env.
    support: full
options:
  name:
    description: Name of the app.
    type: str
    required: true
  state:
    description: What to do.
    type: str
    choices: [present, rolled_back, absent]
    required: true
  desired:
    description: The release as the control node made it; empty unless O(state=present).
    type: dict
    default: {}
  artifact:
    description: Path of the compressed tar on the host; empty when the tree is there already.
    type: str
    default: ""
  encoding:
    description: How the tar at O(artifact) is compressed; one of those that the host can read.
    type: str
    choices: [gzip, identity, zstd]
    default: gzip
  tool:
    description: Digest and sources of the host tool; empty when the host has it.
    type: dict
    default: {}
  secrets:
    description: Values of the release's secrets by name.
    type: dict
    default: {}
  drain:
    description: Seconds between the flip and the end of the old web process.
    type: int
    default: 30
  lock_wait:
    description: Seconds to wait for another run on this host.
    type: int
    default: 0
  migrations:
    description: Whether pending migrations that are not expanding are refused or accepted.
    type: str
    choices: [expand, accept]
    default: expand
  allow_older:
    description: With O(state=present), whether the release may have an older commit than the active one.
    type: bool
    default: true
  to:
    description: Release id to go back to; empty for the last good one before the active one.
    type: str
    default: ""
  accept_newer_schema:
    description: Go back although the database has migrations that the old release does not know.
    type: bool
    default: false
  remove_data:
    description: With O(state=absent), remove the app's data, its ledger and its user too.
    type: bool
    default: false
  run:
    description: Id of the run, for lock, journal and ledger.
    type: str
    required: true
  who:
    description: Who asked, for the ledger.
    type: str
    required: true
  reason:
    description: Why, for the ledger.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: What the release action calls to go back
  containerless.django.release_on_host:
    name: shop
    state: rolled_back
    run: 0a1b2c3d4e5f
    who: me@control
"""

RETURN = r"""
release:
  description: Release that is live after the run.
  returned: success, unless O(state=absent)
  type: str
  sample: 2.0.0.g1a2b3c4d-0123456789ab
evidence:
  description: Step, answer, body and journal lines of a release that was undone; known secrets are masked.
  returned: failure after something was started
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.errors import ContainerlessError
from ..module_utils._release import request
from ..module_utils._release.evidence import ReleaseFailed


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "rolled_back", "absent"], "required": True},
            "desired": {"type": "dict", "default": {}},
            "artifact": {"type": "str", "default": ""},
            "encoding": {"type": "str", "choices": ["gzip", "identity", "zstd"], "default": "gzip"},
            "tool": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "drain": {"type": "int", "default": 30},
            "lock_wait": {"type": "int", "default": 0},
            "migrations": {"type": "str", "choices": ["expand", "accept"], "default": "expand"},
            "allow_older": {"type": "bool", "default": True},
            "to": {"type": "str", "default": ""},
            "accept_newer_schema": {"type": "bool", "default": False},
            "remove_data": {"type": "bool", "default": False},
            "run": {"type": "str", "required": True},
            "who": {"type": "str", "required": True},
            "reason": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    act = {"present": request.present, "rolled_back": request.rolled_back, "absent": request.absent}
    try:
        result = act[module.params["state"]](module.params, module.check_mode)
    except ReleaseFailed as exc:
        module.fail_json(msg=str(exc), evidence=exc.evidence)
    except ContainerlessError as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{exc.strerror}: {exc.filename} (is become: true set?)", exception=exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
