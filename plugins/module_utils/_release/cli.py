# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `containerless` on a host: the same code as the module, without a control node."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import sys
import typing as t
import uuid

from .._artifact import tree
from .._core.errors import ContainerlessError
from .._core.names import APP_NAME, PREFIX, Layout
from . import hostinfo
from .desired import Policy
from .engine import Engine
from .evidence import ReleaseFailed
from .state import State
from .systemd import Systemd


def _apps() -> list[str]:
    folder = f"/var/lib/{PREFIX}"
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def _is_released(name: str) -> bool:
    """An app that was removed may have left its data; a folder may be somebody else's."""
    return re.fullmatch(APP_NAME, name) is not None and os.path.exists(Layout(name).active)


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _first_line(text: str) -> str:
    """A reason may hold journal lines; a table has room for its first."""
    return text.split("\n", 1)[0][:100]


def _status(options: argparse.Namespace) -> int:
    apps = [options.app] if options.app else [name for name in _apps() if _is_released(name)]
    reports = [hostinfo.report(Layout(app), Systemd(Layout(app))) for app in apps]
    if options.json:
        print(json.dumps(reports, indent=1))
        return 0
    if not reports:
        print("no app was released on this host")
        return 0
    for report in reports:
        state = "running" if report["running"] else "NOT RUNNING" if report["release"] else "not released"
        print(f"{report['app']}: {report['release'] or '-'} (activation {report['activation'] or '-'}), {state}")
        if report["release"]:
            print(f"  signature: {report['signed_by']}")
        if report["under_way"]:
            print(f"  a release is under way or was interrupted at step {report['under_way']}")
        if report["processes"]:
            print(_table([(f"  {name}", shown) for name, shown in report["processes"].items()]))
    return 0 if all(report["running"] for report in reports) else 3


def _history(options: argparse.Namespace) -> int:
    if not os.path.exists(Layout(options.app).ledger):
        raise ContainerlessError(f"{options.app} was never released on this host; `{PREFIX} status` lists what was")
    report = hostinfo.report(Layout(options.app), Systemd(Layout(options.app)))
    if options.json:
        print(json.dumps(report["releases"], indent=1))
        return 0
    head = ("", "no.", "release", "state", "time", "who", "why")
    rows = [
        (
            "*" if r["active"] else "",
            str(r["activation"]),
            r["release"],
            r["state"],
            r["time"],
            r["who"],
            _first_line(r["why"]),
        )
        for r in report["releases"]
    ]
    print(_table([head, *rows]))
    return 0


def _verify(options: argparse.Namespace) -> int:
    layout = Layout(options.app)
    state = State.read(layout)
    stored = state.stored(state.active.release) if state.active else None
    if stored is None:
        raise ContainerlessError(f"{options.app} has no active release on this host")
    drift = tree.verify(layout.tree(stored.content_id), stored.manifest["tree"]["sha256"])
    for line in drift:
        print(line)
    print(f"{stored.release_id}: {stored.manifest['tree']['files']} files, {len(drift)} differ from the manifest")
    return 1 if drift else 0


def _engine(options: argparse.Namespace, why: str) -> Engine:
    layout = Layout(options.app)
    policy = Policy(
        drain=getattr(options, "drain", 0.0),
        lock_wait=60.0,
        accept_newer_schema=getattr(options, "accept_newer_schema", False),
    )
    who = os.environ.get("SUDO_USER") or getpass.getuser()
    return Engine(layout, Systemd(layout), run=uuid.uuid4().hex[:12], who=who, why=why, policy=policy)


def _rollback(options: argparse.Namespace) -> int:
    engine = _engine(options, options.why)
    with engine.locked():
        outcome = engine.rollback(options.release)
    print(f"{outcome.previous} -> {outcome.release} (activation {outcome.activation})")
    print(_table([(f"  {name}", f"{seconds:.2f} s") for name, seconds in outcome.steps]))
    return 0


def _boot(options: argparse.Namespace) -> int:
    engine = _engine(options, "boot")
    with engine.locked():
        release = engine.boot()
    print(f"{options.app}: {release or 'nothing to bring back'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PREFIX, description="Releases of this host. Needs root, and no control node.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    status = verbs.add_parser("status", help="what runs; exit code 3 when something does not")
    status.add_argument("app", nargs="?")
    status.add_argument("--json", action="store_true")
    status.set_defaults(call=_status)
    history = verbs.add_parser("history", help="every activation with state, time, who and why")
    history.add_argument("app")
    history.add_argument("--json", action="store_true")
    history.set_defaults(call=_history)
    verify = verbs.add_parser("verify", help="compare the live tree with its manifest; exit code 1 on drift")
    verify.add_argument("app")
    verify.set_defaults(call=_verify)
    rollback = verbs.add_parser("rollback", help="go back to the last good release, or to the one that is named")
    rollback.add_argument("app")
    rollback.add_argument("release", nargs="?", default="")
    rollback.add_argument("--accept-newer-schema", action="store_true", help="the old code works on the newer schema")
    rollback.add_argument("--drain", type=float, default=5.0, metavar="SECONDS", help="before the old one stops (5)")
    rollback.add_argument("--why", default="", help="stands in the ledger")
    rollback.set_defaults(call=_rollback)
    boot = verbs.add_parser("boot", help="bring back the active release; called by the boot unit")
    boot.add_argument("app")
    boot.set_defaults(call=_boot)
    return parser


def main(argv: t.Sequence[str] | None = None) -> t.NoReturn:
    """Run a verb. Exit code 0 done, 1 refused or failed, 2 usage, 3 not running."""
    options = _parser().parse_args(argv)
    try:
        sys.exit(options.call(options))
    except ReleaseFailed as exc:
        print(f"{PREFIX}: {exc}", file=sys.stderr)
        for unit, lines in exc.evidence.get("journal", {}).items():
            print(f"--- {unit}", *lines[-10:], sep="\n", file=sys.stderr)
        sys.exit(1)
    except ContainerlessError as exc:
        print(f"{PREFIX}: {exc}", file=sys.stderr)
        sys.exit(1)
    except OSError as exc:
        hint = "; run it as root" if isinstance(exc, PermissionError) else ""
        print(f"{PREFIX}: {exc.strerror}: {exc.filename}{hint}", file=sys.stderr)
        sys.exit(1)
