# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run would do, decided before anything is touched. Pure."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from .._core import canonical, schemas
from .._core.errors import ContainerlessError


@dataclass(frozen=True)
class Observed:
    """What the host has: `live` is the active release, `running` whether all of it is up behind web.sock.

    `good`: it was confirmed; one that a migration left no way back from may be live and not good. `same_tree`: it runs
    the variant that this host would be given now, which an upgrade of the host may change.
    """

    live: str | None
    running: bool
    good: bool
    same_tree: bool
    has_tree: bool
    stale_secrets: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """`action` is none, release (another release goes live) or activate (the same release is started again).

    `steps` are those of the journal that do something, as far as that can be told before a database is asked.
    """

    action: str
    reason: str
    unpack: bool
    steps: tuple[str, ...] = ()

    @property
    def is_noop(self) -> bool:
        return self.action == "none"


def plan(observed: Observed, release: str) -> Plan:
    """Return what it takes to have `release` live with the secrets at hand."""
    if observed.live is None:
        return _planned("release", "first release on this host", observed)
    if observed.live != release:
        return _planned("release", f"{observed.live} is live", observed)
    again = (
        (not observed.same_tree, "this host takes another variant now"),
        (bool(observed.stale_secrets), f"changed secrets: {', '.join(observed.stale_secrets)}"),
        (not observed.good, "the release is live but was never confirmed"),
        (not observed.running, "the release is active but not all of it is running"),
    )
    for holds, reason in again:
        if holds:
            return _planned("activate", reason, observed)
    return Plan("none", "already live", not observed.has_tree)


def _planned(action: str, reason: str, observed: Observed) -> Plan:
    idle = ({"unpack"} if observed.has_tree else set()) | ({"hold", "drain"} if observed.live is None else {"hold"})
    return Plan(action, reason, not observed.has_tree, tuple(step for step in schemas.STEPS if step not in idle))


def refuse_older(live: dict[str, t.Any], wanted: dict[str, t.Any]) -> None:
    """Raise when the commit of the wanted manifest is older than that of the live one: it may be a replay."""
    times = [manifest["source_date_epoch"] for manifest in (live, wanted)]
    if times[1] < times[0]:
        was, is_ = (time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds)) for seconds in times)
        raise ContainerlessError(
            f"{wanted['version']} is of {is_}, older than {live['version']} of {was}, which is live; go back with the"
            " rollback playbook, or set app_release_allow_older: true"
        )


def _lines(document: dict[str, t.Any] | None, manifest: dict[str, t.Any] | None, units: dict[str, str]) -> str:
    if document is None or manifest is None:
        return ""
    config = document["config"]
    out = [f"version: {document['version']}", f"commit: {manifest['source']['commit']}"]
    out += [f"env: {key}" for key in sorted(config.get("env", {}))]
    out += [f"secret: {key}" for key in config.get("secrets", [])]
    out += [f"distribution: {d['name']} {d['version']}" for d in manifest["distributions"]]
    for item in (manifest["django"] or {}).get("migrations", []):
        out.append(f"migration: {item['app']}.{item['name']} ({item['class']})")
    # What differs in any case stands above; in each unit again it would hide what matters.
    content_id, version = canonical.digest(manifest), document["version"]
    for name, text in sorted(units.items()):
        lines = text.replace(content_id, "CONTENT_ID").replace(version, "VERSION").splitlines()
        # Values of Environment= are config that may be private; their names stand above.
        out += [f"{name}: {line}" for line in lines if line and not line.startswith(("#", "Environment="))]
    return "\n".join(out) + "\n"


def diff(
    before: tuple[dict[str, t.Any] | None, dict[str, t.Any] | None, dict[str, str]],
    after: tuple[dict[str, t.Any] | None, dict[str, t.Any] | None, dict[str, str]],
) -> dict[str, str]:
    """Return Ansible's before/after pair: version, distributions, migrations, env keys, units; no values."""
    return {
        "before_header": "live release",
        "after_header": "wanted release",
        "before": _lines(*before),
        "after": _lines(*after),
    }
