#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: test_host
short_description: Make room for a test on a host, and take off what it released
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Before a test, removes what an earlier one left on the host, with its data. After it, removes what it released. So
    it does with the database that M(containerless.django.test_database) made.
  - An app that was released by anything else than a test is never removed. The module fails then, and changes nothing.
  - Needs root.
attributes:
  check_mode:
    description: Says whether something would be removed.
    support: full
options:
  name:
    description: Name of the app, a lower-case letter followed by at most 23 of a-z, 0-9 and _.
    type: str
    required: true
  state:
    description: V(ready) before a test, V(left) after it.
    type: str
    choices: [ready, left]
    default: ready
  keep:
    description: With O(state=left), lets what was released stay until the next test.
    type: bool
    default: false
  lease:
    description:
      - With O(state=ready), seconds after which the host removes by itself what the test released, because it was
        interrupted. A reboot of the host forgets it.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Make room for a test
  containerless.django.test_host:
    name: shop
    lease: 1800
  become: true

- name: Take off the host what the test released
  containerless.django.test_host:
    name: shop
    state: left
  become: true
"""

RETURN = r"""
removed:
  description: Whether something that a test had released was removed, or would be.
  returned: success
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.errors import ContainerlessError
from ..module_utils._core.names import Layout
from ..module_utils._release.systemd import Systemd
from ..module_utils._test import guest

SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["ready", "left"], "default": "ready"},
    "keep": {"type": "bool", "default": False},
    "lease": {"type": "int", "default": 3600},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    given = module.params
    try:
        layout = Layout(given["name"])
        systemd = Systemd(layout)
        if module.check_mode:
            removed = guest.has_left(layout, systemd) and not (given["state"] == "left" and given["keep"])
        elif given["state"] == "ready":
            removed = guest.welcome(layout, systemd, given["lease"])
        else:
            removed = guest.see_off(layout, systemd, keep=given["keep"])
    except ContainerlessError as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{exc.strerror}: {exc.filename} (is become: true set?)", exception=exc)
    module.exit_json(changed=removed, removed=removed)


if __name__ == "__main__":
    main()
