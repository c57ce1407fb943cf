#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: sandbox_learn
short_description: Find the smallest opt-out that an app works with
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Runs a process of a release, or a command, in the very sandbox of that release and watches it with C(strace) from
    outside. Each refusal is traced back to the directive that makes it.
  - Where it does not work, it runs again without those directives until it does, and then without each single opt-out.
    What is named in the end was needed, and was enough.
  - The run is a transient unit beside what is live, with a socket, a network and files of secrets of its own. It serves
    nobody. What the app itself does is real, though; a worker takes jobs, a command writes to the database.
  - Peers over TCP are named, not tried; O(ignore:app_sandbox_egress) of a release makes units for them.
  - Needs root, C(strace) and a release on the host; one that failed is enough.
attributes:
  check_mode:
    description: Is skipped; what it finds out, it finds out by running.
    support: none
options:
  name:
    description: Name of the app, a lower-case letter followed by at most 23 of a-z, 0-9 and _.
    type: str
    required: true
  process:
    description: Process of the release that runs, or in whose sandbox O(command) does.
    type: str
    default: web
  command:
    description: >-
      Command to run instead, by the rules of a Procfile, such as V(python manage.py report); it works when it ends
      with 0.
    type: str
    default: ""
  paths:
    description:
      - Paths that C(web) is asked for beside its health check; each has to answer with a status from 200 to 399.
    type: list
    elements: str
    default: []
  seconds:
    description: So long a process has to stay up, in seconds, and a command may take.
    type: int
    default: 20
  release:
    description: Id of a release on the host; the live one by default, else the newest.
    type: str
    default: ""
  secrets:
    description: Values of secrets that the host does not have yet, by name; those that are live otherwise.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Learn what the web process lacks when it makes a report
  containerless.django.sandbox_learn:
    name: shop
    paths: [/report/]
  become: true
  register: learned

- name: Learn from a command in the sandbox of the worker
  containerless.django.sandbox_learn:
    name: shop
    process: worker
    command: python manage.py import_prices
  become: true

- name: Show it
  ansible.builtin.debug:
    msg: "{{ learned.table }}"
"""

RETURN = r"""
process: {description: The process that ran., returned: success, type: str, sample: web}
command: {description: The command that ran instead., returned: success, type: list, elements: str, sample: []}
release:
  description: Id of the release.
  returned: success
  type: str
  sample: 1.0.0.g1a2b3c4d-0123456789ab
works:
  description: Whether it works in the sandbox as it is.
  returned: success
  type: bool
  sample: false
why:
  description: Why it does not; empty where it works.
  returned: success
  type: str
  sample: it ended with 1
works_with:
  description:
    - What to set, as small as it gets; a run with it worked, and one with less did not.
    - Empty where nothing is needed or known.
  returned: success
  type: list
  elements: dict
  contains:
    option: {description: Option of role app_sandbox., type: str, sample: app_sandbox_opt_out}
    value:
      description: Its value or an item of it; an opt-out wants a reason too.
      type: raw
      sample: {directive: MemoryDenyWriteExecute}
explained:
  description: Whether it worked in the end; V(false) when something else than the sandbox is in its way.
  returned: success
  type: bool
  sample: true
refused:
  description: Each refusal that would not be one without a sandbox.
  returned: success
  type: list
  elements: dict
  contains:
    process: {description: Name of the program that was refused it., type: str, sample: python}
    call: {description: System call., type: str, sample: mmap}
    subject: {description: What it was about; a path, a family of sockets or a peer., type: str, sample: AF_NETLINK}
    errno: {description: What the kernel answered., type: str, sample: EPERM}
    directive: {description: The directive that makes it., type: str, sample: RestrictAddressFamilies}
    option:
      description: The option that lets it through; empty where none does.
      type: str
      sample: app_sandbox_opt_out
    value:
      description: Its smallest value.
      type: raw
      sample: {directive: RestrictAddressFamilies, allow: [AF_NETLINK]}
    needed:
      description: Whether RV(works_with) has it; the app does without what is refused and not needed.
      type: bool
      sample: true
    why: {description: What else is to be said., type: str, sample: ""}
said:
  description: Last lines of what it said when it did not work, with secrets masked.
  returned: success
  type: list
  elements: str
  sample: ["OSError: [Errno 97] Address family not supported by protocol"]
runs: {description: How often it ran., returned: success, type: int, sample: 3}
table:
  description: The same for a person, ending in what to paste into an inventory.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.errors import ContainerlessError
from ..module_utils._core.names import Layout
from ..module_utils._release import learn
from ..module_utils._release.systemd import Systemd
from ..module_utils._sandbox import table


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "process": {"type": "str", "default": "web"},
            "command": {"type": "str", "default": ""},
            "paths": {"type": "list", "elements": "str", "default": []},
            "seconds": {"type": "int", "default": 20},
            "release": {"type": "str", "default": ""},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
        },
    )
    given = module.params
    try:
        layout = Layout(given["name"])
        asked = learn.asked(given["process"], given["command"], given["paths"], given["seconds"], given["release"])
        found = learn.run(layout, Systemd(layout), asked, given["secrets"])
        module.exit_json(changed=False, table=table.learned(found), **found)
    except ContainerlessError as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{exc.strerror}: {exc.filename} (is become: true set?)", exception=exc)


if __name__ == "__main__":
    main()
