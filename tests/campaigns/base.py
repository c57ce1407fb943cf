# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every power cut starts from: virtual machines that were put to sleep, with v1 live and with v2 live.

The first release is made on an nspawn machine, at full speed; its folder becomes the disk of a virtual machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...plugins.module_utils._machine import processes, qemu_host
from ...plugins.module_utils._machine.names import project_of
from ...plugins.module_utils._machine.paths import Cache, ImagePaths, MachinePaths, default_cache
from ...plugins.module_utils._machine.recipes import recipe
from ...plugins.module_utils._release import tool
from ...tools import bootstrap
from ..rig import APP, Host, Rig
from ..rig.driver import PLACE
from . import disks, stories
from .bench import Bench, Call, run_id
from .disks import overlay
from .vm import Vm, VmError, qcow2

HERE = Path(__file__).resolve().parent
FOLDER = bootstrap.CACHE / "campaigns/power"
IMAGE = "debian12"
SIZE = "3G"
#: The disk of every machine is written, flushed and cut at these stories.
STORIES = ("release", "rollback")
#: A machine without KVM must not lose its lease to its own slowness.
OPTIONS: dict[str, Any] = {"drain": 1, "lock_wait": 120, "watch": 2, "confirm_timeout": 600}
PATIENT = {"app_release_health_timeout": 60}
UNIT = f"""\
[Unit]
Description=Does what the campaign says
ConditionVirtualization=vm
[Service]
ExecStart=/usr/bin/python3 -I {PLACE}/agent.py
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Base:
    """The files of the prepared machines, and the releases on them."""

    key: str
    old: str
    new: str
    kvm: bool

    @property
    def image(self) -> ImagePaths:
        return Cache(default_cache(os.environ)).image(recipe(IMAGE).folder)

    @property
    def root(self) -> Path:
        """The disk as the nspawn machine left it, never booted as a virtual machine."""
        return FOLDER / "root.raw"

    def disk(self, story: str) -> Path:
        """The disk of the machine that sleeps before a story."""
        return FOLDER / f"{story}.qcow2"

    def memory(self, story: str) -> Path:
        return FOLDER / f"{story}.memory"

    def vm(self, story: str, folder: Path, writelog: Path | None = None) -> Vm:
        """The machine that is about to do a story, awake, with a new disk over its own."""
        folder.mkdir(parents=True, exist_ok=True)
        disk = overlay(self.disk(story), folder / "disk.qcow2", "qcow2")
        return Vm(folder, self.image, qcow2(disk, writelog), kvm=self.kvm, memory=self.memory(story))

    def boot(self, disk: Path, folder: Path, cpus: int = 2) -> Vm:
        """A machine that boots from this qcow2 disk."""
        return Vm(folder, self.image, qcow2(disk), kvm=self.kvm, cpus=cpus)


def prepare() -> Base:
    """Make the machines, or take those that were made of this very code."""
    key, told = _key(), FOLDER / "base.json"
    known = Base(**json.loads(told.read_text(encoding="utf-8"))) if told.exists() else None
    if known is None or known.key != key:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for entry in FOLDER.iterdir():  # it may be a mount
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        known = _first(key)
        told.write_text(json.dumps(asdict(known)), encoding="utf-8")
    for story, make in (("release", _before_release), ("rollback", _before_rollback)):
        if not known.memory(story).exists():
            with make(known) as vm:
                if story == "rollback":
                    succeed(vm, "release")
                settle(vm)
                aside = known.memory(story).with_suffix(".new")
                vm.save(aside)
                aside.rename(known.memory(story))
            print(f"a virtual machine sleeps before the {story}", flush=True)
    return known


def _first(key: str) -> Base:
    """Bring v1 live on an nspawn machine and make a disk of it."""
    with Rig("power", settings=PATIENT) as rig:
        rig.publish("v1", "v2")
        bench = Bench(rig, rig.hosts[0])
        old, new = _install(bench)
        cache = Cache(default_cache(os.environ))
        base = Base(key, old, new, qemu_host.kvm_works(cache, cache.image(recipe(IMAGE).folder)))
        paths = cache.machine(project_of(str(rig.folder.resolve())), rig.hosts[0].name)
        _power_off(rig.hosts[0], paths)
        disks.make([paths.upper, base.image.rootfs], base.root, SIZE)
    print("v1 is live on a disk", flush=True)
    return base


def _before_release(base: Base) -> Vm:
    return base.boot(overlay(base.root, base.disk("release"), "raw"), FOLDER / "make")


def _before_rollback(base: Base) -> Vm:
    disk = overlay(base.disk("release"), base.disk("rollback"), "qcow2")
    return Vm(FOLDER / "make", base.image, qcow2(disk), kvm=base.kvm, memory=base.memory("release"))


def _key() -> str:
    """Name the code that everything was made of."""
    total = hashlib.sha256(tool.pack(str(bootstrap.ROOT / "plugins/module_utils"))[0].encode())
    total.update(recipe(IMAGE).digest.encode())
    places = ("tests/campaigns/host", "tests/fixtures/rig", "tests/rig", "roles/app_release", "roles/app_sandbox")
    files = [HERE / "base.py", HERE / "vm.py"]
    files += [path for place in places for path in sorted((bootstrap.ROOT / place).rglob("*"))]
    for path in files:
        if path.is_file() and path.suffix != ".pyc":
            total.update(path.read_bytes())
    return total.hexdigest()


def _install(bench: Bench) -> tuple[str, str]:
    """Bring v1 live and put everything that later runs need onto the machine; return the two releases."""
    first, second, again = (_calls(bench, tag) for tag in ("v1", "v2", "v2"))
    bench.succeed(first, run_id())
    if complaints := bench.look("settled", "40")["complaints"]:
        raise RuntimeError(f"v1 is not whole: {complaints}")
    old, new = (calls[0]["desired"]["release_id"] for calls in (first, second))
    sandbox = bench.driver.known["config"]["sandbox"]
    small = {**sandbox, "limits": {**sandbox["limits"], "memory_max": "16M", "memory_high": ""}}
    hungry = _calls(bench, "v2", config={"sandbox": small})
    back = [bench.call("", "rolled_back", **{**OPTIONS, "to": old, "accept_newer_schema": True})]
    jobs = {"release": second, "rollback": back, "again": again, "hungry": hungry}
    for name, calls in jobs.items():
        bench.host.put(json.dumps(bench.job(calls, run_id(), None)).encode(), f"{PLACE}/{name}.json")
    for script in ("agent", "halt"):
        bench.host.put((HERE / f"host/{script}.py").read_bytes(), f"{PLACE}/{script}.py")
    bench.host.put(UNIT.encode(), "/etc/systemd/system/containerless-campaign.service")
    bench.host.sh("systemctl enable --quiet containerless-campaign")
    return old, new


def _calls(bench: Bench, tag: str, **options: Any) -> list[Call]:
    return stories.release(bench, tag, **{**OPTIONS, **options})


def _power_off(host: Host, paths: MachinePaths) -> None:
    host.sh("systemctl poweroff", check=False)
    deadline = time.monotonic() + 60
    while processes.marked(paths.root) and time.monotonic() < deadline:
        time.sleep(0.1)
    processes.end(paths.root)


def succeed(vm: Vm, job: str) -> None:
    """Run a job to its end."""
    said = vm.run("python3", "-I", f"{PLACE}/halt.py", f"{PLACE}/{job}.json", "none")
    results = json.loads(said.out.splitlines()[-1])["results"] if said.out else [{"failed": said.err}]
    if failed := [result["failed"] for result in results if "failed" in result]:
        raise VmError(f"{job}: {failed[0]}")


def settle(vm: Vm) -> None:
    """Wait until the machine does nothing more and the site is whole."""
    vm.wait_booted()
    look = json.loads(vm.run("python3", "-I", f"{PLACE}/look.py", APP, "settled", "120", check=True).out)
    if look["complaints"]:
        raise VmError(f"the machine is not whole: {look['complaints']}")
    vm.sh("sync")
