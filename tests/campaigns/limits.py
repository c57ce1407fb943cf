# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make campaign-limits`: an app that turns on its host, on a virtual machine; and attempts at that machine's kernel.

Its workers fork without end, take all memory and keep every processor busy, one after the other. Meanwhile nginx, SSH
and another app are asked as before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...tools import bootstrap
from ..benchmarks.figures import Bar
from ..escape import Suite
from ..rig import Ask, Host, Load, Rig
from ..rig.background import Background
from ..rig.figures import percentile, within
from . import beside, report
from .report import Row

HERE = Path(__file__).resolve().parent
PAGE = bootstrap.ROOT / "docs/benchmarks/limits.md"
KERNEL = (HERE.parent / "escape/kernel.py").read_text(encoding="utf-8")
TITLE = "An app that turns on its host"
INTRODUCTION = """\
Made by `make campaign-limits`, which ends with 1 when a bar is missed. Two apps are released in profile strict on a
virtual machine with two processors, one of them with workers that fork without end, take memory without end, or compute
in sixteen processes. Before, between, during and after that, nginx (a file of its own), a login over SSH and the other
app are asked. Windows of calm and of each bomb take turns; a ratio is that of the medians of all their requests. The
machine and who asks share the processors of one computer: rows that begin with "void" say when figures count for
nothing, because others were at work there or because the calm itself was not one."""
TEXT = """\
The limits are the defaults of `app_sandbox`; its quota of two processors (200 %) is all that this machine has, so what
holds a bomb there is the share of its slice. Then the same with `app_sandbox_cpu_quota` at half of the machine (100 %).
What was refused, killed or held is counted by the kernel."""
IMAGE, OTHER = "debian12", "other"
CONFIG = "/etc/bombs.py"
#: As the options say it: all of the machine, and half of it.
DEFAULT, HALF = "200%", "100%"
CALM, BOMBED, SETTLE = 15.0, 20.0, 3.0
KINDS = ("fork", "memory", "cpu")
#: What is let off, in this order: kind and quota.
BOMBS = tuple((kind, quota) for quota in (HALF, DEFAULT) for kind in KINDS)
TWICE, BACK = Bar(2.0), Bar(30)
#: Of one processor, and between the slowest and the fastest calm.
BESIDE, DRIFT = Bar(0.25), Bar(1.5)
#: What root is told of something that a kernel does not have.
ABSENT = ("ENOENT", "ENODEV", "ENXIO", "ENOSYS", "EAFNOSUPPORT")
FILE = """\
server {
    listen 80;
    server_name file.example.org;
    root /var/www/html;
}
"""
#: Says an errno or a timeout where the control group of a unit drops packets, "connected" where it does not.
CONNECT = """
import errno, socket, sys
try:
    socket.create_connection((sys.argv[1], 22), 5).close(); print("connected")
except OSError as exc:
    print(errno.errorcode.get(exc.errno, repr(exc)))
"""


Bomb = tuple[str, str]


class Logins(Background):
    """Logs in over SSH, one login after the other, each with a handshake of its own."""

    def __init__(self, host: Host, every: float = 2.0) -> None:
        super().__init__()
        self.host, self.every = host, every
        self.taken: list[tuple[float, float]] = []

    def _run(self) -> None:
        ssh, *rest = self.host.ssh
        argv = [ssh, "-o", "ControlMaster=no", "-o", "ControlPath=none", *rest, "true"]
        while not self._stop.wait(self.every):
            begin = time.monotonic()
            done = subprocess.run(argv, capture_output=True, check=False, timeout=120)
            # One that failed took for ever.
            self.taken.append((begin, time.monotonic() - begin if done.returncode == 0 else 120.0))


@dataclass(frozen=True)
class Window:
    """A time that was watched."""

    begin: float
    end: float
    #: Of one processor, what others took meanwhile.
    beside: float = 0.0

    def has(self, moment: float) -> bool:
        return self.begin <= moment < self.end


def watched(seconds: float) -> Window:
    """Let time go by."""
    begin, before = time.monotonic(), beside.others()
    time.sleep(seconds)
    end = time.monotonic()
    return Window(begin, end, (beside.others() - before) / (end - begin))


