# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `containerless` on a host: the same code as the module, without a control node.

Rooms that a rollback does not need are imported by the verbs that do: modules are a third of what it takes by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pwd
import re
import sys
import typing as t

from .._core.errors import ContainerlessError
from .._core.names import APP_NAME, PREFIX, Layout
from . import evidence, manage
from .desired import Policy
from .engine import Engine
from .evidence import ReleaseFailed
from .state import State
from .systemd import Systemd

#: Seconds: no lease runs longer than a day.
_LONGEST_LEASE = 86400


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


def _report(app: str) -> dict[str, t.Any]:
    from . import hostinfo

    return hostinfo.report(Layout(app), Systemd(Layout(app)))


def _status(options: argparse.Namespace) -> int:
    apps = [options.app] if options.app else [name for name in _apps() if _is_released(name)]
    reports = [_report(app) for app in apps]
    if options.json:
        print(json.dumps(reports, indent=1))
        return 0
    if not reports:
        print("no app was released on this host")
        return 0
    for report in reports:
        print("\n".join(_lines_of(report)))
    return 0 if all(report["running"] and not report["problems"] for report in reports) else 3


def _lines_of(report: dict[str, t.Any]) -> t.Iterator[str]:
    """Yield what `status` says of one app."""
    from . import confinement

    state = "running" if report["running"] else "NOT RUNNING" if report["release"] else "not released"
    yield f"{report['app']}: {report['release'] or '-'} (activation {report['activation'] or '-'}), {state}"
    if report["release"]:
        yield f"  signature: {report['signed_by']}"
        yield from (f"  {line}" for line in confinement.lines(report["sandbox"]))
    if report["under_way"]:
        wait = report["unconfirmed_for"]
        until = f"taken back in {wait} s unless confirmed" if wait else "the next run or boot clears up"
        yield f"  a release is under way, at step {report['under_way']}; {until}"
    yield from (f"  PROBLEM: {problem}" for problem in report["problems"])
    if report["draining"]:
        yield f"  draining: activation {', '.join(map(str, report['draining']))}"
    if report["processes"]:
        yield _table([(f"  {name}", shown) for name, shown in report["processes"].items()])


def _history(options: argparse.Namespace) -> int:
    if not os.path.exists(Layout(options.app).ledger):
        raise ContainerlessError(f"{options.app} was never released on this host; `{PREFIX} status` lists what was")
    report = _report(options.app)
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
    from .._artifact import tree
    from . import startable

    layout = Layout(options.app)
    _active, stored = State.read(layout).live()
    found = tree.verify(layout.tree(stored.content_id), stored.manifest["tree"]["sha256"])
    for line in found:
        print(line)
    problems = startable.problems(layout.tree(stored.content_id), stored.manifest)
    for line in problems:
        print(f"PROBLEM: {line}")
    print(f"{stored.release_id}: {stored.manifest['tree']['files']} files, {len(found)} differ from the manifest")
    return 1 if found or problems else 0


def _engine(app: str, why: str, **policy: t.Any) -> Engine:
    layout = Layout(app)
    who = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    chosen = Policy(**{"lock_wait": 60, **policy})
    return Engine(layout, Systemd(layout), run=os.urandom(6).hex(), who=who, why=why, policy=chosen)


def _rollback(options: argparse.Namespace) -> int:
    engine = _engine(
        options.app,
        options.why,
        drain=options.drain,
        accept_newer_schema=options.accept_newer_schema,
        reverse_migrations=options.reverse_migrations,
        secrets=options.secrets,
        overlap="hold" if options.hold else "overlap",
    )
    with engine.locked(take_over=True):
        outcome = engine.rollback(options.release)
    print(f"{outcome.previous or 'a release that nobody confirmed'} -> {outcome.release}", end="")
    print(f" (activation {outcome.activation})")
    if outcome.steps:
        print(_table([(f"  {name}", f"{seconds:.2f} s") for name, seconds in outcome.steps]))
    return 0


def _boot(options: argparse.Namespace) -> int:
    engine = _engine(options.app, "boot")
    with engine.locked():
        release = engine.boot()
    print(f"{options.app}: {release or 'nothing to bring back'}")
    return 0


def _expire(options: argparse.Namespace) -> int:
    """Take back what a run left and nobody confirmed, as soon as its lease is over; the dead man's switch runs it."""
    engine = _engine(options.app, "nobody confirmed it in time", lock_wait=_LONGEST_LEASE)
    with engine.locked(of=options.run):
        print(f"{options.app}: {engine.outcome.recovered or 'nothing to take back'}")
    return 0


def _drain(options: argparse.Namespace) -> int:
    """End an activation that is no longer live, and remove what this host need not keep."""
    from . import tool

    engine = _engine(options.app, "drained", lock_wait=0)
    active = State.read(engine.layout).active
    if active is not None and active.activation == options.activation:
        raise ContainerlessError(f"activation {options.activation} is live; `{PREFIX} rollback {options.app}` ends it")
    engine.activations.end(options.activation)
    with contextlib.suppress(ContainerlessError), engine.locked(beside=True):
        # A run that holds the lock prunes after its own drain; one that only staged so far goes on afterwards.
        gone = engine.prune()
        tool.prune(engine.layout)
        print(f"{options.app}: activation {options.activation} ended, {len(gone)} releases and trees removed")
    return 0


