# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documented in plugins/modules/machine.py; only here it is known which process runs the playbook."""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Runs the module, and tells it whose end is the machine's end."""

    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        # A task runs in a process of its own, whose parent is the playbook.
        guarded = boolean(args.get("guarded", False), strict=False)
        args["guarded_by"] = os.getppid() if guarded else 0
        found = self._execute_module(module_name="containerless.django.machine", module_args=args, task_vars=task_vars)
        return dict(found)
