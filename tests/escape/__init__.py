# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempts to leave the sandbox of a released app, made in the app's own unit, each with a control outside.

    with Rig("mine") as rig:
        rig.publish("v1").release("v1").check()
        suite = Suite(rig.hosts[0])
        suite.inside()                       # {attempt: "allowed" or what refused it}
        suite.outside("cl-rig"), suite.outside("root")
        suite.census()                       # system calls and socket families that get through

The attempts themselves are those that level `full` of a test makes: plugins/module_utils/_test/probes/escapes.py, with
what belongs to others beside them. _test/escape.py knows which of them a profile lets through.
"""

from __future__ import annotations

from .suite import Suite, escaped, make, remove, void

__all__ = ["Suite", "escaped", "make", "remove", "void"]
