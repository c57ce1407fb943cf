# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines: made and removed by role app_machine, reached as root over SSH."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from .plays import ROOT, play

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Host:
    """A machine; `variables` are those of its inventory."""

    name: str
    app: str
    domain: str
    variables: Mapping[str, Any]

    @property
    def ssh(self) -> list[str]:
        """Return the command line that logs in as a sudo user."""
        return shlex.split(self.variables["app_machine_ssh"])

    @property
    def http(self) -> str:
        """Return http://ADDRESS of its nginx."""
        return str(self.variables["app_machine_http"])

    @property
    def address(self) -> tuple[str, int]:
        """Return address and port of its nginx."""
        host, _, port = self.http.removeprefix("http://").partition(":")
        return host, int(port or 80)

    def sh(
        self, script: str, *, check: bool = True, stdin: bytes = b"", timeout: float | None = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a script as root."""
        argv = [*self.ssh, "--", "sudo", "sh", "-euc", shlex.quote(script)]
        done = subprocess.run(argv, input=stdin, capture_output=True, check=False, timeout=timeout)
        answer = subprocess.CompletedProcess(
            argv, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if check and answer.returncode:
            raise RuntimeError(f"{self.name}: {script}\nrc {answer.returncode}\n{answer.stdout}{answer.stderr}")
        return answer

    def put(self, source: Path | bytes, dest: str, mode: str = "0644") -> None:
        """Write a file as root."""
        where = shlex.quote(dest)
        data = source if isinstance(source, bytes) else source.read_bytes()
        self.sh(f'mkdir -p "$(dirname {where})"; cat > {where}; chmod {mode} {where}', stdin=data)

    def proxy(self, *, keepalive: bool = False, backup: bool = False) -> None:
        """Write nginx's configuration and load it: upstream connections kept or not, with the old release as backup."""
        template = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        text = template.from_string((HERE / "nginx.conf.j2").read_text(encoding="utf-8")).render(
            app_name=self.app, app_release_domain=self.domain, keepalive=keepalive, backup=backup
        )
        self.put(text.encode(), f"/etc/nginx/conf.d/{self.app}.conf")
        self.sh("nginx -q -t && systemctl enable --quiet nginx && systemctl reload-or-restart nginx")
        # A worker of before closes the connections that its clients keep; one with websockets stays as long as they do.
        waiting = "while grep -qs 'worker process is shuttin[g]' /proc/[0-9]*/cmdline; do sleep 0.05; done"
        self.sh(f"sleep 0.3; timeout 10 sh -c {shlex.quote(waiting)} || :")

    def postgresql(self) -> str:
        """Start the server with the app's role and database; return RIG_DATABASE for the release's env.

        The sandbox has to show the socket: app_sandbox_bind_read_only=["/run/postgresql"].
        """
        user = f"cl-{self.app}"
        self.sh(
            "systemctl enable --quiet --now postgresql; cd /\n"
            # What is there already is fine; the last line shows whether it is.
            f"runuser -u postgres -- createuser {user} || :\n"
            f"runuser -u postgres -- createdb --owner {user} {self.app} || :\n"
            f"runuser -u postgres -- psql -qtc 'set role \"{user}\"' {self.app}"
        )
        return f"postgresql://{user}@/{self.app}?host=/run/postgresql"


def inventory(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Write an inventory that knows the control node and the settings of all."""
    made = folder / "inventory"
    (made / "group_vars").mkdir(parents=True, exist_ok=True)
    (made / "group_vars/all.json").write_text(json.dumps(dict(settings), indent=2), encoding="utf-8")
    local = "ungrouped: {hosts: {localhost: {ansible_connection: local}}}\n"
    (made / "localhost.yml").write_text(local, encoding="utf-8")
    return made


def make(folder: Path, wanted: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Make machines that belong to a folder, written into its inventory; return their variables by name."""
    extra = {"app_machine_list": list(wanted), "app_machine_owner": str(folder)}
    made = folder / "inventory"
    play(str(HERE / "machines.yml"), made, {**extra, "app_machine_inventory_file": str(made / "machines.yml")}).check()
    argv = ["ansible-inventory", "-i", str(made), "--list"]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    known = json.loads(listed)["_meta"]["hostvars"]
    return {item["name"]: known[item["name"]] for item in wanted}


def remove(folder: Path) -> None:
    """Remove all machines that belong to a folder, whatever their condition."""
    options = json.dumps({"name": "*", "owner": str(folder), "state": "absent"})
    argv = ["ansible", "localhost", "-c", "local", "-m", "containerless.django.machine", "-a", options]
    python = "ansible_python_interpreter={{ ansible_playbook_python }}"
    subprocess.run([*argv, "-e", python], capture_output=True, check=True, cwd=ROOT)
    (folder / "inventory/machines.yml").unlink(missing_ok=True)
