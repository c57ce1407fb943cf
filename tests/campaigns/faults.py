# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host can meet beside a power cut: disks that are full, read-only or late, clocks that jump, a slow init.

Each fault meets a release from v1 to v2 while a client asks through nginx. It ends refused, undone or done; the old
release serves until the new one does; the reason is a sentence that names what to change; and once the fault is over
the next run works, with nothing cleaned by hand. Clocks and memory limits are the kernel's, so those faults meet a
virtual machine: one of systemd-nspawn shares the clock of this very host.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...plugins.module_utils._machine.nspawn import Mount
from ..rig import Load
from ..rig.driver import PLACE
from . import disks, judge
from .base import Base
from .boots import Booted
from .judge import Verdict
from .vm import VmError

STATE = "/var/lib/containerless"
REFUSED, UNDONE, DONE = "refused", "undone", "done"
#: What fails before its ledger line is undone without one.
UNPACKING = (REFUSED, UNDONE)
#: How far /srv may fill while the artifact is unpacked, in MiB: less than its tree needs.
LITTLE = 4


@dataclass
class Trial:
    """A machine with v1 live, and the release that meets a fault on it."""

    base: Base
    machine: Any
    leader: int = 0
    mend: list[str] = field(default_factory=list)

    def sh(self, script: str, *, check: bool = True) -> str:
        return str(self.machine.sh(script, check=check).out)

    def job(self, name: str, calls: int = 3, **options: Any) -> str:
        """Write a job with other options for its first calls; return its path."""
        job = json.loads(self.machine.run("cat", f"{PLACE}/{name}.json", check=True).out)
        job["calls"] = [{**call, **options} for call in job["calls"][:calls]]
        path = f"{PLACE}/job.json"
        self.machine.run("sh", "-c", f"cat > {path}", stdin=json.dumps(job), check=True)
        return path

    def release(self, job: str, at: Mapping[str, Callable[[], object]]) -> list[dict[str, Any]]:
        """Run a job; at the named points something happens on the way. Returns the results of its calls."""
        missed = set(at)
        line = self.machine.open("python3", "-I", f"{PLACE}/halt.py", job)
        while "point" in (told := json.loads(line or '{"results": [{"failed": "it ended without an answer"}]}')):
            if told["point"] in missed:
                at[told["point"]]()
                missed.discard(told["point"])
            line = self.machine.tell("go on")
        if missed:
            why = next((result["failed"] for result in told["results"] if "failed" in result), "nothing failed")
            raise VmError(f"it never came to {', '.join(missed)}: {why}")
        return list(told["results"])

    def later(self, script: str) -> None:
        """Remember what ends the fault."""
        self.mend.append(script)

    def fill(self, place: str, left: int = 0) -> None:
        """Write a file system full but for some MiB."""
        self.later(f"rm -f {place}/filler")
        self.sh(
            f"dd if=/dev/zero of={place}/filler bs=16k 2> /dev/null || true; truncate -c -s -{left}M {place}/filler"
        )

    def use_inodes(self, place: str) -> None:
        self.later(f"rm -rf {place}/many")
        self.sh(f"mkdir {place}/many; cd {place}/many; seq 1000000 | xargs touch 2> /dev/null || true")

    def protect(self, place: str) -> None:
        """Make a folder read-only, for programs that run too."""
        self.later(f"umount {place}")
        self.sh(f"mount --bind {place} {place} && mount -o remount,bind,ro {place}")


@dataclass(frozen=True)
class Fault:
    """One fault: what it does and returns, how the release may end, what its sentence must say."""

    name: str
    meet: Callable[[Trial], list[dict[str, Any]]]
    ends: tuple[str, ...]
    says: str = ""
    #: Places of the machine with a file system of their own: MiB and, where not 0, inodes beside what is there.
    small: tuple[tuple[str, int, int], ...] = ()
    vm: bool = False
    #: The site is not up before the fault is over.
    silent: bool = False


def plain(trial: Trial, at: Mapping[str, Callable[[], object]] | None = None) -> list[dict[str, Any]]:
    return trial.release(trial.job("release"), at or {})


def before(act: Callable[[Trial], object]) -> Callable[[Trial], list[dict[str, Any]]]:
    """The fault is there before the release begins."""

    def meet(trial: Trial) -> list[dict[str, Any]]:
        act(trial)
        return plain(trial)

    return meet


