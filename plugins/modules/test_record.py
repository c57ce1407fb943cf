#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation only: the action plugin of this name does the work, on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: test_record
short_description: Record that an artifact passed its checks
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Writes a test record beside an artifact in a store. It is about one artifact, one level and one class of
    configurations, and it expires.
  - One that is still good and says the same stays as it is. Otherwise it is replaced. So is one that O(signing_key) has
    not signed, whatever it says.
  - There is no record of a failure - an artifact without a record is one that was not tested, or did not pass.
  - Runs on the control node. Credentials of a cloud store come from its environment.
requirements:
  - obstore 0.12 on the control node
attributes:
  check_mode:
    description: Says whether a record would be written.
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
  checks:
    description: What was checked. A check that did not pass is an error, and nothing is written.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the check.
        type: str
        required: true
      passed:
        description: Whether it passed.
        type: bool
        required: true
      detail:
        description: What was seen, in a few words. It must be the same for the same outcome.
        type: str
        default: ""
  machine:
    description: The throwaway machine that it was tested on.
    type: dict
    required: true
    suboptions:
      image:
        description: What ran in it, such as V(debian12).
        type: str
        required: true
      systemd:
        description: Version of its systemd, such as V(252).
        type: int
        required: true
      python:
        description: Version of the Python that ran the app, such as V("3.11").
        type: str
        required: true
      backend:
        description: What carried it, such as V(nspawn), or V(host) for one that was given.
        type: str
        required: true
  config:
    description:
      - Configuration of the release that was tested, as M(containerless.django.release_checks) returns it.
      - Of it counts what may be missing or closed elsewhere - names of variables and secrets, how secrets are given,
        the settings module, the sandbox without its limits, and processes that do not run.
    type: dict
    required: true
  overlay:
    description: SHA-256 of the test overlay with which the project's own tests ran, in hex. Empty when they did not.
    type: str
    default: ""
  reports:
    description: Files on the control node that are put beside the record, C(.html) and C(.xml).
    type: list
    elements: path
    default: []
  valid_for:
    description: Days after which the record is refused.
    type: int
    default: 90
  signing_key:
    description:
      - Key of OpenSSH that signs the record - the path of a private one, or of a public one whose private half an agent
        holds.
      - A record that is there without a signature by this key is replaced by this one. Empty for none.
    type: path
    default: ""
  earlier:
    description:
      - Whether these are the checks of an earlier test, out of a record that M(containerless.django.test_record_info)
        returned. One that is there and says the same is signed then as it stands, with its own expiry.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Record that the artifact became healthy
  containerless.django.test_record:
    project: shop
    store: file:///home/ops/.cache/containerless/shop/store
    content_id: 6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f6f0c9a1e2d3b4c5f
    checks:
      - {name: healthy, passed: true, detail: released and answered}
    machine: {image: debian12, systemd: 252, python: "3.11", backend: nspawn}
    config: "{{ checked.config }}"
"""

RETURN = r"""
record:
  description: The record as it stands in the store.
  returned: success
  type: dict
"""