def _answer(options: argparse.Namespace) -> int:
    """Do a request of the control node, which stands on standard input, as the module of this very version would."""
    from . import request

    asked = json.load(sys.stdin)
    layout = Layout(options.app)
    params = asked["params"]
    said = request.answer(params, asked["check"]) if params else request.look(layout, Systemd(layout))
    # Here and not where it is read: -vvv prints what comes over the connection.
    print(json.dumps(evidence.mask_answer(said, (params.get("secrets") or {}).values())))
    return 0


def _learn(options: argparse.Namespace) -> int:
    """Say what stands in the way of a process or a command, and what it works with."""
    from .._sandbox import table
    from . import learn

    layout = Layout(options.app)
    asked = learn.asked(options.process, options.command, options.path, options.seconds, options.release)
    found = learn.run(layout, Systemd(layout), asked, {})
    print(json.dumps(found, indent=1) if options.json else "\n".join(table.learned(found)))
    return 0 if found["works"] else 3


def _pin(options: argparse.Namespace) -> int:
    """Keep a release of this host whatever is released later, or keep it no longer."""
    engine = _engine(options.app, options.verb)
    with engine.locked(beside=True):
        state = engine.state
        if state.stored(options.release) is None:
            raise ContainerlessError(f"{options.release} is not on this host; `{PREFIX} history {options.app}` tells")
        pinned = set(state.host_options()["pinned"]) - {options.release}
        state.write_host_options(pinned=sorted(pinned | ({options.release} if options.verb == "pin" else set())))
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
    rollback.add_argument(
        "--reverse-migrations", action="store_true", help="take back what the old release does not know"
    )
    rollback.add_argument("--secrets", choices=["newest", "snapshot"], default="newest", help="which values (newest)")
    rollback.add_argument("--drain", type=int, default=5, metavar="SECONDS", help="before the old one stops (5)")
    rollback.add_argument("--hold", action="store_true", help="stop one before the other starts; requests wait")
    rollback.add_argument("--why", default="", help="stands in the ledger")
    rollback.set_defaults(call=_rollback)
    manage.add_verb(verbs)
    learn = verbs.add_parser(
        "learn",
        help="run a process or a command beside what is live, and say what the sandbox refuses it; exit code 3 when it"
        " does not work",
        usage=f"{PREFIX} learn APP [PROCESS [-- COMMAND ...]] [--path PATH] [--seconds N] [--release ID] [--json]",
    )
    learn.add_argument("app")
    learn.add_argument("process", nargs="?", default="web", help="its sandbox (web)")
    learn.add_argument("--path", action="append", default=[], help="what web is asked for beside its health check")
    learn.add_argument("--seconds", type=int, default=20, help="a process stays up, a command takes so long (20)")
    learn.add_argument("--release", default="", help="a release of this host (the live one, else the newest)")
    learn.add_argument("--json", action="store_true")
    learn.set_defaults(call=_learn, command=[])
    for verb, what in (("pin", "never remove a release of this host"), ("unpin", "the contrary")):
        pin = verbs.add_parser(verb, help=what)
        pin.add_argument("app")
        pin.add_argument("release")
        pin.set_defaults(call=_pin)
    boot = verbs.add_parser("boot", help="bring back the active release; called by the boot unit")
    boot.add_argument("app")
    boot.set_defaults(call=_boot)
    expire = verbs.add_parser("expire", help="take back what nobody confirmed; called by the dead man's switch")
    expire.add_argument("app")
    expire.add_argument("run", help="the run whose switch it is; what another run has under way is left alone")
    expire.set_defaults(call=_expire)
    drain = verbs.add_parser("drain", help="end an activation that is no longer live; called by its timer")
    drain.add_argument("app")
    drain.add_argument("activation", type=int)
    drain.set_defaults(call=_drain)
    asked = verbs.add_parser("answer", help="do a request of the control node; called by the release action")
    asked.add_argument("app")
    asked.set_defaults(call=_answer)
    return parser


def _parse(argv: t.Sequence[str]) -> argparse.Namespace:
    """Read the words; of `learn`, what stands behind -- is a command whose options are none of ours."""
    at = list(argv).index("--") if list(argv[:1]) == ["learn"] and "--" in argv else len(argv)
    options = _parser().parse_args(argv[:at])
    if argv[at + 1 :]:
        options.command = list(argv[at + 1 :])
    return options


def main(argv: t.Sequence[str] | None = None) -> t.NoReturn:
    """Run a verb. Exit code 0 done, 1 refused or failed, 2 usage, 3 not running."""
    options = _parse(sys.argv[1:] if argv is None else argv)
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
