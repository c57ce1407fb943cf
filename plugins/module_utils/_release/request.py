# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The request of the release module, taken apart, and its answer put together. Pure but for the engine it calls."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from .._core.names import Layout
from . import files, hostinfo, plan, removal, tool
from .desired import Desired, Policy
from .engine import Engine
from .state import State
from .systemd import Systemd


def _engine(layout: Layout, params: dict[str, t.Any]) -> Engine:
    policy = Policy(
        drain=float(params["drain"]),
        lock_wait=float(params["lock_wait"]),
        accept_migrations=params["migrations"] == "accept",
        accept_newer_schema=params["accept_newer_schema"],
        allow_older=params["allow_older"],
    )
    return Engine(layout, Systemd(layout), run=params["run"], who=params["who"], why=params["reason"], policy=policy)


def _desired(params: dict[str, t.Any]) -> Desired:
    wanted = params["desired"]
    return Desired(
        release_id=wanted["release_id"],
        document=wanted["document"],
        manifest=wanted["manifest"],
        units=wanted["units"],
        boot_unit=wanted["boot_unit"],
        interpreter=wanted["interpreter"],
        secrets=params["secrets"],
        blob=params["artifact"],
        encoding=params["encoding"],
        signed_by=wanted["signed_by"],
    )


def present(params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Make the wanted release live, or say in check mode what that would take."""
    layout, desired = Layout(params["name"]), _desired(params)
    systemd = Systemd(layout)
    if check:
        state = State.read(layout)
        planned = _planned(state, systemd, desired)
        if planned["changed"]:
            engine = _engine(layout, params)
            engine.state = state
            engine.preflight(desired)
        return planned
    brought = bool(params["tool"]) and tool.install(layout, params["tool"]["digest"], params["tool"]["packed"])
    engine = _engine(layout, params)
    with engine.locked():
        result = _planned(engine.state, systemd, desired)
        if result["changed"]:
            return {**result, **asdict(engine.release(desired))}
        return {**result, "changed": brought or bool(engine.outcome.recovered), "recovered": engine.outcome.recovered}


def _planned(state: State, systemd: Systemd, desired: Desired) -> dict[str, t.Any]:
    decided = plan.plan(hostinfo.observe(state, systemd, desired.content_id, desired.secrets), desired.release_id)
    live = state.active
    return {
        "changed": not decided.is_noop,
        "plan": asdict(decided),
        "diff": _diff(state, desired),
        "release": desired.release_id,
        "signed_by": desired.signed_by,
        "activation": live.activation if live and decided.is_noop else None,
        "previous": None,
        "steps": [],
    }


def _diff(state: State, desired: Desired) -> dict[str, str]:
    live = state.stored(state.active.release) if state.active else None
    before: t.Any = (live.document, live.manifest, state.units(live.release_id)) if live else (None, None, {})
    return plan.diff(before, (desired.document, desired.manifest, desired.units))


def rolled_back(params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Go back, or say in check mode where to. Idempotent only with an explicit target."""
    layout = Layout(params["name"])
    state = State.read(layout)
    if params["to"] and state.active and state.active.release == params["to"] and state.journal is None:
        return {"changed": False, "release": params["to"], "activation": state.active.activation, "steps": []}
    engine = _engine(layout, params)
    if check or state.active is None:
        engine.state = state
        return {"changed": True, "release": engine.rollback_target(params["to"]).release}
    with engine.locked():
        return asdict(engine.rollback(params["to"]))


def absent(params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Take the app off the host."""
    layout, data = Layout(params["name"]), params["remove_data"]
    systemd = Systemd(layout)
    there = removal.is_there(layout, systemd, data=data)
    if there and not check:
        with files.lock(layout.lock, f"run {params['run']} of {params['who']}", float(params["lock_wait"])):
            removal.remove(layout, systemd, data=data)
    return {"changed": there}
