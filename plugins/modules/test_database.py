#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: test_database
short_description: Make an app's database for a test, empty
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Makes the role that PostgreSQL's peer authentication knows the app by, and its database, on a server of this host
    that runs. What an earlier test made is dropped first.
  - A role or a database of these names that no test has made is never touched. The module fails then, and changes
    nothing.
  - M(containerless.django.test_host) takes both away again.
  - Needs root.
attributes:
  check_mode:
    description: Does nothing then.
    support: none
options:
  name:
    description:
      - Name of the app, a lower-case letter followed by at most 23 of a-z, 0-9 and _. It is the database's name; the
        role is called C(cl-<name>).
    type: str
    required: true
  createdb:
    description: Whether the role may make databases, as the tests of a project do.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Make an empty database
  containerless.django.test_database:
    name: shop
  become: true
"""

RETURN = r"""
database:
  description: Name of the database.
  returned: success
  type: str
  sample: shop
role:
  description: Name of the role that owns it.
  returned: success
  type: str
  sample: cl-shop
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.errors import ContainerlessError
from ..module_utils._core.names import Layout
from ..module_utils._test import database

SPEC = {
    "name": {"type": "str", "required": True},
    "createdb": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC)
    try:
        layout = Layout(module.params["name"])
        database.make(layout.app, createdb=module.params["createdb"])
    except (ContainerlessError, database.DatabaseError) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=True, database=layout.app, role=layout.user)


if __name__ == "__main__":
    main()