def during(point: str, act: Callable[[Trial], object]) -> Callable[[Trial], list[dict[str, Any]]]:
    """The fault comes at a point of the release."""
    return lambda trial: plain(trial, {point: lambda: act(trial)})


def busy(trial: Trial) -> list[dict[str, Any]]:
    """Systemd reads its units all the time, has hundreds of jobs, and stands still for eight seconds."""
    trial.later("systemctl stop 'busy-*'")
    trial.sh(
        "for n in 1 2; do systemd-run --quiet --unit=busy-$n sh -c 'while :; do systemctl daemon-reload; done'; done;"
        "for n in $(seq 100); do systemd-run --quiet --no-block --unit=busy-job-$n sleep 600; done"
    )
    return plain(trial, {"activated/start": lambda: stand_still(trial, 8)})


def stand_still(trial: Trial, seconds: float) -> None:
    """Stop the machine's first process for a while; the release goes on."""
    os.kill(trial.leader, signal.SIGSTOP)
    threading.Timer(seconds, lambda: os.kill(trial.leader, signal.SIGCONT)).start()


def jump(trial: Trial, by: str) -> None:
    trial.sh(f'date --set="{by}"')


def jump_unconfirmed(trial: Trial) -> list[dict[str, Any]]:
    """The clock goes back a day and nobody confirms: the dead man's switch must come in its own time."""
    job = trial.job("release", calls=2, confirm_timeout=15)
    results = trial.release(job, {"activated/watch": lambda: jump(trial, "1 day ago")})
    if not any("failed" in result for result in results):
        begin = time.monotonic()
        while judge.look(trial.machine, "serving")["release"] != trial.base.old:
            if time.monotonic() - begin > 90:
                return [{"failed": "nobody took the release back"}]
            time.sleep(0.5)
        return [{"failed": "the switch let go"}]
    return results


def hungry(trial: Trial) -> list[dict[str, Any]]:
    return trial.release(trial.job("hungry"), {})


LATE = """\
systemctl stop 'containerless-rig-*' containerless-rig.service
mkdir /var/late && mv /srv/containerless /var/late/
cat > /etc/systemd/system/late.service <<END
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=sleep 6
END
cat > /etc/systemd/system/srv.mount <<END
[Unit]
DefaultDependencies=no
Requires=late.service
After=late.service
Conflicts=umount.target
[Mount]
What=/var/late
Where=/srv
Options=bind
[Install]
WantedBy=multi-user.target
END
systemctl enable --quiet srv.mount
"""


def late(trial: Trial) -> list[dict[str, Any]]:
    """The host boots and /srv comes six seconds later: until then there is no answer, then at once the right one."""
    trial.sh(LATE)
    trial.machine.start()
    seen: list[str] = []
    with Load(trial.machine.address, rate=10, timeout=5) as load:
        while not any(sample.good for sample in list(load.samples)):
            mounted = trial.sh("findmnt -n /srv || true").strip()
            units = trial.sh("ls /run/systemd/system | grep -c ^containerless-rig- || true").strip()
            if not mounted and units != "0":
                seen.append(f"{units} units before /srv was there")
            if len(load.samples) > 900:
                return [{"failed": "the site did not come up"}]
            time.sleep(0.2)
    strange = {sample.release for sample in load.samples if sample.good} - {trial.base.old}
    seen += [f"{', '.join(strange)} answered"] if strange else []
    return [{"failed": "; ".join(seen)}] if seen else plain(trial)


def reboot_with(spoil: Callable[[Trial], object]) -> Callable[[Trial], list[dict[str, Any]]]:
    """The host boots with a file system on which nobody can write: what is live comes up all the same."""

    def meet(trial: Trial) -> list[dict[str, Any]]:
        spoil(trial)
        trial.machine.start()
        with Load(trial.machine.address, rate=10, timeout=5) as load:
            deadline = time.monotonic() + 30
            while not any(sample.good for sample in list(load.samples)) and time.monotonic() < deadline:
                time.sleep(0.2)
        if not any(sample.good for sample in load.samples):
            said = trial.sh("journalctl -n 5 -o cat -u containerless-rig", check=False)
            return [{"failed": f"the site did not come up: {said}"}]
        return plain(trial)

    return meet


