# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test left on its control node, and on a host that was given to it: a line for each thing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ...plugins.module_utils._core.errors import ContainerlessError
from ...plugins.module_utils._machine import nspawn, processes
from ...plugins.module_utils._machine.names import Link
from ...plugins.module_utils._machine.nspawn_host import LINKS
from ...plugins.plugin_utils._repository import Repository
from ...plugins.plugin_utils._store import open_store
from ..rig import Host
from . import control

#: What a file is called before it gets its name: by the library of the store, and by us.
_HALF = re.compile(r"#\d+$|^\.")
#: The client of level full is one of the units.
_HOST = """
for place in /srv/containerless /etc/containerless /var/lib/containerless /run/containerless; do
  test ! -e $place/{app} || echo "folder $place/{app}"
done
systemctl list-units --all --plain --no-legend 'containerless-{app}[-.]*' | sed 's/^/unit /'
getent passwd cl-{app} | sed 's/^/user /' || :
ps -eo user:32=,pid=,args= | grep '^cl-{app} ' | sed 's/^/process of /' || :
pgrep -fa BECOME-SUCCES[S] | sed 's/^/module /' || :
ip -oneline address show to 169.254.169.254 | sed 's/^/address /'
! systemctl is-active -q postgresql || {{ cd /; runuser -u postgres -- psql -Atc "
  select 'database ' || datname from pg_database where datname = '{app}'
  union all select 'role ' || rolname from pg_roles where rolname = 'cl-{app}'"; }}
"""


def on_host(host: Host) -> list[str]:
    """Return what there is of the app on a host."""
    return host.sh(_HOST.format(app=host.app)).stdout.splitlines()


def on_control(machines: Path, mark: str, *, shared: bool) -> list[str]:
    """Return what there is of machines below a folder, and of a run; `shared`: connections that ssh keeps count too."""
    return [*_machines(machines), *_networks(machines), *_run(mark, shared)]


def half_written(store: Path, reports: Path, app: str) -> list[str]:
    """Return files that are not whole: those without their name, and records that say nothing."""
    files = [path for folder in (store, reports) for path in folder.rglob("*") if path.is_file()]
    half = [f"half a file {path.name}" for path in files if _HALF.search(path.name)]
    shelf = Repository(open_store(store.as_uri()), app)
    for path in store.rglob("records/*.json"):
        try:
            shelf.record(path.parents[1].name, path.stem)
        except ContainerlessError as exc:
            half.append(f"half a record: {exc}")
    return half


def _machines(folder: Path) -> Iterator[str]:
    for path in folder.glob("*"):
        yield f"machine {path.name}"
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{processes.MARK}={folder}/".encode() in (entry / "environ").read_bytes():
                yield f"process {entry.name} of a machine"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        if str(folder) in line:
            yield f"mount {line.split()[4]}"


def _networks(folder: Path) -> Iterator[str]:
    """Yield claims of our machines, and what of networks nobody claims: it may have been theirs."""
    claims = {}
    for path in LINKS.glob("*"):
        with suppress(OSError, ValueError):
            claims[int(path.name)] = path.read_text(encoding="utf-8")
    yield from (f"claim {index}" for index, holder in claims.items() if holder.startswith(f"{folder}/"))
    held = {Link(index).interface for index in claims}
    yield from (f"interface {path.name}" for path in Path("/sys/class/net").glob("clm*") if path.name not in held)
    mounts, own = (Path(f"/proc/self/{name}").read_text(encoding="utf-8") for name in ("mounts", "cgroup"))
    for group in map(Path, nspawn.own_cgroups(mounts, own, "machine-clm*")):
        for path in group.parent.glob(group.name):
            if path.name.removeprefix("machine-") not in held:
                yield f"control group {path}"


def _run(mark: str, shared: bool) -> Iterator[str]:
    for pid in control.marked(mark):
        if shared or not control.is_shared(pid):
            yield f"process {pid} of the run"
