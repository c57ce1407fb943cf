#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_checks
short_description: Check the release of an app that is live on a throwaway machine
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Checks the active release of an app, in the very sandbox of its processes. All checks run, whatever became of
    others.
  - A check that does not pass is a result, not an error of the module. What it found stands in C(checks).
  - Needs root. Meant for a machine that is thrown away, because the attempts to leave the sandbox are made outside of
    it as well, to know that they would be noticed.
attributes:
  check_mode:
    description: Checks nothing.
    support: full
options:
  name:
    description: Name of the app, a lower-case letter followed by at most 23 of a-z, 0-9 and _.
    type: str
    required: true
  phase:
    description:
      - V(checks) makes the checks.
      - V(begin) puts data into the database, rows into every table among it, and starts a client that asks for the page
        of the health check all the time. V(end) ends it and judges its answers.
    type: str
    choices: [checks, begin, end]
    default: checks
  level:
    description: With O(phase=checks), V(full) makes all attempts to leave the sandbox, and V(default) a few.
    type: str
    choices: [default, full]
    default: default
  only:
    description: With O(phase=checks), names of checks that are made. All of them when empty.
    type: list
    elements: str
    default: []
  data:
    description: With O(phase=begin), commands that put data into the database, by the rules of O(smoke).
    type: list
    elements: str
    default: []
  smoke:
    description: Commands of the project, by the rules of a process that is not C(web). Each must end with exit code 0.
    type: list
    elements: str
    default: []
  paths:
    description:
      - Paths of pages, such as V(/shop/). Each must answer with a status below 400, or with 401 or 403.
      - The front page and the page of the health check are asked for anyway. They may be missing, but not broken.
    type: list
    elements: str
    default: []
  tests:
    description: >-
      Command that runs the project's own tests, by the rules of O(smoke), with O(overlay) laid over the release. Empty
      for none.
    type: str
    default: ""
  tests_timeout:
    description: Seconds that O(tests) may take.
    type: int
    default: 600
  overlay:
    description: File on the host that M(containerless.django.test_overlay) made for the artifact that is live.
    type: path
  overlay_sha256:
    description: Its SHA-256, in hex. A file that has another one is not used.
    type: str
    default: ""
  fail_level:
    description: Level of C(manage.py check --deploy) from which on a message is a failure.
    type: str
    choices: [WARNING, ERROR, CRITICAL]
    default: ERROR
  settle:
    description: Seconds that each process must stay up without a restart.
    type: int
    default: 10
  timeout:
    description: Seconds that one command may take.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Check what was released
  containerless.django.release_checks:
    name: shop
    smoke: [python manage.py restock --dry-run]
    paths: [/shop/]
  become: true
  register: checked
"""

RETURN = r"""
checks:
  description: What was checked, in that order. C(log) holds the last lines that a command printed.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: check --deploy, passed: true, seconds: 0.81, detail: nothing of level ERROR or above, log: ""}
config:
  description: The configuration of the release in its normal form. Secrets are named, without their values.
  returned: success
  type: dict
exposure:
  description: Of each process the figure of C(systemd-analyze security), and what costs most of it.
  returned: success
  type: dict
  sample: {web: {exposure: 0.2, worst: "RootDirectory= 0.1"}}
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.errors import ContainerlessError
from ..module_utils._core.names import Layout
from ..module_utils._release.activations import Activations
from ..module_utils._release.systemd import Systemd
from ..module_utils._test import checks, trial
from ..module_utils._test.commands import Sandbox

SPEC = {
    "name": {"type": "str", "required": True},
    "phase": {"type": "str", "choices": ["checks", "begin", "end"], "default": "checks"},
    "level": {"type": "str", "choices": ["default", "full"], "default": "default"},
    "only": {"type": "list", "elements": "str", "default": []},
    "data": {"type": "list", "elements": "str", "default": []},
    "smoke": {"type": "list", "elements": "str", "default": []},
    "paths": {"type": "list", "elements": "str", "default": []},
    "tests": {"type": "str", "default": ""},
    "tests_timeout": {"type": "int", "default": 600},
    "overlay": {"type": "path"},
    "overlay_sha256": {"type": "str", "default": ""},
    "fail_level": {"type": "str", "choices": list(checks.LEVELS), "default": "ERROR"},
    "settle": {"type": "int", "default": 10},
    "timeout": {"type": "int", "default": 120},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    given = module.params
    if module.check_mode:
        module.exit_json(changed=False, checks=[], config={}, exposure={})
    try:
        layout = Layout(given["name"])
        activations = Activations(layout, Systemd(layout))
        sandbox = Sandbox.of(layout, given["timeout"])
        found = checks.Checks(sandbox, activations, checks.Wanted.of(given))
        if given["phase"] == "begin":
            steps = trial.begin(sandbox, activations, given["data"])
        elif given["phase"] == "end":
            steps = trial.end(layout)
        else:
            steps = found.chosen(given["only"])
        made = checks.make(steps, activations.secrets(sandbox.active).values())
        measured = {name: {"exposure": m.tenths / 10, "worst": m.worst()} for name, m in found.exposures().items()}
    except ContainerlessError as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{exc.strerror}: {exc.filename} (is become: true set?)", exception=exc)
    module.exit_json(
        changed=False, checks=[asdict(check) for check in made], config=sandbox.stored.config, exposure=measured
    )


if __name__ == "__main__":
    main()