def protect_at_boot(trial: Trial, place: str) -> None:
    unit = trial.sh(f"systemd-escape --path --suffix=mount {place}").strip()
    text = f"[Mount]\nWhat={place}\nWhere={place}\nOptions=bind,ro\n[Install]\nWantedBy=local-fs.target\n"
    trial.machine.sh(f"cat > /etc/systemd/system/{unit}; systemctl enable --quiet {unit}", stdin=text)
    # Its text goes too: units that need the place would mount it again.
    forget = f"rm /etc/systemd/system/{unit}; systemctl daemon-reload"
    trial.later(f"systemctl disable --quiet {unit}; {forget}; umount {place}")


def too_early(trial: Trial) -> list[dict[str, Any]]:
    """A release comes while /srv is not there yet."""
    trial.sh(LATE)
    trial.machine.start()
    time.sleep(2)  # systemd takes commands by then, and four seconds are left
    results = plain(trial)
    for command in ("containerless status rig", "findmnt /srv"):
        trial.later(f"until {command} > /dev/null; do sleep 0.2; done")
    return results


SRV, VAR = ("/srv", 120, 0), (STATE, 8, 0)
FULL = "No space left|not enough disk|disk is full"
READ_ONLY = "[Rr]ead-only"
FAULTS = (
    Fault("/srv is full", before(lambda t: t.fill("/srv", LITTLE)), (REFUSED,), "not enough disk below /srv", (SRV,)),
    Fault(
        "/srv fills while unpacking", during("staged/unpack", lambda t: t.fill("/srv", LITTLE)), UNPACKING, FULL, (SRV,)
    ),
    Fault(f"{STATE} is full", before(lambda t: t.fill(STATE)), (REFUSED,), f"not enough disk below {STATE}", (VAR,)),
    Fault(f"{STATE} fills at start", during("activated/start", lambda t: t.fill(STATE)), (UNDONE,), FULL, (VAR,)),
    Fault(
        f"{STATE} fills at the commit",
        during("activated/commit active", lambda t: t.fill(STATE)),
        (UNDONE,),
        FULL,
        (VAR,),
    ),
    Fault(
        "/srv has no inodes",
        before(lambda t: t.use_inodes("/srv")),
        (REFUSED,),
        "not enough inodes below /srv",
        (("/srv", 120, 10000),),
    ),
    Fault(
        "/srv loses its inodes",
        during("staged/unpack", lambda t: t.use_inodes("/srv")),
        UNPACKING,
        "inodes|No space left",
        (("/srv", 120, 10000),),
    ),
    Fault("/srv is read-only", before(lambda t: t.protect("/srv")), (REFUSED,), READ_ONLY),
    Fault("/etc is read-only", before(lambda t: t.protect("/etc")), (REFUSED,), READ_ONLY),
    Fault(f"{STATE} is read-only", before(lambda t: t.protect(STATE)), (REFUSED,), READ_ONLY),
    Fault("/srv becomes read-only", during("staged/unpack", lambda t: t.protect("/srv")), UNPACKING, READ_ONLY),
    Fault(
        f"{STATE} becomes read-only", during("activated/health", lambda t: t.protect(STATE)), (UNDONE,), "[Rr]ead-only"
    ),
    Fault("/srv is mounted late", late, (DONE,), silent=True),
    Fault("a release before /srv is mounted", too_early, (REFUSED,), "is not there, though", silent=True),
    Fault(
        "a boot with /srv read-only",
        reboot_with(lambda t: protect_at_boot(t, "/srv")),
        (REFUSED,),
        READ_ONLY,
        silent=True,
    ),
    Fault(
        f"a boot with {STATE} read-only",
        reboot_with(lambda t: protect_at_boot(t, STATE)),
        (REFUSED,),
        READ_ONLY,
        silent=True,
    ),
    Fault(
        f"a boot with {STATE} full",
        reboot_with(lambda t: t.fill(STATE)),
        (REFUSED,),
        f"not enough disk below {STATE}",
        (VAR,),
        silent=True,
    ),
    Fault("systemd is busy", busy, (DONE,)),
    Fault("systemd stands still for 40 s", during("activated/start", lambda t: stand_still(t, 40)), (DONE, UNDONE)),
    Fault("clock a day back in the watch", during("activated/watch", lambda t: jump(t, "1 day ago")), (DONE,), vm=True),
    Fault("clock a year on in the watch", during("activated/watch", lambda t: jump(t, "1 year")), (DONE,), vm=True),
    Fault("clock a day back, nobody confirms", jump_unconfirmed, (UNDONE,), "let go", vm=True),
    Fault("out of memory at start", hungry, (UNDONE,), "(?i)oom|memory", vm=True),
)


