# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines, and on each of them a site under the drop-in, beside another app that lets everybody in."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import pytest
from ansible_collections.containerless.django.plugins.module_utils._test.probes import escapes
from ansible_collections.containerless.django.plugins.plugin_utils import _sandbox
from ansible_collections.containerless.django.tests import escape

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TEMPLATE = ROOT / "roles/app_sandbox/templates/50-sandbox.conf.j2"
PORT = 9999
TREE = "/srv/containerless/shop/trees/" + "5a" * 32
STATE = "/var/lib/containerless/shop/data"
PYTHON = f"{TREE}/venv/bin/python"
SOCKET = "/run/containerless/shop/1/web.sock"
WRITABLE = [STATE, "/tmp", "/var/tmp", "/dev/shm"]
SERVERS = {
    # Heartbeats in /tmp are gunicorn's own default.
    "gunicorn": ("notify", f"{PYTHON} -m gunicorn --no-control-socket --workers 2 --threads 4 shopfront:wsgi"),
    "uvicorn": ("exec", f"{PYTHON} -m uvicorn --fd 3 --loop uvloop shopfront:asgi"),
}


def render(
    version: int, *, notify: bool, bind_read_only: t.Sequence[str] = ("/run/postgresql",), **given: object
) -> str:
    """The drop-in as a release renders it; `given` are other options of the sandbox."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    return environment.get_template(TEMPLATE.name).render(
        **_sandbox.options({**given, "bind_read_only": bind_read_only}),
        systemd_version=version,
        app={
            "name": "shop",
            "user": "cl-shop",
            "group": "cl-shop",
            "tree": TREE,
            "state_directory": STATE.removeprefix("/var/lib/"),
            "state_path": STATE,
            "notify": notify,
        },
    )


@dataclass
class Machine:
    """A booted machine, reached as its sudo user."""

    image: str
    ssh: list[str]
    hostvars: dict[str, t.Any]
    facts: dict[str, t.Any] = field(default_factory=dict)
    inside: dict[str, t.Any] = field(default_factory=dict)

    def run(self, script: str, *, stdin: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a script as root."""
        with open(stdin or os.devnull, "rb") as source:
            argv = [*self.ssh, "sudo", "sh", "-euc", shlex.quote(script)]
            answer = subprocess.run(argv, stdin=source, capture_output=True, text=True, check=False)
        assert not check or answer.returncode == 0, (
            f"{script}\nrc {answer.returncode}\n{answer.stdout}\n{answer.stderr}"
        )
        return answer

    def write(self, path: str, text: str) -> None:
        self.run(f"mkdir -p {os.path.dirname(path)}; printf %s {shlex.quote(text)} > {path}")

    @functools.cached_property
    def version(self) -> int:
        return int(self.run("systemctl --version").stdout.split()[1])

    @functools.cached_property
    def python(self) -> str:
        return self.run("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").stdout.strip()

    def unit(self, name: str, service: str, drop_in: str) -> None:
        """Write a service of the app's user with its drop-in, as systemd will read them."""
        common = f"User=cl-shop\nGroup=cl-shop\nWorkingDirectory={TREE}/app\nEnvironment=HOME={STATE}\n"
        self.write(f"/run/systemd/system/{name}.service", f"[Service]\n{common}{service}\n")
        self.write(f"/run/systemd/system/{name}.service.d/50-sandbox.conf", drop_in)
        self.run("systemctl daemon-reload")

    def get(self, path: str, *options: str) -> t.Any:
        curl = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "120", "--unix-socket", SOCKET]
        answer = self.run(shlex.join([*curl, *options, f"http://shop{path}"]), check=False)
        said = "" if answer.returncode == 0 else self.run("journalctl --quiet --lines=30 -u 'shop-*'").stdout
        assert answer.returncode == 0, f"{path}: {answer.stderr}{answer.stdout}\n{said}"
        return json.loads(answer.stdout)

    def probe(self, drop_in: str, only: str = "") -> dict[str, t.Any]:
        """Run the probes as a service of their own under this drop-in."""
        facts = json.dumps(self.facts | {"only": [only], "census": not only})
        # $$ and %%: nothing in the facts may be taken for a variable or a specifier.
        quoted = facts.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
        output = "StandardOutput=truncate:/root/probe.json\nStandardError=journal"
        service = f'Type=oneshot\n{output}\nExecStart={PYTHON} {TREE}/app/probes.py "{quoted}"'
        self.unit("probe", service, drop_in)
        self.run("systemctl start probe.service || { journalctl --quiet --lines=20 -u probe.service >&2; exit 1; }")
        return json.loads(self.run("cat /root/probe.json").stdout)

    def outside(self, user: str) -> dict[str, str]:
        """The same attempts without any sandbox."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        argv = [*become, PYTHON, f"{TREE}/app/probes.py", json.dumps(self.facts)]
        return json.loads(self.run(f"cd /; {shlex.join(argv)}").stdout)["outcomes"]


def _playbook(folder: Path, image: str, state: str) -> dict[str, t.Any]:
    facts = folder / f"{image}.json"
    variables = {
        "machine_name": f"sandbox-{image}",
        "machine_image": image,
        "machine_state": state,
        "machine_facts": str(facts),
    }
    argv = ["ansible-playbook", "-i", "localhost,", str(HERE / "machines.yml"), "-e", json.dumps(variables)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(facts.read_text()) if state == "present" else {}


def _build_tree(folder: Path, python: str) -> Path:
    """A tree as artifacts hold it: wheels of the machine's Python, fetched here; its interpreter is linked there."""
    uv = shutil.which("uv")
    assert uv, "uv is not on PATH: run this through tools/run"
    tree = folder / python
    packages = tree / f"venv/lib/python{python}/site-packages"
    packages.mkdir(parents=True)
    requirements = HERE / "app/requirements.txt"
    options = ["--python-version", python, "--python-platform", f"{os.uname().machine}-manylinux_2_28"]
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", *options]
    subprocess.run([*install, "--target", str(packages), "-r", str(requirements)], check=True)
    (tree / "venv/bin").mkdir()
    (tree / "venv/bin/python").symlink_to("/usr/bin/python3")
    (tree / "venv/pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    shutil.copytree(HERE / "app", tree / "app", ignore=shutil.ignore_patterns("__pycache__", "requirements.*"))
    shutil.copyfile(escapes.__file__, tree / "app/probes.py")
    return tree


def _upload(machine: Machine, tree: Path) -> None:
    packed = tree.with_suffix(".tar")
    with tarfile.open(packed, mode="w") as archive:
        archive.add(tree, arcname=".")
    # Compiled with unchecked hashes as in an artifact: nobody can write a cache next to the code afterwards.
    compile_all = "python3 -m compileall -q --invalidation-mode unchecked-hash ."
    machine.run(f"mkdir -p {TREE}; cd {TREE}; tar -x --no-same-owner; {compile_all}", stdin=packed)


def _prepare(machine: Machine, folder: Path) -> None:
    """Put the site and its neighbour there, and look at the sandbox from inside once."""
    _upload(machine, _build_tree(folder, machine.python))
    machine.run("sh -s", stdin=HERE / "prepare.sh")
    code = f"{TREE}/app/open_to_all"
    machine.facts = {**json.loads(machine.run(escape.make(STATE, code, PORT)).stdout), "census": True}
    machine.inside = machine.probe(render(machine.version, notify=True))


@pytest.fixture(scope="session", params=["debian12", "debian13"])
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Machine]:
    folder = tmp_path_factory.mktemp(request.param)
    try:
        made = _playbook(folder, request.param, "present")
        machine = Machine(request.param, shlex.split(made["ssh"]), made["hostvars"])
        _prepare(machine, folder)
        yield machine
    finally:
        _playbook(folder, request.param, "absent")


@pytest.fixture(params=sorted(SERVERS))
def site(request: pytest.FixtureRequest, machine: Machine) -> t.Iterator[Machine]:
    """The machine, with the site answering on its inherited socket."""
    kind, command = SERVERS[request.param]
    with serving(machine, kind, command, render(machine.version, notify=kind == "notify")):
        yield machine


@contextlib.contextmanager
def serving(machine: Machine, kind: str, command: str, drop_in: str) -> t.Iterator[Machine]:
    """Socket and service of the site."""
    machine.write("/run/systemd/system/shop-web.socket", f"[Socket]\nListenStream={SOCKET}\nSocketMode=0660\n")
    machine.unit("shop-web", f"Type={kind}\nExecStart={command}", drop_in)
    try:
        started = machine.run("systemctl start shop-web.socket shop-web.service", check=False)
        assert started.returncode == 0, machine.run("journalctl --quiet --lines=40 -u shop-web.service").stdout
        yield machine
    finally:
        machine.run("systemctl stop shop-web.socket shop-web.service")
