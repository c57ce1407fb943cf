#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: sandbox_info
short_description: Read how confined a unit really is
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Tells of a unit, or of each process of an app's active release, how open systemd counts it, which directives are
    asked for, what systemd applies of them, and what holds when one looks from inside.
  - That look is a short program of its own in a transient unit with the very same sandbox and user; it tries what each
    directive forbids. Nothing of the app runs, and nothing stays.
  - Changes nothing. Needs root, systemd 252 or newer, and a C(/usr/bin/python3) that the sandbox shows.
attributes:
  check_mode:
    description: Reads only.
    support: full
options:
  name:
    description:
      - Name of an app that was released on the host, a lower-case letter followed by at most 23 of a-z, 0-9 and _.
      - An app without an active release is an error.
    type: str
  unit:
    description:
      - Name of a service of the host, such as V(shop.service); it need not run.
      - A unit that is not loaded or has no file is an error.
    type: str
"""

EXAMPLES = r"""
- name: Look at the sandbox of an app
  containerless.django.sandbox_info:
    name: shop
  become: true
  register: sandbox

- name: Show it as a table
  ansible.builtin.debug:
    msg: "{{ sandbox.table }}"

- name: Refuse a host that does not hold what the sandbox asks for
  ansible.builtin.assert:
    that: sandbox.units | map(attribute='weak') | flatten | length == 0

- name: Look at a service of somebody else
  containerless.django.sandbox_info:
    unit: postgresql@15-main.service
  become: true
"""

RETURN = r"""
units:
  description: One for each unit.
  returned: success
  type: list
  elements: dict
  contains:
    unit:
      description: Name of the unit.
      type: str
      sample: containerless-shop-web@7.service
    profile:
      description: Profile of role app_sandbox; empty where none of its drop-ins is over the unit.
      type: str
      sample: strict
    exposure:
      description: What C(systemd-analyze security) counts, from V(0.0) to V(10.0).
      type: str
      sample: "0.2"
    costs:
      description: What of it is open, with name, exposure and why; worst first.
      type: list
      elements: dict
      sample: [{name: DeviceAllow=, exposure: "0.1", why: Service has a device ACL with some special devices}]
    opt_out:
      description: Directives that C(app_sandbox_opt_out) of role app_sandbox names, with reason and value.
      type: list
      elements: dict
      sample: [{directive: MemoryDenyWriteExecute, reason: callbacks of old cffi in pycares, value: "no"}]
    directives:
      description: Each directive that protects something.
      type: list
      elements: dict
      contains:
        directive: {description: Its name., type: str, sample: PrivateTmp}
        asked: {description: What the texts of the unit say in the end., type: str, sample: "yes"}
        applied: {description: What systemd has of it., type: str, sample: "yes"}
        inside:
          description: V(holds), V(open), V(unknown) where it can't be told on this host; empty where nobody looks.
          type: str
          sample: holds
        detail: {description: What was seen., type: str, sample: none of the host's own}
    weak:
      description: Directives that are asked for and open, with directive and why; empty is good.
      type: list
      elements: dict
      sample: [{directive: MemoryMax, why: memory.max is not there}]
    not_probed:
      description: Why nobody looked from inside; empty where somebody did.
      type: str
      sample: ""
table:
  description: The same for a person, as lines of at most 80 columns.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.errors import ContainerlessError
from ..module_utils._release import confinement
from ..module_utils._sandbox import table


def main() -> None:
    module = AnsibleModule(
        argument_spec={"name": {"type": "str"}, "unit": {"type": "str"}},
        mutually_exclusive=[("name", "unit")],
        required_one_of=[("name", "unit")],
        supports_check_mode=True,
    )
    try:
        units = confinement.report(module.params["name"], module.params["unit"])
        lines = [line for known in units for line in table.lines(known)]
        module.exit_json(changed=False, units=units, table=lines)
    except ContainerlessError as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{exc.strerror}: {exc.filename} (is become: true set?)", exception=exc)


if __name__ == "__main__":
    main()
