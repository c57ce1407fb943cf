# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of the same payload by us, by deploy_helper and by Capistrano, in turns, on one host over SSH."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

from ...tools import bootstrap
from ..campaigns.report import Row as Count
from ..rig import Host, Rig
from ..rig.plays import recap
from . import payload
from .figures import Bar, Sample, compare
from .outcome import Outcome
from .timing import Failed, Progress, measure

HERE = Path(__file__).resolve().parent
ENVIRONMENT = "bench-peers"
PATHS = {name: f"/srv/{name}" for name in ("deploy_helper", "capistrano")}
REPOSITORY = "/srv/payload.git"
RELEASE = "release of 30 MB, seconds"
OURS, HELPER, CAPISTRANO = "ours", "deploy_helper", "capistrano"
AGAINST = {HELPER: Bar(0.8), CAPISTRANO: Bar(0.6)}
SESSIONS, TASKS, TASKS_OF_NOOP = Bar(6), Bar(8), Bar(4)
#: Rounds that are enough where the computer is slow, and seconds after which they are.
FEWEST, LONGEST = 4, 120
_INCLUDED = re.compile(r"^included: .* for (.+)$", re.MULTILINE)
_CAPISTRANO_DONE = re.compile(r"✔ \d\d ")
_STARTED = re.compile(r"^(\d+\.\d+) .*: Starting session: ", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """One release: how long it took, what it said, and how many SSH sessions the host saw."""

    sample: Sample
    output: str
    sessions: int

    @property
    def tasks(self) -> int:
        """Results that were ok or changed, without the files that were only included."""
        if commands := len(_CAPISTRANO_DONE.findall(self.output)):
            return commands
        included = sum(len(hosts.split(",")) for hosts in _INCLUDED.findall(self.output))
        return sum(counts["ok"] for counts in recap(self.output).values()) - included

    @property
    def changed(self) -> int:
        return sum(counts["changed"] for counts in recap(self.output).values())


@dataclass(frozen=True)
class Peers:
    """The host and how each of them releases to it."""

    rig: Rig
    host: Host
    folder: Path
    capistrano: bool

    @property
    def log(self) -> Path:
        return self.rig.folder / "bench.log"

    def run(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Run:
        """Measure a command that makes its own connection, on a host whose disk has nothing left to write."""
        self.host.sh("sync")
        subprocess.run([*self.host.ssh[:-1], "-O", "exit", self.host.ssh[-1]], capture_output=True, check=False)
        begin = time.time()
        sample = measure(argv, log=self.log, env={**os.environ, **(env or {})}, cwd=cwd or bootstrap.ROOT)
        used = sessions(self.host, begin, begin + sample.wall)
        return Run(sample, self.log.read_text(encoding="utf-8", errors="replace"), used)

    def playbook(self, name: str | Path, extra: Mapping[str, object], env: Mapping[str, str] | None = None) -> Run:
        argv = ["ansible-playbook", "-i", str(self.rig.inventory), str(name), "-e", json.dumps(dict(extra))]
        return self.run(argv, env)

    def ours(self, tag: str) -> Run:
        return self.playbook("containerless.django.release", {"app_release_channel": tag})

    def deploy_helper(self, tag: str) -> Run:
        """Run with the ansible-core that ours runs with; only the collection is the peer's."""
        extra = {"peer_archive": str(payload.blob(tag)), "peer_keep": payload.KEPT, "peer_path": PATHS[HELPER]}
        return self.playbook(
            HERE / "by_peers/deploy_helper.yml", extra, {"ANSIBLE_COLLECTIONS_PATH": str(collections())}
        )

    def cap(self, tag: str) -> Run:
        known = self.host.variables
        options = dict(re.findall(r"-o (\w+)=(\S+)", known["ansible_ssh_common_args"]))
        env = {
            "PEER_HOST": known["ansible_host"],
            "PEER_PORT": str(known["ansible_port"]),
            "PEER_USER": known["ansible_user"],
            "PEER_KEY": known["ansible_ssh_private_key_file"],
            "PEER_KNOWN_HOSTS": options["UserKnownHostsFile"],
            "PEER_REPOSITORY": REPOSITORY,
            "PEER_BRANCH": tag,
            "PEER_PATH": PATHS[CAPISTRANO],
            "PEER_KEEP": str(payload.KEPT),
        }
        return self.run(["cap", "host", "deploy"], env, self.folder)

    def prepare(self) -> None:
        """Have the host write down sessions, and make what both peers presuppose."""
        self.host.put(b"LogLevel VERBOSE\n", "/etc/ssh/sshd_config.d/00-bench.conf")
        self.host.sh("systemctl restart ssh")  # a reload returns before sshd listens again
        for path in PATHS.values():
            self.host.sh(f"mkdir -p {path}/shared; echo bench > {path}/shared/config.env; chown -R ops: {path}")
        if self.capistrano:
            packed = subprocess.run(["tar", "-C", payload.BARE, "-c", "."], stdout=subprocess.PIPE, check=True).stdout
            script = f"mkdir -p {REPOSITORY}; tar -C {REPOSITORY} -x --no-same-owner; chown -R ops: {REPOSITORY}"
            self.host.sh(script, stdin=packed)


def sessions(host: Host, begin: float, end: float) -> int:
    """Return how many sessions sshd began in a time; the machine has our clock."""
    said = host.sh(f"journalctl --sync; journalctl -u ssh -o short-unix -q --no-pager --since @{int(begin)}").stdout
    return sum(begin <= float(moment) <= end for moment in _STARTED.findall(said))


def collections() -> Path:
    """Return where the peer's collection stands, installed if it is not."""
    folder = bootstrap.CACHE / ENVIRONMENT
    if not bootstrap.is_made(ENVIRONMENT):
        python = bootstrap.CACHE / "tools/bin/python"
        bootstrap.make_environment(ENVIRONMENT, bootstrap.CACHE / "tools/bin/uv", python)
    return next(folder.glob("lib/python3.*/site-packages"))


def has_capistrano() -> bool:
    return shutil.which("cap") is not None


def measure_peers(rounds: int, progress: Progress, outcome: Outcome) -> None:
    """Add releases against peers, tasks and sessions."""
    if not has_capistrano():
        raise Failed("Capistrano is missing: apt-get install capistrano")
    progress.say("payload: sources, artifacts, clone")
    payload.prepare()
    collections()
    with Rig("bench-peers", packages=["git"], settings=payload.settings()) as rig:
        folder = rig.folder / "capistrano"
        shutil.copytree(HERE / "by_peers", folder)
        peers = Peers(rig, rig.hosts[0], folder, capistrano=True)
        peers.prepare()
        _measure(peers, rounds, progress, outcome)


def _measure(peers: Peers, rounds: int, progress: Progress, outcome: Outcome) -> None:
    runs: dict[str, list[Run]] = {OURS: [], HELPER: [], CAPISTRANO: []}
    by = {OURS: peers.ours, HELPER: peers.deploy_helper, CAPISTRANO: peers.cap}

    def once(name: str, tags: cycle[str]) -> None:
        runs[name].append(by[name](next(tags)))

    turns: dict[str, Callable[[], None]] = {name: partial(once, name, cycle(payload.TAGS)) for name in by}
    # Until each version has been pruned once: from then on each release sends, unpacks and removes one.
    for number in range(len(payload.TAGS)):
        progress.say(f"releases, warming, round {number + 1} of {len(payload.TAGS)}")
        for name in turns if number == 0 else (OURS,):
            turns[name]()
    for found in runs.values():
        found.clear()
    begin = time.monotonic()
    for number in range(rounds):
        if number >= FEWEST and time.monotonic() - begin > LONGEST:
            break
        progress.say(f"releases, round {number + 1} of {rounds}")
        for turn in turns.values():
            turn()
    samples = {name: [run.sample for run in found] for name, found in runs.items()}
    for name, bar in AGAINST.items():
        row = compare(RELEASE, f"ours / {name}", samples[OURS], samples[name], by="wall", bar=bar)
        outcome.rows.append(row)
    last = payload.TAGS[(len(runs[OURS]) - 1) % len(payload.TAGS)]
    idle = [peers.ours(last) for _ in range(3)]
    _count(runs, idle, outcome)
    outcome.facts["SSH sessions, tasks of deploy_helper"] = _peer(runs[HELPER])
    outcome.facts["SSH sessions, commands of Capistrano"] = _peer(runs[CAPISTRANO])
    outcome.facts["payload"] = (
        f"{payload.blob('p1').stat().st_size / 1e6:.1f} MB, {payload.manifest('p1')['tree']['files']} files"
    )


def _peer(runs: Sequence[Run]) -> str:
    return f"{max(run.sessions for run in runs)}, {max(run.tasks for run in runs)}"


def _count(runs: Mapping[str, Sequence[Run]], idle: Sequence[Run], outcome: Outcome) -> None:
    ours = runs[OURS]
    outcome.counts += [
        Count("SSH sessions of a release", len(ours), max(run.sessions for run in ours), SESSIONS),
        Count("tasks of a release", len(ours), max(run.tasks for run in ours), TASKS),
        Count("tasks of a run that changes nothing", len(idle), max(run.tasks for run in idle), TASKS_OF_NOOP),
        Count("changes of it", len(idle), max(run.changed for run in idle), Bar(0)),
    ]
    outcome.facts["a run that changes nothing, seconds"] = f"{min(run.sample.wall for run in idle):.2f}"
