# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ends a release that nobody brings to its end: the same two moves after a failure, a crash and a boot.

First `serve`: what should be live is live, and nothing else matters. Then, when the evidence was collected, `settle`:
ledger, units, timers, journal. Each move may be done again, also after it was cut in the middle.
"""

from __future__ import annotations

import os
import typing as t

from . import deadman, leftovers, static
from .activations import Activations
from .journal import Journal, Ref
from .state import State

#: Seconds that a release which was live and is taken back answers on: time for a process that crashed to come again.
_ANSWERS = 5

#: Writes a ledger line: (state, activation, reason).
Log = t.Callable[[str, Ref, str], None]


class Recovery:
    """The four actions of `journal.recovery` over one app's state."""

    def __init__(self, state: State, activations: Activations, log: Log) -> None:
        self.state = state
        self.activations = activations
        self.log = log

    def serve(self, left: Journal, action: str) -> None:
        """Have the right release live at once."""
        if action == "finish":
            self.activations.publish(self.state.active, None if left.held else left.origin)
            return
        if action == "forward":
            if self.state.active != left.target:
                self.state.write_active(left.target)
        elif self.state.active == left.target:
            self.state.take_back_active(left.origin)
        try:
            if action == "forward":
                self._start(left.target, self.state.next_secrets())
            elif left.held and left.origin is not None:
                self._start(left.origin)
        finally:
            self.activations.publish(self.state.active)

    def settle(self, left: Journal, action: str, reason: str, verdict: str = "failed") -> None:
        """Write down what happened and take away what is over."""
        self._lead_static()
        getattr(self, f"_{action}")(left, reason, verdict)
        self.activations.follow(self.state, self.state.active)
        deadman.disarm(self.state.layout, self.activations.systemd)
        self.activations.tidy(self.state.active)
        leftovers.sweep(self.state.layout)
        self.state.clear_journal()

    def _undo(self, left: Journal, reason: str, verdict: str) -> None:
        self._close(verdict, left.target, reason)
        if not left.held:
            self.activations.kill_web(left.target)

    def _revert(self, left: Journal, reason: str, _verdict: str) -> None:
        self._close("rolled_back", left.target, reason)
        if left.origin is not None:
            # Requests that were led to it wait at its socket, until it is up again if need be.
            self._drain(left.target, max(_ANSWERS, left.policy.get("drain", 0)))

    def _forward(self, left: Journal, reason: str, _verdict: str) -> None:
        self._close("active", left.target, reason)
        self.state.write_secrets(self.state.next_secrets(), left.target.release, good=False)

    def _finish(self, left: Journal, reason: str, _verdict: str) -> None:
        """Do again what follows a commit that counts."""
        if not self.state.is_good(left.target):
            self.log("good", left.target, reason)
        self.state.write_secrets(self.state.next_secrets(), left.target.release, good=True)
        if left.origin is not None:
            if left.kind == "rollback":
                self._close("rolled_back", left.origin, reason)
            self._drain(left.origin, 0 if left.held else left.policy.get("drain", 0))

    def _drain(self, ref: Ref, seconds: float) -> None:
        """Let an activation answer on for a while; a boot left none."""
        if ref.activation in self.activations.systemd.activations():
            self.activations.drain(ref, seconds)

    def _lead_static(self) -> None:
        """Have the files of what is live where the other release has some of the same name."""
        active = self.state.active
        if active is not None and os.path.isdir(self.state.layout.tree(active.content_id)):
            static.lead(self.state.layout, active.content_id)

    def _start(self, ref: Ref, secrets: dict[str, str] | None = None) -> None:
        stored = self.state.stored(ref.release)
        if stored is not None:
            if not self.activations.systemd.installed(ref.activation):
                self.activations.instantiate(self.state, stored, ref, secrets)
            self.activations.start(stored, ref)

    def _close(self, verdict: str, ref: Ref, reason: str) -> None:
        """Write the last state of an activation, if the ledger knows it."""
        last = self.state.last(ref)
        if last is not None and last.state != verdict:
            self.log(verdict, ref, reason)
