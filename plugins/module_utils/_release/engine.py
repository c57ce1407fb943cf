# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The transaction: a release, a rollback, a recovery and a boot are the same steps over the same journal.

Phases, order, commit point and recovery are those of docs/decisions/0003 and 0010.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import typing as t
from dataclasses import asdict, replace

from .._core.errors import ContainerlessError
from .._core.names import Layout
from . import (
    database,
    deadman,
    evidence,
    files,
    journal,
    lease,
    ledger,
    leftovers,
    plan,
    processes,
    retention,
    sealed,
    staging,
    static,
)
from .activations import Activations
from .desired import Desired, Outcome, Policy
from .evidence import ReleaseFailed
from .journal import Journal, Ref
from .recovery import Recovery
from .reverse import reverse
from .state import State, Stored
from .systemd import Systemd

#: Seconds until a switch that is there for the death of a process alone.
_AT_ONCE = 1


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
        self._lease = 0
        self._finished = ""

    @contextlib.contextmanager
    def locked(self, *, take_over: bool = False, beside: bool = False, of: str = "") -> t.Iterator[None]:
        """Hold the app's lock, read its state and do what another run left to do, once its lease is over.

        Waits for `lock_wait` seconds; with `take_over` not for a lease. `beside` leaves what is under way alone, and
        `of` what is under way but for that run. Raises ContainerlessError with who holds it.
        """
        deadline = time.monotonic() + self.policy.lock_wait
        owner = f"run {self.run} of {self.who} since {_utc()}"
        while True:
            with files.lock(self.layout.lock, owner, max(0.0, deadline - time.monotonic())):
                try:
                    self.state = State.read(self.layout)
                    aside = beside or bool(of and not self._is_under_way(of))
                    left = None if aside else self._waits_for()
                    if take_over or left is None:
                        self.outcome.recovered = "" if aside else self._recover()
                        yield
                        return
                finally:
                    self._leave_no_empty_folder()
            if time.monotonic() >= deadline:
                raise ContainerlessError(
                    f"run {left.run} of {left.who} has {left.target.release} under way (step {left.step}) for at most"
                    f" {lease.left(left.boot_id, left.deadline)} s more; wait for it or raise app_release_lock_wait"
                )
            time.sleep(min(0.5, max(0.0, deadline - time.monotonic())))

    # The ways in.

    def release(self, desired: Desired) -> Outcome:
        """Make a release live and good, all three phases in one. Raises as they do."""
        self.stage(desired)
        self.activate()
        return self.confirm()

    def stage(self, desired: Desired) -> Outcome:
        """Put a release on the disk and judge it. Raises ContainerlessError before, ReleaseFailed once it was begun."""
        self._secrets = desired.secrets
        self._take_back_own()
        with self._timed("preflight"):
            self.preflight(desired)
        target = Ref(ledger.next_activation(self.state.entries), desired.release_id, desired.content_id)
        with self._transaction(self._begun("release", target)):
            with self._step("unpack"):
                staging.unpack_tree(self.layout, desired)
            with self._step("stage"):
                staging.stage(self.layout, self.systemd, desired)
                self.state.write_host_options(keep=self.policy.keep, timers=self.policy.timers)
                self._log("staged", target)
            with self._step("verify"):
                stored = self._stored(target)
                self.activations.instantiate(self.state, stored, target, desired.secrets)
                self.outcome.exposure = self.activations.verify(stored, target)
                comparison, unreachable = self.activations.compare(stored, target)
                self.outcome.warnings += unreachable
                self._refuse_risky(comparison)
                self._note(pending=bool(comparison and comparison.pending))
        return self._done(target)

    def preflight(self, desired: Desired) -> None:
        """Raise when this host can't take a release, or may not. Writes nothing."""
        live = self.state.stored(self.state.active.release) if self.state.active else None
        if live is not None and not self.policy.allow_older:
            plan.refuse_older(live.manifest, desired.manifest)
        staging.preflight(self.layout, desired, self.state.secret_names())
        if live is None:
            return
        staging.check_mounted(self.layout, live.release_id)
        if self.policy.overlap != "hold":
            staging.check_memory(self.systemd.memory(self.layout.slice), staging.available_memory())

    def hold(self) -> Outcome:
        """Let requests wait where the migrations of what this run staged want it; each host before one migrates."""
        left = self._continued("verify")
        with self._transaction(left):
            self._arm_and_hold(self._stored(left.target), left.target)
            self._rest()
        return self._done(left.target)

    def activate(self) -> Outcome:
        """Bring what this run staged before traffic. Raises ReleaseFailed; the old release serves then."""
        left = self._continued("verify", "hold")
        target = left.target
        with self._transaction(left):
            stored = self._stored(target)
            if left.step == "verify":
                self._arm_and_hold(stored, target)
            with self._step("migrate"):
                if left.pending:
                    self._migrate(stored, target)
            with self._step("start"):
                self.activations.begin(stored, target)
            with self._step("health"):
                self.activations.healthy(stored, target)
            with self._step("commit"):
                self._arm(self.policy.watch + self.policy.confirm_timeout)
                self._commit(target)
            with self._step("watch"):
                if self.policy.watch > 0:
                    self.activations.watch(stored, target, self.policy.watch, self.policy.watch_errors)
            self._rest()
        return self._done(target)

    def confirm(self) -> Outcome:
        """Call what this run activated good. Raises ContainerlessError when the dead man's switch was faster."""
        left = self._continued("watch")
        with self._transaction(left):
            self._confirm(left.target)
        return self._done(left.target)

    def renew(self) -> Outcome:
        """Let the dead man's switch wait anew: other hosts of the fleet are not there yet."""
        self._journal = self._continued("watch")
        self._arm(self.policy.confirm_timeout)
        self._rest()
        return self._done(self._journal.target)

    def revert(self, reason: str) -> Outcome:
        """Take back what this run has under way: another host of the fleet could not take it. Nothing is fine too."""
        left = self.state.journal
        if left is not None and left.run == self.run:
            self._end(left, reason)
            self.outcome.changed = True
            self.outcome.previous = left.target.release
        self.outcome.release = self.state.active.release if self.state.active else None
        self.outcome.activation = self.state.active.activation if self.state.active else None
        self.outcome.ledger_head = ledger.head(self.state.entries)
        return self.outcome

    def rollback(self, to: str) -> Outcome:
        """Go back to a release of this host (`to`, or the last good one before the active one). No network."""
        live = self.state.active.release if self.state.active else ""
        if to in ("", live) and (self.outcome.recovered == "revert" or self._finished == "rollback"):
            # An unconfirmed release was taken back, or a rollback that died is done now: that is what is asked for.
            return self._done(t.cast("Ref", self.state.active))
        entry = self.rollback_target(to)
        target = Ref(ledger.next_activation(self.state.entries), entry.release, entry.content_id)
        with self._transaction(self._begun("rollback", target)), contextlib.ExitStack() as arming:
            stored = self._stored(target)
            with self._step("stage"):
                # Armed beside what is written: whenever it comes, it waits for our lock.
                arming.callback(self._begin_arm(self._longest(stored)))
                self._log("staged", target)
                static.publish(self.layout, target.content_id)
                self.activations.instantiate(self.state, stored, target, self._secrets_of(stored))
            with self._step("arm"):
                self.state.write_next_secrets(self.activations.secrets(target), target.release)
                arming.close()
            if self.policy.reverse_migrations or self.policy.overlap == "hold":
                self._hold_and_reverse(stored, target)
            with self._step("start"):
                self._begin_on_its_schema(stored, target)
            with self._step("health"):
                self.activations.healthy(stored, target)
            with self._step("commit"):
                self._commit(target)
            self._confirm(target)
        return self._done(target)

    def boot(self) -> str | None:
        """Bring back the active release after a boot; returns its id. Never waits for the app itself."""
        active = self.state.active
        if active is None:
            return None
        stored = self._stored(active)
        self.activations.instantiate(self.state, stored, active)
        self.activations.start(stored, active)
        self.activations.publish(active)
        self.activations.follow(self.state, active)
        return active.release

    def prune(self) -> list[str]:
        """Remove releases beyond those that this host keeps; return what went."""
        return retention.prune(self.layout, self._kept())

    def prunable(self) -> list[str]:
        """Return the releases that `prune` would remove. Writes nothing."""
        return retention.prunable(self.layout, self._kept())

    def _kept(self) -> set[str]:
        options = self.state.host_options()
        active = self.state.active.activation if self.state.active else None
        # With units: what is under way, what it may go back to, and what still answers.
        known = self.systemd.activations()
        used = {entry.release for number, entry in ledger.states(self.state.entries).items() if number in known}
        return retention.kept(self.state.entries, active, options["keep"], options["pinned"]) | used

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

    def _refuse_risky(self, comparison: database.Comparison | None) -> None:
        if comparison is not None:
            database.refuse_risky(comparison, self.policy.migrations != "expand")

    def _begin_on_its_schema(self, stored: Stored, target: Ref) -> None:
        """Start the code to go back to. Raise when the database is ahead of it, or behind; only asked if it may be."""
        if self._has_its_schema(stored):
            self.activations.begin(stored, target)
            return
        # The schema is judged while the old code starts; its workers wait for the answer.
        self.activations.begin_web(stored, target)
        comparison, _ = self.activations.compare(stored, target)
        if comparison:
            database.refuse_newer(comparison, self.policy.accept_newer_schema)
            database.refuse_pending(comparison)
        self.activations.begin_others(stored, target)

    def _has_its_schema(self, stored: Stored) -> bool:
        """Say whether every release that this host met since knows the very same migrations."""
        known = database.known(stored.migrations)
        others = ledger.since_good(self.state.entries, stored.release_id) - {stored.release_id}
        met = [self.state.stored(other) for other in sorted(others)]
        return all(other is not None and database.known(other.migrations) == known for other in met)

    def _must_hold(self, comparison: database.Comparison | None) -> bool:
        risky = comparison is not None and bool(comparison.risky)
        return self.policy.overlap == "hold" or (risky and self.policy.migrations == "maintenance")

    def _arm_and_hold(self, stored: Stored, target: Ref) -> None:
        origin = self._journal.origin
        with self._step("arm"):
            self.state.write_next_secrets(self.activations.secrets(target), target.release)
            self._arm(self._longest(stored))
        with self._step("hold"):
            comparison = self.activations.compare(stored, target)[0] if self._journal.pending else None
            if origin is not None and self._must_hold(comparison):
                self._hold(self._stored(origin), origin, target)

    def _hold(self, stored: Stored, origin: Ref, target: Ref) -> None:
        """From here on requests wait: the switch comes at once and waits for our lock, which ends with this process."""
        self._note(held=True)
        deadman.arm(self.layout, self.systemd, self.run, _AT_ONCE)
        self.activations.hold(stored, origin, target)

    def _migrate(self, stored: Stored, target: Ref) -> None:
        """Run what is pending now: another host of the fleet may have been first."""
        comparison, _ = self.activations.compare(stored, target)
        if comparison is None or not comparison.pending:
            return
        self._refuse_risky(comparison)
        if self._journal.held and comparison.risky:
            with self._one_way(stored, target, comparison):
                self.activations.migrate(target)
        else:
            self.activations.migrate(target)
        self.outcome.migrated = [database.label(key) for key in comparison.pending]

    def _hold_and_reverse(self, stored: Stored, target: Ref) -> None:
        origin = t.cast("Ref", self.state.active)
        with self._step("hold"):
            comparison, _ = self.activations.compare(stored, target)
            newer = comparison.newer if comparison and self.policy.reverse_migrations else ()
            if newer or self.policy.overlap == "hold":
                self._hold(self._stored(origin), origin, target)
        with self._step("migrate"):
            if newer:
                with self._one_way(stored, target, t.cast("database.Comparison", comparison)):
                    reverse(self.layout, self.systemd.run, self.state, stored, list(newer))
                self.outcome.reversed = [database.label(key) for key in newer]

    @contextlib.contextmanager
    def _one_way(self, stored: Stored, target: Ref, before: database.Comparison) -> t.Iterator[None]:
        """From here on there is no way back, unless what fails in here left the schema as it was."""
        self._note(one_way=True)
        try:
            yield
        except Exception:
            after, _ = self.activations.compare(stored, target)
            self._note(one_way=after is None or (after.risky, after.newer) != (before.risky, before.newer))
            raise

    def _commit(self, target: Ref) -> None:
        origin = self.state.active
        self.state.write_active(target)
        self.activations.publish(target, None if self._journal.held else origin)
        static.lead(self.layout, target.content_id)
        if self._journal.kind != "rollback":  # which is confirmed at once, and stops what is over in one call
            self.activations.follow(self.state, target)
        self._log("active", target)

    def _confirm(self, target: Ref) -> None:
        origin = self._journal.origin
        with self._step("confirm"):
            self._log("good", target)
            # After it: until then a recovery goes back to what the old secrets belong to.
            self.state.write_secrets(self.state.next_secrets(), target.release, good=True)
            if origin is not None and self._journal.kind == "rollback":
                self._log("rolled_back", origin)
        with self._step("drain"), contextlib.ExitStack() as draining:
            if origin is not None:
                # One that was stopped for the new one has nothing to answer; its units go all the same.
                seconds = 0 if self._journal.held else self.policy.drain
                draining.callback(self.activations.begin_drain(origin, seconds))
            # A switch that comes before it is let go finds what was called good, and does this again.
            switch = deadman.timer(self.layout)
            if self._journal.kind == "rollback":
                self.activations.follow(self.state, target, switch)
            else:
                self.systemd.stop(switch)
        with self._step("finish"):
            self.activations.tidy(target, origin)
        self.state.clear_journal()

    def _secrets_of(self, stored: Stored) -> dict[str, str]:
        """Return the secrets that come before the newest ones: those of the release, where that is asked for."""
        if self.policy.secrets != "snapshot":
            return {}
        found = self.state.snapshot(stored.release_id)
        if not set(stored.config["secrets"]) <= set(found):
            raise ContainerlessError(
                f"{stored.release_id} has no snapshot of its secrets on this host; use the newest ones"
            )
        return found

    # What another run left.

    def _is_under_way(self, run: str) -> bool:
        return self.state.journal is not None and self.state.journal.run == run

    def _waits_for(self) -> Journal | None:
        """Return the journal of another run that may go on: a call of it came to its end, and its lease is not over.

        Within a call there is no lease: its process is dead, or it would hold the lock.
        """
        left = self.state.journal
        if left is None or left.run == self.run:
            return None
        return left if lease.left(left.boot_id, left.deadline) > 0 else None

    def _recover(self) -> str:
        """Do what an interrupted run left to do; returns undo, revert, forward, finish or an empty string."""
        left = self.state.journal
        if left is None:
            leftovers.sweep(self.layout)  # of a process that died before its first line was written
        if left is None or left.run == self.run:
            return ""
        left = self._as_the_schema_went(left)
        action = self._action(left)
        self._conclude(left, action, f"interrupted at step {left.step}; {action} by run {self.run}")
        self._finished = left.kind if action == "finish" else ""
        return action

    def _recovery(self) -> Recovery:
        return Recovery(self.state, self.activations, self._log)

    def _continued(self, *steps: str) -> Journal:
        """Return the journal of this run, which must have come through one of `steps`."""
        left = self.state.journal
        if left is None or left.run != self.run or left.step not in steps:
            last = self.state.entries[-1] if self.state.entries else None
            happened = f"; last in its ledger: {last.release} {last.state}, {last.why}" if last else ""
            raise ContainerlessError(f"run {self.run} has nothing under way on this host any more{happened}")
        self.policy = Policy(**left.policy)
        return left

    def _take_back_own(self) -> None:
        """A run that begins anew: what it had under way is over."""
        if self.state.journal is not None:
            self._end(self.state.journal, "begun anew")

    def _as_the_schema_went(self, left: Journal) -> Journal:
        """Return the journal of a run that holds requests, one way when another host of the fleet has migrated."""
        holds = left.policy.get("migrations") == "maintenance" and left.policy.get("overlap") == "overlap"
        if not left.held or left.one_way or not holds:
            return left
        try:
            after, _ = self.activations.compare(self._stored(left.target), left.target)
        except ContainerlessError:
            return left  # a database that does not answer now, or a boot: nothing says that the old code can't run
        return replace(left, one_way=after is not None and not after.pending)

    def _end(self, left: Journal, reason: str) -> None:
        left = self._as_the_schema_went(left)
        self.outcome.recovered = self._way_out(left)
        self._conclude(left, self.outcome.recovered, reason)

    def _way_out(self, left: Journal) -> str:
        """Say what becomes of a run of ours that goes no further: the first release of a host leaves nothing live."""
        action = self._action(left)
        first = action == "finish" and left.kind == "release" and not self.state.is_good(left.target)
        return "revert" if first else action

    def _action(self, left: Journal) -> str:
        """Return what `journal.recovery` says of a run and the state of this host."""
        active = self.state.active
        return journal.recovery(left, active.activation if active else None, self.state.is_good(left.target))

    def _conclude(self, left: Journal, action: str, reason: str) -> None:
        recovery = self._recovery()
        try:
            recovery.serve(left, action)
        except sealed.Unreadable as exc:
            self.outcome.warnings.append(str(exc))  # what brings the values again must not be kept out
        recovery.settle(left, action, reason)

    # The frame around the steps.

    def _begun(self, kind: str, target: Ref) -> Journal:
        files.directory(self.layout.var)
        return Journal(
            kind=kind, run=self.run, who=self.who, step="preflight", origin=self.state.active, target=target,
            boot_id=lease.boot_id(), policy=asdict(self.policy),
        )  # fmt: skip

    @contextlib.contextmanager
    def _transaction(self, begun: Journal) -> t.Iterator[None]:
        self._journal = begun
        try:
            yield
        except Exception as exc:
            raise self._fail(exc) from exc

    @contextlib.contextmanager
    def _step(self, name: str) -> t.Iterator[None]:
        self._note(step=name, deadline=None)
        with self._timed(name):
            yield

    def _note(self, **changes: t.Any) -> None:
        """Write down what is about to be done, before it is done."""
        self._journal = replace(self._journal, **changes)
        self.state.write_journal(self._journal)

    @contextlib.contextmanager
    def _timed(self, name: str) -> t.Iterator[None]:
        started = time.monotonic()
        yield
        self.outcome.steps.append((name, round(time.monotonic() - started, 3)))

    def _arm(self, seconds: float) -> None:
        """Set the dead man's switch."""
        self._begin_arm(seconds)()

    def _begin_arm(self, seconds: float) -> t.Callable[[], None]:
        """Begin to set the dead man's switch; return what waits until it is set."""
        self._lease = lease.now() + int(seconds) + 1
        if self._journal.one_way:
            return lambda: None
        return deadman.begin(self.layout, self.systemd, self.run, seconds + 1)

    def _rest(self) -> None:
        """End a call that another one of this run continues: until the switch comes, others wait."""
        self._note(deadline=self._lease)

    def _longest(self, stored: Stored) -> float:
        """Return the seconds that an activation may take up to its commit."""
        config = stored.config
        checks = 1 + len(processes.commands(stored.manifest, config))
        longest = config["start_timeout"] + checks * config["health"]["timeout"] + config["health"]["stay_up"] + 60
        return float(longest + (config["task_timeout"] if self._journal.pending else 0))

    def _fail(self, exc: Exception) -> ReleaseFailed:
        """Have the old release serve, then collect the evidence, then clear up; return the error to raise."""
        left, target = self._journal, self._journal.target
        self.state.reread_active()
        secrets = [
            *self.state.readable_secrets().values(),
            *self._secrets.values(),
            *self.activations.secrets(target).values(),
        ]
        reason = str(evidence.mask("; ".join([f"step {left.step}: {exc}", *staging.full(self.layout)]), secrets))
        action = self._way_out(left)
        if action == "finish":
            # Live and confirmed: only clearing up failed, and the next run does that again.
            found = evidence.collect(exc, left.step, lambda: self.activations.journal(target), secrets)
            return ReleaseFailed(f"{target.release} is live, but clearing up failed at {reason}", found)
        recovery, found = self._recovery(), {}
        try:
            recovery.serve(left, action)
            found = evidence.collect(exc, left.step, lambda: self.activations.journal(target), secrets)
            # A refusal says nothing against the release.
            recovery.settle(left, action, reason, "refused" if isinstance(exc, database.Refused) else "failed")
        except (OSError, ContainerlessError) as worse:
            found = found or evidence.collect(exc, left.step, lambda: self.activations.journal(target), secrets)
            reason += f" (clearing up is left to the next run: {worse})"
        if action == "forward":
            return ReleaseFailed(
                f"{target.release} failed at {reason}; it stays live, since its migrations leave no automatic way back:"
                " release a version that mends it, or go back with app_release_rollback_reverse_migrations or"
                " app_release_rollback_accept_newer_schema", found
            )  # fmt: skip
        live = f"{self.state.active.release} stays live" if self.state.active else "nothing is live"
        return ReleaseFailed(f"{target.release} failed at {reason}; {live}", found)

    def _log(self, state: str, ref: Ref, reason: str = "") -> None:
        self.state.append(state, ref, run=self.run, who=self.who, why=reason[:500] or self.why, now=_utc())

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
        left = self.state.journal or getattr(self, "_journal", None)
        self.outcome.changed = True
        self.outcome.release = target.release
        self.outcome.activation = target.activation
        self.outcome.previous = left.origin.release if left and left.origin else None
        self.outcome.ledger_head = ledger.head(self.state.entries)
        return self.outcome


def _utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
