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
  - What steers a run (O(drain) to O(allow_older)) is taken when it is V(staged), and stands in its journal until its
    end.
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
    description:
      - What to do. A release is V(staged), V(activated) and V(confirmed) by one O(run); V(held) may stand between the
        first two, V(renewed) between the last two.
      - V(reverted) takes back what O(run) has under way.
    type: str
    choices: [staged, held, activated, renewed, confirmed, reverted, rolled_back, pruned, absent]
    required: true
  desired:
    description: The release as the control node made it; empty unless O(state=staged).
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
    description:
      - Values of the release's secrets by name, as one JSON text; empty for none.
      - A single value would be taken out of all that the module says, and C(25) stands in every second id.
    type: str
    default: ""
  drain:
    description: Seconds between the confirmation and the end of the old web process.
    type: int
    default: 30
  watch:
    description: Seconds that the release is watched after the flip.
    type: int
    default: 0
  watch_errors:
    description: Share of bad answers during the watch, in per cent, above which the release is taken back.
    type: int
    default: 10
  confirm_timeout:
    description: Seconds after the watch in which the confirmation must come.
    type: int
    default: 60
  lock_wait:
    description: Seconds to wait for another run on this host.
    type: int
    default: 0
  migrations:
    description: What is done with pending migrations that are not expanding.
    type: str
    choices: [expand, accept, maintenance]
    default: expand
  overlap:
    description: Whether the old release serves while the new one starts, or is stopped before.
    type: str
    choices: [overlap, hold]
    default: overlap
  keep:
    description: Distinct artifacts that stay on the host.
    type: int
    default: 5
  timers:
    description: Whether the artifact's timers run on this host.
    type: bool
    default: false
  allow_older:
    description: With O(state=staged), whether the release may have an older commit than the active one.
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
  reverse_migrations:
    description: With O(state=rolled_back), take back the migrations that the old release does not know.
    type: bool
    default: false
  secrets_from:
    description: With O(state=rolled_back), the newest values of the secrets, or those that the release was good with.
    type: str
    choices: [newest, snapshot]
    default: newest
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

import json

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._release import evidence, request


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": request.STATES, "required": True},
            "desired": {"type": "dict", "default": {}},
            "artifact": {"type": "str", "default": ""},
            "encoding": {"type": "str", "choices": ["gzip", "identity", "zstd"], "default": "gzip"},
            "tool": {"type": "dict", "default": {}},
            "secrets": {"type": "str", "default": "", "no_log": True},
            "drain": {"type": "int", "default": 30},
            "watch": {"type": "int", "default": 0},
            "watch_errors": {"type": "int", "default": 10},
            "confirm_timeout": {"type": "int", "default": 60},
            "lock_wait": {"type": "int", "default": 0},
            "migrations": {"type": "str", "choices": ["expand", "accept", "maintenance"], "default": "expand"},
            "overlap": {"type": "str", "choices": ["overlap", "hold"], "default": "overlap"},
            "keep": {"type": "int", "default": 5},
            "timers": {"type": "bool", "default": False},
            "allow_older": {"type": "bool", "default": True},
            "to": {"type": "str", "default": ""},
            "accept_newer_schema": {"type": "bool", "default": False},
            "reverse_migrations": {"type": "bool", "default": False},
            "secrets_from": {"type": "str", "choices": ["newest", "snapshot"], "default": "newest"},
            "remove_data": {"type": "bool", "default": False},
            "run": {"type": "str", "required": True},
            "who": {"type": "str", "required": True},
            "reason": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    secrets = json.loads(module.params["secrets"] or "{}")
    result = request.answer({**module.params, "secrets": secrets}, module.check_mode)
    result = evidence.mask_answer(result, secrets.values())
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
