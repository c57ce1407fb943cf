#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Throwaway machines."""

from __future__ import annotations

DOCUMENTATION = r"""
module: machine
short_description: Create and destroy throwaway machines
version_added: 0.1.0
description:
  - Creates a machine that answers over SSH within a second (systemd-nspawn) or half a minute (QEMU without KVM), and
    removes it without a trace.
  - Images are built once with mmdebstrap from the host's own apt configuration and kept in a cache; a machine is a
    copy-on-write layer on an image.
  - Machines have no way out to the network.
  - Runs on the host that shall carry the machines, usually C(localhost).
author: containerless.django contributors
requirements:
  - mmdebstrap and OpenSSH's client
  - for V(nspawn) root, systemd-container and iproute2
  - for V(qemu) qemu-system-x86, qemu-utils and e2fsprogs; without root also uidmap
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the host.
    support: full
  diff_mode:
    description: Will return details on what has changed when in diff mode.
    support: none
  platform:
    description: Where it runs.
    platforms: posix
    support: full
options:
  name:
    description:
      - Name of the machine, also its host name. At most 31 lower-case letters, digits and dashes.
      - V(*) with O(state=absent) removes all machines of the project.
    type: str
    required: true
  state:
    description:
      - V(present) makes sure that the machine exists, runs and answers. A machine that was ended starts again from its
        own disk with its own addresses; one whose creation was interrupted is made anew.
      - V(absent) removes it whatever its condition.
    type: str
    choices: [present, absent]
    default: present
  image:
    description: What runs in the machine; V(debian14) is Debian's testing.
    type: str
    choices: [debian12, debian13, debian14]
    default: debian12
  packages:
    description:
      - Further Debian packages in the machine, such as V([gcc, python3-dev]).
      - Each set of them is an image of its own, built once.
    type: list
    elements: str
    default: []
  backend:
    description:
      - V(auto) takes QEMU if KVM really boots a guest here, else nspawn if we are root, else QEMU in emulation.
      - An V(nspawn) machine shares the host's kernel and clock.
    type: str
    choices: [auto, nspawn, qemu]
    default: auto
  owner:
    description: Folder that the machines belong to, usually a checkout; the default of O(project) is derived from it.
    type: path
  project:
    description:
      - Namespace of the machine's name, so that several checkouts never meet.
      - When neither this nor O(owner) is given, the current folder is the owner.
    type: str
  cache_dir:
    description: Where images and machines are kept, by default C($XDG_CACHE_HOME/containerless/machines).
    type: path
  memory:
    description: Memory of a QEMU machine in MiB.
    type: int
    default: 1536
  cpus:
    description: Processors of a QEMU machine.
    type: int
    default: 2
  timeout:
    description: How many seconds the machine may take until it answers; building an image is not counted.
    type: int
    default: 300
  guarded:
    description:
      - With O(state=present), remove the machine when the playbook that made it has ended and left it, also because it
        was interrupted or killed.
    type: bool
    default: false
  guarded_by:
    description: Set by the action plugin - number of the process whose end is meant. Without effect for 0.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Create a machine
  containerless.django.machine:
    name: web
    image: debian13
    owner: "{{ playbook_dir }}"
  become: true
  register: web

- name: Remove all machines of this checkout
  containerless.django.machine:
    name: "*"
    owner: "{{ playbook_dir }}"
    state: absent
  become: true
"""

RETURN = r"""
name: {description: Name of the machine., returned: present, type: str, sample: web}
project: {description: Its namespace., returned: always, type: str, sample: 3f1c2ab94d}
image: {description: What runs in it., returned: present, type: str, sample: debian13}
backend: {description: What it runs on., returned: present, type: str, sample: nspawn}
host: {description: Address of its SSH server., returned: present, type: str, sample: 198.18.7.6}
port: {description: Port of its SSH server., returned: present, type: int, sample: 22}
user: {description: "User who may log in and use sudo without a password.", returned: present, type: str, sample: ops}
http: {description: "Where the machine's port 80 is reached from this host.", returned: present, type: str, sample: "http://198.18.7.6"}
private_key: {description: Key of that user., returned: present, type: str}
known_hosts: {description: "File with the machine's host key.", returned: present, type: str}
work_dir: {description: "Folder of the machine, gone with it.", returned: present, type: str}
console: {description: "What the machine said while it booted.", returned: present, type: str}
progress: {description: "What the builder of its image says while it works.", returned: present, type: str}
ssh: {description: Command line that logs in., returned: present, type: str}
hostvars: {description: Variables by which Ansible reaches the machine., returned: present, type: dict}
pid: {description: "First process of the machine on this host.", returned: present, type: int}
system_state:
  description: What C(systemctl is-system-running) said; empty in check mode.
  returned: present
  type: str
  sample: running
removed: {description: Names of the machines that were removed., returned: absent, type: list, elements: str}
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._machine import request
from ..module_utils._machine.errors import MachineError
from ..module_utils._machine.recipes import RECIPES

SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "image": {"type": "str", "choices": sorted(RECIPES), "default": "debian12"},
    "packages": {"type": "list", "elements": "str", "default": []},
    "backend": {"type": "str", "choices": ["auto", "nspawn", "qemu"], "default": "auto"},
    "owner": {"type": "path"},
    "project": {"type": "str"},
    "cache_dir": {"type": "path"},
    "memory": {"type": "int", "default": 1536},
    "cpus": {"type": "int", "default": 2},
    "timeout": {"type": "int", "default": 300},
    "guarded": {"type": "bool", "default": False},
    "guarded_by": {"type": "int", "default": 0},
}


def main() -> NoReturn:
    """Do what state says."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        module.exit_json(**request.run(module.params, module.check_mode))
    except MachineError as error:
        module.fail_json(msg=str(error))
    except PermissionError as error:
        module.fail_json(msg=f"cache_dir: no permission for {error.filename}; use become, or another cache_dir.")


if __name__ == "__main__":
    main()
