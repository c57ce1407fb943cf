#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_on_host
short_description: The part of a build that runs on the build host
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - Called by the action plugin of M(containerless.django.artifact), never by a playbook.
  - A build that is started as root goes on as nobody, with all that it runs (tar, uv, compileall, the app's settings).
attributes:
  check_mode:
    description: The action does not come here in check mode.
    support: none
options:
  bundle:
    description: Path of the tar with all inputs.
    type: path
    required: true
  out:
    description:
      - Folder for C(blob.<encoding>), the compressed artifact, and for C(progress), a line with the step under way.
    type: path
    required: true
  folder:
    description: Folder for the build's own folder. When empty, memory if it has room, else V(/var/tmp).
    type: str
    default: ""
  python:
    description: Interpreter to build with.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Build what a bundle holds
  containerless.django.artifact_on_host:
    bundle: /tmp/bundle.tar
    out: /tmp
    python: /usr/bin/python3
"""

RETURN = r"""
manifest:
  description: Canonical manifest.
  returned: success
  type: str
provenance:
  description: Canonical provenance.
  returned: success
  type: str
sbom:
  description: Canonical list of what is in the artifact, CycloneDX.
  returned: success
  type: str
seconds:
  description: Duration of each step.
  returned: success
  type: dict
faults:
  description: What is worth a word but no reason to stop.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._artifact.build import build
from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError

SPEC: dict[str, dict[str, t.Any]] = {
    "folder": {"type": "str", "default": ""},
    **{name: {"type": "path", "required": True} for name in ("bundle", "out", "python")},
}


def main() -> None:
    """Build, and hand the documents over as text: their bytes are their identity."""
    module = AnsibleModule(argument_spec=SPEC)
    try:
        built = build(**module.params)
    except (ContainerlessError, OSError) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(
        changed=True,
        manifest=canonical.dumps(built.manifest).decode(),
        provenance=canonical.dumps(built.provenance).decode(),
        sbom=canonical.dumps(built.sbom).decode(),
        seconds=built.seconds,
        faults=built.warnings,
    )


if __name__ == "__main__":
    main()
