# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run inside the app's sandbox by the app's own Python: says where it can write, and what of that it can execute."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PLACES = [
    *("/", "/bin", "/boot", "/dev", "/dev/shm", "/etc", "/etc/systemd/system", "/home", "/media", "/mnt", "/opt"),
    *("/proc", "/root", "/run", "/run/containerless", "/run/systemd/system", "/srv", "/srv/containerless", "/sys"),
    *("/sys/fs/cgroup", "/tmp", "/usr", "/usr/local/bin", "/usr/local/lib/containerless", "/var", "/var/lib"),
    *("/var/lib/containerless", "/var/log", "/var/spool/cron", "/var/tmp", os.environ["STATE_DIRECTORY"]),
    *(str(place) for place in (Path.cwd(), Path(sys.executable).parent, Path(os.__file__).parent)),
]


def can_write(place: str) -> bool:
    probe = Path(place, "probe")
    try:
        shutil.copyfile("/usr/bin/true", probe)
        probe.chmod(0o700)
    except OSError:
        return False
    return True


def can_execute(place: str) -> bool:
    try:
        return subprocess.run([Path(place, "probe")], check=False).returncode == 0
    except OSError:
        return False


writable = [place for place in PLACES if can_write(place)]
print(json.dumps({"writable": sorted(writable), "executable": sorted(filter(can_execute, writable))}))