@contextmanager
def trial(base: Base, fault: Fault, folder: Path) -> Iterator[Trial]:
    """A machine of its own for one fault, with small file systems where it wants them."""
    if fault.vm:
        with base.vm("release", folder) as vm:
            yield Trial(base, vm)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        root = stack.enter_context(disks.mounted(base.root, folder / "mount/rootfs", "loop,ro"))
        mounts = tuple(small(root, place, spare, inodes, folder) for place, spare, inodes in fault.small)
        machine = stack.enter_context(Booted(folder / "booted", root.parent, mounts))
        machine.wait_booted()
        judge.look(machine, "settled", "30")
        yield Trial(base, machine, machine.leader)


def small(root: Path, place: str, spare: int, inodes: int, folder: Path) -> Mount:
    """Make a file system with what stands at a place and little beside it."""
    source, image = root / place.lstrip("/"), folder / f"{place.replace('/', '-')}.img"
    image.unlink(missing_ok=True)
    used = int(subprocess.run(["du", "-sm", str(source)], capture_output=True, text=True, check=True).stdout.split()[0])
    count = ["-N", str(inodes + sum(1 for _ in source.rglob("*")))] if inodes else []
    disks.run("mkfs.ext4", "-q", "-F", "-m", "0", "-d", str(source), *count, str(image), f"{used + spare}M")
    return Mount(image, place)


def attempt(base: Base, fault: Fault, folder: Path) -> Verdict:
    """Let a release meet a fault and judge both the way and the end."""
    begin, verdict = time.monotonic(), Verdict("faults", f"faults: {fault.name}")
    try:
        with trial(base, fault, folder) as made:
            with ExitStack() as stack:
                load = None if fault.silent else stack.enter_context(Load(made.machine.address, rate=10, timeout=60))
                _meet(made, fault, verdict)
            if load and load.failed():
                verdict.found.append(f"{len(load.failed())} of {len(load.samples)} requests failed: {load.failed()[0]}")
    except (VmError, OSError, ValueError) as exc:
        verdict.found.append(f"{type(exc).__name__}: {exc}")
    verdict.seconds = round(time.monotonic() - begin, 1)
    return verdict


def _meet(made: Trial, fault: Fault, verdict: Verdict) -> None:
    before_it = activations(made)
    results = fault.meet(made)
    said = str(results[-1].get("failed", ""))
    verdict.said = " ".join(said.split())[:400]
    ended = DONE if not said else REFUSED if activations(made) == before_it else UNDONE
    if ended not in fault.ends:
        verdict.found.append(f"{ended} and not {' or '.join(fault.ends)}: {verdict.said}")
    elif said and not re.search(fault.says, said + str(results[-1].get("evidence", ""))):
        verdict.found.append(f"the reason does not say {fault.says!r}: {verdict.said}")
    if not fault.silent:
        now = judge.look(made.machine, "serving")
        wanted = made.base.new if ended == DONE else made.base.old
        if now["answer"] != f"200 {wanted}":
            verdict.found.append(f"{now['answer']} while the fault lasts, and not {wanted}")
    for script in reversed(made.mend):
        made.sh(script, check=False)
    if ended == DONE:
        verdict.found += judge.look(made.machine, "settled", str(judge.SETTLE))["complaints"]
    else:
        judge.again(made.machine, verdict)
    verdict.release = judge.look(made.machine, "serving")["release"]
    if verdict.release != made.base.new:
        verdict.found.append(f"{verdict.release} is live in the end")


def activations(made: Trial) -> int:
    """Return how many releases this host has begun so far, by its ledger."""
    out = made.sh(f"cat {STATE}/rig/ledger.jsonl")
    return max((json.loads(line)["activation"] for line in out.splitlines()), default=0)
