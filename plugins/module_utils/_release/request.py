# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The request of the release module, taken apart, and its answer put together. Pure but for the engine it calls."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import asdict, fields

from .._core.errors import ContainerlessError
from .._core.names import PREFIX, Layout
from . import files, hostinfo, leftovers, plan, removal, tool
from .desired import Desired, Outcome, Policy
from .engine import Engine
from .evidence import ReleaseFailed
from .state import State
from .systemd import Systemd

_POLICY = tuple(item.name for item in fields(Policy) if item.name != "secrets")


def act(params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Do what `state` says and return the module's answer. Raises ContainerlessError, ReleaseFailed after a start."""
    return _ACTS[params["state"]](params, check)


def answer(params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Return what the module returns: the answer of `act`, or why it failed."""
    return _told(lambda: act(params, check))


def look(layout: Layout, systemd: Systemd) -> dict[str, t.Any]:
    """Return what the host says of itself and the app, or why it can't be read."""
    return _told(lambda: hostinfo.facts(layout, systemd))


def _told(ask: t.Callable[[], dict[str, t.Any]]) -> dict[str, t.Any]:
    try:
        return ask()
    except ReleaseFailed as exc:
        return {"failed": True, "msg": str(exc), "evidence": exc.evidence}
    except ContainerlessError as exc:
        return {"failed": True, "msg": str(exc)}
    except OSError as exc:
        hint = " (is become: true set?)" if isinstance(exc, PermissionError) else ""
        return {"failed": True, "msg": f"{exc.strerror}: {exc.filename}{hint}"}


def _engine(layout: Layout, params: dict[str, t.Any]) -> Engine:
    policy = Policy(secrets=params["secrets_from"], **{name: params[name] for name in _POLICY})
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


def _staged(params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Put the wanted release on the disk and judge it, or say in check mode what a release would take."""
    layout, desired = Layout(params["name"]), _desired(params)
    systemd = Systemd(layout)
    engine = _engine(layout, params)
    if check:
        engine.state = State.read(layout)
        planned = _planned(engine.state, systemd, desired)
        if planned["changed"]:
            engine.preflight(desired)
        return planned
    with _removed_at_last(params["artifact"]), contextlib.ExitStack() as held:
        brought = bool(params["tool"]) and tool.install(layout, params["tool"]["digest"], params["tool"]["packed"])
        held.enter_context(engine.locked())
        result = _planned(engine.state, systemd, desired)
        if result["changed"]:
            return {**result, **_answer(engine, engine.stage(desired)), "staged": True}
        engine.state.write_host_options(keep=engine.policy.keep, timers=engine.policy.timers)
        engine.activations.follow(engine.state, engine.state.active)
        return {**result, "changed": brought or bool(engine.outcome.recovered), "recovered": engine.outcome.recovered}


@contextlib.contextmanager
def _removed_at_last(artifact: str) -> t.Iterator[None]:
    """Take away the artifact that was sent, whatever becomes of it: it was sent for this call."""
    if not os.path.basename(artifact).startswith(f"{PREFIX}-"):
        yield
        return
    with leftovers.claimed(artifact):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(artifact)


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


def _continued(params: dict[str, t.Any], _check: bool) -> dict[str, t.Any]:
    """Take the next step of what this run staged here."""
    engine = _engine(Layout(params["name"]), params)
    with engine.locked():
        return _answer(engine, getattr(engine, _VERBS[params["state"]])())


def _reverted(params: dict[str, t.Any], _check: bool) -> dict[str, t.Any]:
    engine = _engine(Layout(params["name"]), params)
    with engine.locked():
        return _answer(engine, engine.revert(params["reason"]))


def _rolled_back(params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Go back, or say in check mode where to. Idempotent only with an explicit target."""
    layout = Layout(params["name"])
    state = State.read(layout)
    if params["to"] and state.active and state.active.release == params["to"] and state.journal is None:
        return {"changed": False, "release": params["to"], "activation": state.active.activation, "steps": []}
    engine = _engine(layout, params)
    if check or state.active is None:
        engine.state = state
        return {"changed": True, "release": engine.rollback_target(params["to"]).release}
    # Whoever goes back does not wait for somebody's confirmation.
    with engine.locked(take_over=True):
        return _answer(engine, engine.rollback(params["to"]))


def _pruned(params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Remove the releases beyond what is kept; check mode says which."""
    engine = _engine(Layout(params["name"]), params)
    if check:
        engine.state = State.read(engine.layout)
        gone = engine.prunable()
        return {"changed": bool(gone), "pruned": gone}
    with engine.locked():
        engine.state.write_host_options(keep=engine.policy.keep)
        gone = engine.prune()
    return {"changed": bool(gone), "pruned": gone}


def _absent(params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Take the app off the host."""
    layout, data = Layout(params["name"]), params["remove_data"]
    systemd = Systemd(layout)
    there = removal.is_there(layout, systemd, data=data)
    if there and not check:
        with files.lock(layout.lock, f"run {params['run']} of {params['who']}", float(params["lock_wait"])):
            removal.remove(layout, systemd, data=data)
    return {"changed": there}


def _answer(engine: Engine, outcome: Outcome) -> dict[str, t.Any]:
    answer = asdict(outcome)
    answer["notes"] = answer.pop("warnings")  # Ansible has a meaning of its own for the other name
    return {**answer, "run": engine.run}


_VERBS = {"held": "hold", "activated": "activate", "confirmed": "confirm", "renewed": "renew"}
_ACTS: dict[str, t.Callable[[dict[str, t.Any], bool], dict[str, t.Any]]] = {
    "staged": _staged,
    **dict.fromkeys(_VERBS, _continued),
    "reverted": _reverted,
    "rolled_back": _rolled_back,
    "pruned": _pruned,
    "absent": _absent,
}
STATES = list(_ACTS)
