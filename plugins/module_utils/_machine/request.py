# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine module was asked for, and its answer."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from . import guard, lifecycle
from .names import check_name, check_project, project_of
from .paths import Cache, default_cache
from .recipes import recipe


def run(params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Do what `state` says. Raises MachineError."""
    cache = Cache(Path(params["cache_dir"] or default_cache(os.environ)))
    project = check_project(params["project"] or project_of(str(Path(params["owner"] or ".").resolve())))
    return (present if params["state"] == "present" else absent)(params, check, cache, project)


def present(params: dict[str, t.Any], check: bool, cache: Cache, project: str) -> dict[str, t.Any]:
    """Make sure that the machine is there."""
    wish = lifecycle.Wish(
        name=check_name(params["name"]),
        project=project,
        recipe=recipe(params["image"], params["packages"]),
        backend=params["backend"],
        memory=params["memory"],
        cpus=params["cpus"],
        timeout=params["timeout"],
    )
    if check:
        running = lifecycle.running(cache, wish)
        return {"changed": running is None, **(running.facts() if running else {"project": project})}
    if params["guarded_by"]:
        guard.begin(cache, project, wish.name, params["guarded_by"])
    machine, changed = lifecycle.present(cache, wish)
    return {"changed": changed, **machine.facts()}


def absent(params: dict[str, t.Any], check: bool, cache: Cache, project: str) -> dict[str, t.Any]:
    """Make sure that it is not there; `*` means all machines of the project."""
    everything = lifecycle.names(cache, project)
    wanted = everything if params["name"] == "*" else [check_name(params["name"])]
    if check:
        removed = [each for each in wanted if each in everything]
    else:
        removed = [each for each in wanted if lifecycle.absent(cache, project, each)]
    return {"changed": bool(removed), "removed": removed, "project": project}