class Limits:
    """The story on a machine: windows of calm, and one of each bomb."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.host = rig, rig.hosts[0]
        live = json.loads(self.host.sh(f"containerless status {self.host.app} --json").stdout)[0]
        self.unit = f"containerless-{self.host.app}-web@{live['activation']}.service"
        self.group = "/sys/fs/cgroup" + self.show("ControlGroup")
        self.calm: list[Window] = []
        self.bombed: dict[Bomb, Window] = {}
        self.back: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self.counted: dict[str, list[int]] = {kind: [] for kind in KINDS}
        self.ended: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.rows: list[Row] = []

    def show(self, name: str) -> str:
        return self.host.sh(f"systemctl show -P {name} {self.unit}").stdout.strip()

    def counter(self, file: str, name: str = "") -> int:
        """Return a figure of the unit's control group: of a file with one, or of a line of others."""
        text = self.host.sh(f"cat {self.group}/{file}").stdout
        known = dict(line.split() for line in text.splitlines()) if name else {"": text}
        return int(known[name])

    def rest(self) -> None:
        self.calm.append(watched(CALM))

    def bomb(self, name: str, quota: str) -> None:
        """Have the app's workers do it for a while; then the site has to come back by itself."""
        self.host.sh(f"systemctl set-property --runtime {self.unit} CPUQuota={quota}")
        main, state = self.show("MainPID"), f"/var/lib/containerless/{self.host.app}/data/bomb"
        before = self.counter(*COUNTED[name][0])
        self.host.sh(
            f"echo {name} $(awk '{{print $1 + {SETTLE + BOMBED}}}' /proc/uptime) > {state}; chmod 0644 {state}"
        )
        time.sleep(SETTLE)
        self.bombed[name, quota] = watched(BOMBED - 1)
        time.sleep(2)
        self.host.sh(f"rm {state}")
        over = time.monotonic()
        self.host.sh(
            f'timeout 120 sh -c \'until curl -sf -m 5 -o /dev/null -H "Host: {self.host.domain}" http://127.0.0.1/health/;'
            " do sleep 0.2; done'"
        )
        self.back[name].append(time.monotonic() - over)
        self.counted[name].append(self.counter(*COUNTED[name][0]) - before)
        self.ended[name] += not (self.show("MainPID") == main and self.show("ActiveState") == "active")

    def outcome(self, name: str) -> list[Row]:
        """Return what became of the app itself."""
        rounds, what = len(self.back[name]), COUNTED[name][1]
        return [
            Row(f"{name}: the site answers again after", rounds, max(self.back[name]), BACK, "s"),
            Row(f"{name}: {what}", rounds, sum(self.counted[name]), None),
            # Without a quota below what the machine has, nothing is held by it.
            Row(f"{name}: {what}, never", rounds, int(not any(self.counted[name]))),
            Row(f"{name}: the unit ended", rounds, self.ended[name]),
        ]

    def compare(self, what: str, samples: Sequence[tuple[float, float]]) -> None:
        """Add the ratios of a neighbour's median to that of calm; 90 of 100 for the record, and how calm calm was."""
        calms = [taken for taken in (within_windows(samples, [window]) for window in self.calm) if taken]
        calm = [latency for taken in calms for latency in taken]
        middles = [statistics.median(taken) for taken in calms]
        self.rows.append(Row(f"{what}, in peace", len(calm), 1000 * statistics.median(calm), None, "ms"))
        self.rows.append(Row(f"void: {what}, drift of peace", len(calms), max(middles) / min(middles), DRIFT, "x"))
        for bomb in BOMBS:
            there = within_windows(samples, [self.bombed[bomb]])
            ratio = statistics.median(there) / statistics.median(calm) if there else 0.0
            named = f"{what}, {bomb[0]}, quota {bomb[1]}"
            self.rows.append(Row(named, len(there), ratio, TWICE, "x"))
            tail = percentile(there, 90) / percentile(calm, 90) if there else 0.0
            self.rows.append(Row(f"{named}, 90th of 100", len(there), tail, None, "x"))

    def void(self) -> list[Row]:
        """Return the rows of what others did on this computer meanwhile, on average: it counts in both medians."""
        return [
            Row(
                f"void: others took {when}, of a processor",
                len(found),
                statistics.mean(w.beside for w in found),
                BESIDE,
            )
            for when, found in (("in peace", self.calm), ("under bombs", list(self.bombed.values())))
        ]


#: What the kernel counted in the app's control group: ((file, line), what it means).
COUNTED: dict[str, tuple[tuple[str, str], str]] = {
    "fork": (("pids.events", "max"), "forks refused by TasksMax"),
    "memory": (("memory.events", "oom_kill"), "processes killed by MemoryMax"),
    "cpu": (("cpu.stat", "nr_throttled"), "periods held by CPUQuota"),
}


def within_windows(samples: Sequence[tuple[float, float]], windows: Sequence[Window]) -> list[float]:
    """Return the latencies of what began within windows."""
    return [taken for begin, taken in samples if any(window.has(begin) for window in windows)]


def of_load(load: Load) -> list[tuple[float, float]]:
    """Return (begin, latency) of each request; one that failed took for ever."""
    return [(sample.due, sample.latency if sample.good else load.client.timeout) for sample in within(load.samples)]


def limits(rig: Rig) -> Limits:
    """Let it happen, with everybody else asked all the time."""
    host, story = rig.hosts[0], Limits(rig)
    other, file = f"{OTHER}.example.org", "file.example.org"
    with (
        Load(host.address, rate=3, domain=file) as nginx,
        Load(host.address, rate=3, domain=other, asks=(Ask("/health/"),)) as neighbour,
        Logins(host) as logins,
    ):
        time.sleep(SETTLE)
        for kind, quota in BOMBS:
            story.rest()
            story.bomb(kind, quota)
            print(f"{kind} bomb, quota {quota}: over, back after {story.back[kind][-1]:.1f} s", flush=True)
        story.rest()
    story.rows += [row for kind in KINDS for row in story.outcome(kind)]
    story.compare("a file of nginx", of_load(nginx))
    story.compare("the other app", of_load(neighbour))
    story.compare("a login", logins.taken)
    story.rows += story.void()
    return story


