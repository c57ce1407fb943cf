# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the actions about a store share: arguments without Ansible's tags, and errors as results."""

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils._core.errors import ContainerlessError
from ._repository import Repository
from ._store import Missing, open_store

Args = dict[str, t.Any]
Result = dict[str, t.Any]


class StoreAction(ActionBase):
    """An action that runs on the control node alone; `act` does it, given checked arguments."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {}
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> Result:
        result = super().run(tmp, task_vars)
        _, checked = self.validate_argument_spec(argument_spec=self.SPEC)
        # Through JSON: what goes into a store are plain strings. A date of YAML is the text that it was.
        args = json.loads(json.dumps(checked, default=str))
        try:
            return {**result, **self.act(args)}
        except ContainerlessError as exc:
            raise AnsibleActionFail(str(exc)) from None

    def act(self, args: Args) -> Result:
        """Return the result of the task."""
        raise NotImplementedError

    @property
    def check_mode(self) -> bool:
        """Whether nothing may be changed."""
        return bool(self._task.check_mode)


def repository(args: Args, url: str = "store", *, option: str, missing: Missing = Missing.REFUSE) -> Repository:
    """Return the project's part of the store that an argument names."""
    return Repository(open_store(args[url], option=option, missing=missing), args["project"])
