# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines come and go: everything is written down before it is made, so whatever is left of one can be removed."""

from __future__ import annotations

import shlex
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import cgroups, claims, host, images, nspawn_host, processes, qemu_host, ssh
from .backends import NSPAWN, choose
from .errors import MachineError
from .identity import Identity, known_hosts, tmpfiles
from .locks import locked_folder
from .recipes import USER, Recipe
from .state import State, load, save

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .paths import Cache, MachinePaths


@dataclass(frozen=True)
class Wish:
    """The machine that somebody asked for."""

    name: str
    project: str
    recipe: Recipe
    backend: str
    memory: int
    cpus: int
    timeout: int


@dataclass(frozen=True)
class Machine:
    """A machine that answers."""

    state: State
    paths: MachinePaths
    progress: Path
    system_state: str

    def facts(self) -> dict[str, object]:
        """What its user needs to know."""
        state, paths = self.state, self.paths
        pids = processes.marked(paths.root)
        return {
            "name": state.name,
            "project": state.project,
            "image": state.image,
            "backend": state.backend,
            "host": state.host,
            "port": state.port,
            "user": USER,
            "http": state.http,
            "private_key": str(paths.key),
            "known_hosts": str(paths.known_hosts),
            "work_dir": str(paths.root),
            "console": str(paths.console),
            "progress": str(self.progress),
            "ssh": shlex.join(ssh.argv(paths, state.host, state.port)),
            "pid": pids[0] if pids else 0,
            "system_state": self.system_state,
            "hostvars": self.hostvars(),
        }

    def hostvars(self) -> dict[str, object]:
        """What Ansible needs to know.

        A login without KVM takes seconds; a task whose machine is gone with its playbook asks for it that long, twice.
        """
        return {
            "ansible_connection": "ssh",
            "ansible_host": self.state.host,
            "ansible_port": self.state.port,
            "ansible_user": USER,
            "ansible_ssh_private_key_file": str(self.paths.key),
            "ansible_ssh_common_args": shlex.join(ssh.options(self.paths)),
            "ansible_ssh_pipelining": True,
            "ansible_timeout": 20 if self.state.backend == NSPAWN else 60,
            "ansible_python_interpreter": "/usr/bin/python3",
            "app_machine_http": self.state.http,
            "app_machine_ssh": shlex.join(ssh.argv(self.paths, self.state.host, self.state.port)),
            "app_machine_facts": {
                "image": self.state.image,
                "backend": self.state.backend,
                "unenforced": cgroups.unenforced() if self.state.backend == NSPAWN else [],
            },
        }


def running(cache: Cache, wish: Wish) -> Machine | None:
    """The machine as it is, when present() would have nothing to do."""
    paths = cache.machine(wish.project, wish.name)
    state = load(paths.state)
    if state is None or not state.made or not processes.marked(paths.root):
        return None
    _require_same(state, wish)
    return Machine(state, paths, cache.image(f"{state.image}-{state.recipe}").progress, system_state="")


def present(cache: Cache, wish: Wish) -> tuple[Machine, bool]:
    """The machine, running and answering; and whether anything had to be done for it."""
    paths = cache.machine(wish.project, wish.name)
    paths.check()
    with locked_folder(paths.root):
        state = load(paths.state)
        if state is not None and state.made:
            _require_same(state, wish)
            changed = not processes.marked(paths.root)
            return _start(cache, wish, paths, state, changed), changed
        with _undone_on_failure(cache, paths):
            _empty(cache, paths)
            return _start(cache, wish, paths, _plan(cache, wish, paths), start=True), True


def absent(cache: Cache, project: str, name: str) -> bool:
    """Remove the machine whatever its condition; says whether there was any."""
    paths = cache.machine(project, name)
    if not paths.root.is_dir():
        return processes.end(paths.root)
    with locked_folder(paths.root):
        _remove(cache, paths)
    return True


def names(cache: Cache, project: str) -> list[str]:
    """All machines of a project, half-made ones too."""
    folder = cache.project(project)
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def _require_same(state: State, wish: Wish) -> None:
    if state.image != wish.recipe.name or wish.backend not in ("auto", state.backend):
        raise MachineError(
            f"name: {state.name} exists with image {state.image} on {state.backend}; remove it first (state: absent)."
        )


def _plan(cache: Cache, wish: Wish, paths: MachinePaths) -> State:
    """Build the image, choose the backend and write down all that will be made."""
    image = cache.image(wish.recipe.folder)
    images.ensure(cache, wish.recipe)
    backend = choose(wish.backend, host.is_root(), lambda: qemu_host.kvm_works(cache, image))
    if backend == NSPAWN:
        nspawn_host.require_tools()
    else:
        qemu_host.require_tools()
        images.ensure_disk(image)
    draft = State(
        name=wish.name,
        project=wish.project,
        image=wish.recipe.name,
        recipe=wish.recipe.digest,
        backend=backend,
        host="",
        port=0,
        http="",
    )
    state = nspawn_host.plan(draft, paths) if backend == NSPAWN else qemu_host.plan(draft, cache, paths)
    save(paths.state, state)
    return state


def _start(cache: Cache, wish: Wish, paths: MachinePaths, state: State, start: bool) -> Machine:
    image = cache.image(f"{state.image}-{state.recipe}")
    deadline = time.monotonic() + wish.timeout
    if not state.made:
        _write_identity(paths, state)
    if start and state.backend == NSPAWN:
        nspawn_host.start(state, paths, image)
    elif start:
        qemu_host.start(state, paths, image, memory=wish.memory, cpus=wish.cpus, kvm=qemu_host.kvm_works(cache, image))
    system = ssh.wait(paths, state.host, state.port, deadline, lambda: bool(processes.marked(paths.root)))
    if not state.made:
        state = replace(state, made=True)
        save(paths.state, state)
    return Machine(state, paths, image.progress, system)


def _write_identity(paths: MachinePaths, state: State) -> None:
    ssh.make_key(paths.key, f"{USER}@{state.name}")
    ssh.make_key(paths.host_key, state.name)
    host_public_key = ssh.public_key(paths.host_key)
    identity = Identity(state.name, ssh.public_key(paths.key), paths.host_key.read_text(), host_public_key)
    paths.identity.touch(mode=0o600)
    paths.identity.write_text(tmpfiles(identity))
    paths.known_hosts.write_text(known_hosts(state.host, state.port, host_public_key))
    for path in (paths.root, paths.key, paths.known_hosts):
        host.give_to_user(path)


def _empty(cache: Cache, paths: MachinePaths) -> None:
    """End and remove all that belongs to the machine, but keep its folder, which is locked."""
    state = load(paths.state)
    ssh.end_shared_connection(paths)
    processes.end(paths.root)
    nspawn_host.release(paths)
    claims.release(cache.ports, paths.root)
    cgroups.remove(state.cgroups if state else ())
    for entry in paths.root.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _remove(cache: Cache, paths: MachinePaths) -> None:
    """Remove the machine with its folder, and the project's when it was the last one."""
    _empty(cache, paths)
    shutil.rmtree(paths.root)
    for parent in (paths.root.parent, paths.root.parent.parent):
        with suppress(OSError):
            parent.rmdir()


@contextmanager
def _undone_on_failure(cache: Cache, paths: MachinePaths) -> Iterator[None]:
    """A machine that never answered leaves nothing."""
    try:
        yield
    except BaseException:
        _remove(cache, paths)
        raise
