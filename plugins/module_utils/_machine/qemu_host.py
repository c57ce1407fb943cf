# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a virtual machine on this host, with KVM if that really works here."""

from __future__ import annotations

import json
import os
import platform
import select
import shutil
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import claims, host, processes
from .qemu import BINARY, BOOTED, Plan, overlay_argv, pick_port, probe_argv, qemu_argv, smbios_credential

if TYPE_CHECKING:
    from .paths import Cache, ImagePaths, MachinePaths
    from .state import State

KVM = Path("/dev/kvm")
# With KVM the kernel gets there in one second.
PROBE_SECONDS = 20


def require_tools() -> None:
    """What has to be installed."""
    host.require([BINARY, "qemu-img", "ssh", "ssh-keygen"])


def plan(draft: State, cache: Cache, paths: MachinePaths) -> State:
    """Give the machine its ports, on paper."""
    key = f"{draft.project}/{draft.name}"
    port = claims.claim(cache.ports, paths.root, lambda taken: pick_port(key, taken, _is_free))
    return replace(draft, host="127.0.0.1", port=port, http=f"http://127.0.0.1:{port + 1}")


def start(state: State, paths: MachinePaths, image: ImagePaths, *, memory: int, cpus: int, kvm: bool) -> None:
    """Boot the machine; it outlives this process."""
    if not paths.disk.exists():
        host.run(overlay_argv(image, paths))
    paths.smbios.touch(mode=0o600)
    paths.smbios.write_text(smbios_credential(paths.identity.read_text()))
    plan = Plan(
        name=state.name,
        image=image,
        paths=paths,
        ssh_port=state.port,
        http_port=state.port + 1,
        memory=memory,
        cpus=cpus,
        kvm=kvm,
    )
    processes.start(qemu_argv(plan), paths.root, paths.console)


def kvm_works(cache: Cache, image: ImagePaths) -> bool:
    """Whether KVM boots the image's kernel: it may open and still be unusable, so try it once and remember."""
    if not os.access(KVM, os.R_OK | os.W_OK) or shutil.which(BINARY, path=host.search_path()) is None:
        return False
    key = f"{platform.node()} {platform.release()} {host.run([BINARY, '--version']).splitlines()[0]}"
    try:
        verdicts = json.loads(cache.kvm_verdicts.read_text())
    except (OSError, ValueError):
        verdicts = {}
    if key not in verdicts:
        verdicts[key] = _probe(image)
        cache.kvm_verdicts.write_text(json.dumps(verdicts, indent=2) + "\n")
    return bool(verdicts[key])


def _probe(image: ImagePaths) -> bool:
    limit = time.monotonic() + PROBE_SECONDS
    guest = subprocess.Popen(
        probe_argv(image), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )
    said = b""
    try:
        while BOOTED not in said and (left := limit - time.monotonic()) > 0:
            if guest.stdout is None or not select.select([guest.stdout], [], [], left)[0]:
                break
            chunk = guest.stdout.read(4096)
            if not chunk:
                break
            said += chunk
    finally:
        guest.kill()
        guest.wait()
    return BOOTED in said


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
