# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines, artifacts and load for campaigns and benchmarks, around the app of tests/fixtures/rig.

    from ansible_collections.containerless.django.tests.rig import Load, Rig, summary

    with Rig("mine") as rig:                            # one nspawn machine with nginx; gone at the end
        host = rig.publish("v1", "v2").hosts[0]         # built once, kept below .cache/rig
        rig.release("v1").check()                       # a playbook: rc, output, recap, started, seconds
        with Load(host.address, rate=50) as load:       # open loop through nginx, in a thread
            rig.release("v1", env={"RIG_COLOUR": "red"}).check()
            bad = rig.release("v1", env={"RIG_FAULT": "import"}, app_release_health_timeout=5)
            back = rig.rollback().check()
        print(bad.rc, summary(load.samples, back.started, back.ended), load.failed())
        print(host.sh("containerless status rig").stdout)

Run it by `tools/run python -m ansible_collections.containerless.django.tests.rig.smoke`, or import it from pytest.

- Tags, processes and addresses of the app: tests/fixtures/rig/history.py, base/Procfile, base/rig/urls.py. What
  RIG_FAULT takes: base/rig/faults.py. RIG_COLOUR=anything makes another release of the same artifact; threads of
  gunicorn come by GUNICORN_CMD_ARGS. Each answer names its release in X-Release.
- `Rig(hosts=3, image="debian13", backend="qemu", settings={...})`: settings are variables of the inventory.
- `rig.play("release", **extra)` runs any playbook of the collection; `extra` are extra vars.
- `host.proxy(keepalive=True, backup=True)` writes nginx anew; `host.put(path or bytes, dest)` copies a file;
  `host.postgresql()` starts a database and returns RIG_DATABASE.
- `Sockets` holds websockets open (tag asgi); `capacity` measures what a host can answer.
- `driver.Driver` calls the engine on the host without Ansible.
"""

from __future__ import annotations

from .core import APP, DOMAIN, Rig
from .figures import Sample, Summary, gap, percentile, summary
from .hosts import Host
from .load import Ask, Load, capacity
from .plays import Played
from .sockets import Sockets

__all__ = [
    "APP",
    "DOMAIN",
    "Ask",
    "Host",
    "Load",
    "Played",
    "Rig",
    "Sample",
    "Sockets",
    "Summary",
    "capacity",
    "gap",
    "percentile",
    "summary",
]
