#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation only: the action plugin of this name does the work, on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: test_report
short_description: Report what a test of an artifact found
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Puts together the steps of a release and the checks that were made of it, and writes them down as JUnit XML and
    as one HTML file that needs no other one.
  - Writes a report of a failed test too. What was not run is skipped there.
  - Runs on the control node. Credentials of a cloud store come from its environment.
requirements:
  - obstore 0.12 on the control node
attributes:
  check_mode:
    description: Writes nothing.
    support: full
  diff_mode:
    description: Shows nothing.
    support: none
extends_documentation_fragment:
  - containerless.django.tested
options:
  level:
    description: How thoroughly it was tested.
    type: str
    choices: [default, full]
    default: default
  dest:
    description: Folder on the control node for the reports, made if it is not there.
    type: path
    required: true
  template:
    description: Template of the HTML file.
    type: path
    required: true
  stages:
    description:
      - What was done, in that order. Of each stage its C(name), C(steps) (name and seconds of each step of a release),
        C(checks) (what M(containerless.django.release_checks) returned) and C(failure) (result of the task that failed,
        with its C(action)). C(title) says what failed of a stage without a name.
    type: list
    elements: dict
    required: true
  exposure:
    description: What M(containerless.django.release_checks) returned.
    type: dict
    default: {}
  machine:
    description: What is known of the machine, by name.
    type: dict
    default: {}
  previous_store:
    description: URL of the store with the artifact that this one is compared with. Empty for none.
    type: str
    default: ""
  previous_channel:
    description: Channel of that store that names it.
    type: str
    default: production
"""

EXAMPLES = r"""
- name: Report what was checked
  containerless.django.test_report:
    project: shop
    store: file:///home/ops/.cache/containerless/shop/store
    content_id: 6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f
    dest: /home/ops/reports
    template: report.html.j2
    stages:
      - {name: "", checks: "{{ checked.checks }}"}
"""

RETURN = r"""
passed:
  description: Whether all of it passed, and nothing was left out.
  returned: success
  type: bool
checks:
  description: Steps and checks as a test record has them.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: "release: health", passed: true, detail: done}
junit:
  description: Path of the JUnit XML.
  returned: success
  type: str
  sample: /home/ops/reports/shop-1.0.0-6f0c9a1e2d3b-default.xml
html:
  description: Path of the HTML file.
  returned: success
  type: str
  sample: /home/ops/reports/shop-1.0.0-6f0c9a1e2d3b-default.html
"""