def ip_filter(story: Limits) -> list[Row]:
    """In the app's control group, but in the host's network: nothing stands between but the filter of the group."""
    host, user = story.host, f"cl-{story.host.app}"
    host.put(CONNECT.encode(), "/usr/local/lib/connect.py")
    become = f"setpriv --reuid={user} --regid={user} --clear-groups python3 /usr/local/lib/connect.py 127.0.0.1"
    outside = host.sh(become).stdout.strip()
    inside = host.sh(f"echo $$ > {story.group}/cgroup.procs; {become}", check=False).stdout.strip()
    allowed = host.sh(
        "systemd-run --quiet --wait --pipe -p IPAddressDeny=any -p IPAddressAllow=localhost"
        " python3 /usr/local/lib/connect.py 127.0.0.1"
    ).stdout.strip()
    print(f"IP filter: {inside}; without {outside}; with localhost allowed {allowed}", flush=True)
    return [
        Row("IPAddressDeny: a connection got out", 1, int(inside == "connected")),
        Row("IPAddressDeny: void", 2, int(outside != "connected") + int(allowed != "connected")),
    ]


def kernel(suite: Suite) -> tuple[list[Row], str]:
    """Make the attempts at the kernel in the sandbox, and the same ones as root outside."""
    inside = suite.run(KERNEL)["outcomes"]
    root = suite.outside("root", KERNEL)
    absent = sorted(name for name, said in root.items() if said in ABSENT)
    void = sorted(name for name, said in root.items() if said != "allowed" and name not in absent)
    tried = {name: said for name, said in inside.items() if name not in absent}
    out = sorted(name for name, said in tried.items() if said == "allowed")
    rows = [
        Row("attempts at the kernel that got through", len(tried), len(out)),
        Row("attempts at the kernel, void", len(tried), len(void)),
        Row("attempts at what this kernel lacks", len(absent), len(absent), None),
    ]
    lines = ["| attempt | in the sandbox | as root outside |", "| --- | --- | --- |"]
    lines += [f"| {name} | {said} | {root[name]} |" for name, said in inside.items()]
    for name in [*out, *void]:
        print(f"  {name}: {inside[name]} inside, {root[name]} as root", flush=True)
    return rows, "\n".join(lines)


def prepare(rig: Rig) -> None:
    """Release the app that turns on its host, and the other one beside it."""
    host = rig.hosts[0]
    host.put(HERE / "host/bombs.py", CONFIG)
    host.put(FILE.encode(), "/etc/nginx/conf.d/file.conf")
    host.sh("mkdir -p /var/www/html; head -c 1000 /dev/zero > /var/www/html/index.html")
    one: dict[str, Any] = {
        "app_release_scale": {"worker": 0, "beat": 0},
        "app_release_health_timeout": 120,
        "app_release_timers": "none",
    }
    threads = {"GUNICORN_CMD_ARGS": f"--threads 2 --config {CONFIG}"}
    rig.release("v1", env=threads, app_sandbox_cpu_quota=HALF, **one).check()
    other = Host(host.name, OTHER, f"{OTHER}.example.org", host.variables)
    rig.release("v1", app_name=OTHER, app_release_domain=other.domain, **one).check()
    other.proxy()


def measure(rig: Rig, only: Sequence[str]) -> int:
    """Do the parts on a machine that was prepared, and write the page when all of them were."""
    host = rig.hosts[0]
    attempts: list[Row] = []
    bombs: list[Row] = []
    if "kernel" in only:
        attempts, table = kernel(Suite(host))
    if "limits" in only:
        story = limits(rig)
        bombs = [*story.rows, *ip_filter(story)]
    if attempts and bombs:
        facts = {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "systemd": host.sh("systemctl --version").stdout.splitlines()[0],
            "kernel": host.sh("uname -r").stdout.strip(),
            "processors, memory": host.sh("nproc; free -m | awk '/Mem/ {print $2 \" MB\"}'").stdout.replace("\n", " "),
            "virtual machine": host.sh("systemd-detect-virt").stdout.strip(),
        }
        report.write(PAGE, TITLE, INTRODUCTION, "Limits", report.section(bombs, facts, TEXT))
        report.write(PAGE, TITLE, INTRODUCTION, "The kernel itself", f"{report.section(attempts, facts)}\n{table}")
    return report.close([*bombs, *attempts])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make campaign-limits", description=__doc__)
    parser.add_argument("--only", action="append", default=[], choices=("limits", "kernel"), help="a part")
    only = parser.parse_args(argv).only or ["limits", "kernel"]
    beside.claim()
    with Rig("limits", image=IMAGE, backend="qemu") as rig:
        rig.publish("v1", f"{OTHER}:v1")
        prepare(rig)
        return measure(rig, only)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
