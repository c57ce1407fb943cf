# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The transaction: a release, a rollback, a recovery and a boot are the same steps over the same journal.

Order, commit point and recovery are those of docs/decisions/0003.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import typing as t
from dataclasses import replace

from .._core.errors import ContainerlessError
from .._core.names import Layout
from . import database, files, health, journal, ledger, plan, staging
from .activations import Activations
from .desired import Desired, Outcome, Policy
from .evidence import ReleaseFailed, mask
from .journal import Journal, Ref
from .state import State, Stored
from .systemd import Systemd


class Engine:
    """One run of one app on this host. Use inside `with engine.locked():`."""

    def __init__(self, layout: Layout, systemd: Systemd, *, run: str, who: str, why: str, policy: Policy) -> None:
        self.layout = layout
        self.systemd = systemd
        self.run = run
        self.who = who
        self.why = why
        self.policy = policy
        self.state = State(layout)
        self.activations = Activations(layout, systemd)
        self.outcome = Outcome()
        self._secrets: dict[str, str] = {}

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """Hold the app's lock, read its state and do what an interrupted run left to do."""
        owner = f"run {self.run} of {self.who} since {_utc()}"
        with files.lock(self.layout.lock, owner, self.policy.lock_wait):
            try:
                self.state = State.read(self.layout)
                self.outcome.recovered = self._recover()
                yield
            finally:
                self._leave_no_empty_folder()

    # The ways in.

    def release(self, desired: Desired) -> Outcome:
        """Make a release live. Raises ContainerlessError before, ReleaseFailed after something was begun."""
        self._secrets = desired.secrets
        with self._timed("preflight"):
            self.preflight(desired)
        target = Ref(ledger.next_activation(self.state.entries), desired.release_id, desired.content_id)
        with self._transaction("release", target):
            with self._step("unpack"):
                staging.unpack_tree(self.layout, desired)
            with self._step("stage"):
                staging.stage(self.layout, self.systemd, desired)
                self._log("staged", target)
            stored = self._stored(target)
            with self._step("verify"):
                self.activations.instantiate(self.state, stored, target, desired.secrets)
                self.outcome.exposure = self.activations.verify(stored, target)
            with self._step("migrate"):
                self._migrate(stored, target)
            with self._step("start"):
                self.activations.start(stored, target, workers=True)
            self._go_live(stored, target)
        return self._done(target)

    def preflight(self, desired: Desired) -> None:
        """Raise when this host can't take a release, or may not. Writes nothing."""
        live = self.state.stored(self.state.active.release) if self.state.active else None
        if live is not None and not self.policy.allow_older:
            plan.refuse_older(live.manifest, desired.manifest)
        staging.preflight(self.layout, desired, self.state.secrets())

    def rollback(self, to: str) -> Outcome:
        """Go back to a release of this host (`to`, or the last good one before the active one). No network."""
        entry = self.rollback_target(to)
        target = Ref(ledger.next_activation(self.state.entries), entry.release, entry.content_id)
        with self._transaction("rollback", target):
            stored = self._stored(target)
            with self._step("stage"):
                self._log("staged", target)
                staging.publish_static(self.layout, target.content_id)
                self.activations.instantiate(self.state, stored, target)
            with self._step("start"):
                # The applied migrations are read while the old code starts; its workers wait for the answer.
                self.activations.start(stored, target, workers=False)
                comparison = self.activations.compare(stored, target)
                if comparison:
                    database.refuse_newer(comparison, self.policy.accept_newer_schema)
                self.activations.start(stored, target, workers=True)
            self._go_live(stored, target)
        return self._done(target)

    def boot(self) -> str | None:
        """Bring back the active release after a boot; returns its id. Never waits for the app itself."""
        active = self.state.active
        if active is None:
            return None
        stored = self._stored(active)
        self.activations.instantiate(self.state, stored, active)
        self.activations.start(stored, active, workers=True)
        self.activations.publish(active)
        return active.release

    def rollback_target(self, to: str) -> ledger.Entry:
        """Return the ledger line to go back to. Raises when there is none, or `to` was never good here."""
        origin = self.state.active
        if origin is None:
            raise ContainerlessError(
                f"{self.layout.app} has no active release on this host, so there is nothing to go back from"
            )
        if not to:
            found = ledger.rollback_target(self.state.entries, origin.activation)
            if found is None:
                raise ContainerlessError(f"there is no good release before {origin.release} on this host to go back to")
            return found
        goods = [entry for entry in self.state.entries if entry.release == to and entry.state == "good"]
        if not goods:
            known = ", ".join(sorted({entry.release for entry in self.state.entries if entry.state == "good"}))
            raise ContainerlessError(f"{to} was never good on this host; app_release_rollback_to takes one of {known}")
        if to == origin.release:
            raise ContainerlessError(f"{to} is live already")
        return goods[-1]

    # Steps.

    def _migrate(self, stored: Stored, target: Ref) -> None:
        comparison = self.activations.compare(stored, target)
        if comparison is None:
            return
        database.refuse_risky(comparison, self.policy.accept_migrations)
        if comparison.pending:
            self.activations.migrate(target)
            self.outcome.migrated = [database.label(key) for key in comparison.pending]

    def _go_live(self, stored: Stored, target: Ref) -> None:
        origin = self.state.active
        with self._step("health"):
            self.activations.healthy(stored, target)
        with self._step("commit"):
            self.state.write_active(target)
            self.activations.publish(target)
            self._log("active", target)
        with self._step("confirm"):
            self._log("good", target)
            # After it: until then a recovery goes back to what the old secrets belong to.
            self.state.write_secrets(self._secrets)
            if origin is not None and self._journal.kind == "rollback":
                self._log("rolled_back", origin)
        with self._step("drain"):
            if origin is not None:
                self.activations.drain(origin, self.policy.drain)
        with self._step("finish"):
            self.activations.forget_others(target)

    def _recover(self) -> str:
        """Do what an interrupted run left to do; returns undo, revert, finish or an empty string."""
        left = self.state.journal
        if left is None:
            return ""
        active = self.state.active
        action = journal.recovery(left, active.activation if active else None, self.state.is_good(left.target))
        reason = f"interrupted at step {left.step}; {action} by run {self.run}"
        if action == "undo":
            self._close("failed", left.target, reason)
        elif action == "revert":
            self._revert(left.origin, left.target, reason)
        else:
            self._finish(left, reason)
        self.activations.publish(self.state.active)
        self.activations.forget_others(self.state.active)
        self.state.clear_journal()
        return action

    def _finish(self, left: Journal, reason: str) -> None:
        """Do again what follows a commit that counts."""
        if not self.state.is_good(left.target):
            self._log("good", left.target, reason)
        self.state.write_secrets(self.activations.secrets(left.target))
        if left.kind == "rollback" and left.origin is not None:
            self._close("rolled_back", left.origin, reason)

    # The frame around the steps.

    @contextlib.contextmanager
    def _transaction(self, kind: str, target: Ref) -> t.Iterator[None]:
        files.directory(self.layout.var)
        origin = self.state.active
        self._journal = Journal(
            kind=kind, run=self.run, step="preflight", origin=origin, target=target, boot_id=_boot_id()
        )
        try:
            yield
        except Exception as exc:
            raise self._fail(exc, origin, target) from exc
        self.state.clear_journal()

    @contextlib.contextmanager
    def _step(self, name: str) -> t.Iterator[None]:
        self._journal = replace(self._journal, step=name)
        self.state.write_journal(self._journal)
        with self._timed(name):
            yield

    @contextlib.contextmanager
    def _timed(self, name: str) -> t.Iterator[None]:
        started = time.monotonic()
        yield
        self.outcome.steps.append((name, round(time.monotonic() - started, 3)))

    def _fail(self, exc: Exception, origin: Ref | None, target: Ref) -> ReleaseFailed:
        """Undo or go back, after the evidence was collected; return the error to raise."""
        secrets = [*self.state.secrets().values(), *self._secrets.values()]
        reason = str(mask(f"step {self._journal.step}: {exc}", secrets))
        evidence = self._evidence(exc, target, secrets)
        if self.state.is_good(target):
            # Confirmed: only clearing up failed, and the next run does that again.
            return ReleaseFailed(f"{target.release} is live, but clearing up failed at {reason}", evidence)
        if self.state.active == target:
            self._revert(origin, target, reason)
        else:
            # A refusal says nothing against the release.
            self._close("refused" if isinstance(exc, database.Refused) else "failed", target, reason)
        self.activations.publish(self.state.active)
        self.systemd.uninstall(target.activation)
        self.state.clear_journal()
        live = f"{self.state.active.release} stays live" if self.state.active else "nothing is live"
        return ReleaseFailed(f"{target.release} failed at {reason}; {live}", evidence)

    def _evidence(self, exc: Exception, target: Ref, secrets: list[str]) -> dict[str, t.Any]:
        found: dict[str, t.Any] = {"step": self._journal.step, "reason": str(exc)}
        if isinstance(exc, health.HealthError):
            found.update(status=exc.answer.status, body=exc.answer.body)
        try:
            found["journal"] = self.activations.journal(target)
        except Exception as missing:  # noqa: BLE001 - evidence that can't be had must not stop the undoing
            found["journal"] = {"evidence": f"not to be had: {missing}"}
        masked = t.cast("dict[str, t.Any]", mask(found, secrets))
        # Cut into lines last: a secret of several lines is looked for as a whole.
        return {**masked, "journal": {name: text.splitlines() for name, text in masked["journal"].items()}}

    def _revert(self, origin: Ref | None, target: Ref, reason: str) -> None:
        self.state.write_active(origin)
        self._close("rolled_back", target, reason)

    def _log(self, state: str, ref: Ref, reason: str = "") -> None:
        self.state.append(state, ref, run=self.run, who=self.who, why=reason[:500] or self.why, now=_utc())

    def _close(self, state: str, ref: Ref, reason: str) -> None:
        """Close an activation in the ledger, if the ledger knows it."""
        last = ledger.states(self.state.entries).get(ref.activation)
        if last is not None and last.state != state:
            self._log(state, ref, reason)

    def _leave_no_empty_folder(self) -> None:
        """A refusal on a host that never had the app leaves nothing behind."""
        with contextlib.suppress(FileNotFoundError):
            if os.listdir(self.layout.var) == [os.path.basename(self.layout.lock)]:
                shutil.rmtree(self.layout.var)

    def _stored(self, ref: Ref) -> Stored:
        stored = self.state.stored(ref.release)
        if stored is None or not os.path.isdir(self.layout.tree(ref.content_id)):
            raise ContainerlessError(f"{ref.release} is no longer on this host; release it again")
        return stored

    def _done(self, target: Ref) -> Outcome:
        origin = self._journal.origin
        self.outcome.changed = True
        self.outcome.release = target.release
        self.outcome.activation = target.activation
        self.outcome.previous = origin.release if origin else None
        self.outcome.ledger_head = ledger.head(self.state.entries)
        return self.outcome


def _utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _boot_id() -> str:
    """Return the kernel's id of this boot (random(4))."""
    return (files.read("/proc/sys/kernel/random/boot_id") or b"00000000-0000-0000-0000-000000000000").decode().strip()
