# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Renders the units of a release from the roles' templates. Python never writes unit text itself.

Plain Jinja2 with StrictUndefined, so that it is tested without Ansible and no host's data is ever taken for a template.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2

from ..module_utils._artifact import processes
from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError
from ..module_utils._core.names import PREFIX, Layout
from ..module_utils._release import processes as scaled
from ..module_utils._sandbox import directives
from . import _sandbox

_SAFE = re.compile(r"[A-Za-z0-9_@.,:/=+-]+")
_PROBES = f"/usr/local/lib/{PREFIX}/current/{PREFIX}/_release/probes"


def unit_quote(word: str) -> str:
    """Quote a word for ExecStart=: C escapes, and % and $ doubled (systemd.service(5), systemd.unit(5))."""
    text = str(word).replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    if _SAFE.fullmatch(text):
        return text
    return '"' + text.replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'


def environment_quote(word: str) -> str:
    """Quote an assignment for Environment=, where $ is literal (systemd.exec(5)) but % still is a specifier."""
    return unit_quote(word).replace("$$", "$")


@dataclass(frozen=True)
class Templates:
    """The two folders of templates; both stand in the revision that goes into a release id."""

    release: Path
    sandbox: Path

    def revision(self) -> str:
        """Return the digest of all template sources and of what renders them."""
        files = sorted([*self.release.glob("*.j2"), *self.sandbox.glob("*.j2")])
        # The code that fills them in decides about the text too.
        files += [Path(str(code.__file__)) for code in (processes, scaled, directives, _sandbox)]
        files.append(Path(__file__))
        return canonical.digest({"/".join(path.parts[-3:]): path.read_text("utf-8") for path in files})

    def environment(self) -> jinja2.Environment:
        loader = jinja2.FileSystemLoader([str(self.release), str(self.sandbox)])
        made = jinja2.Environment(
            loader=loader,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        made.filters["unit_quote"] = unit_quote
        made.filters["environment_quote"] = environment_quote
        return made


@dataclass(frozen=True)
class Context:
    """What a release's units are rendered from, beside its manifest. Times in seconds."""

    layout: Layout
    release_id: str
    content_id: str
    manifest: dict[str, Any]
    config: dict[str, Any]
    systemd_version: int

    @property
    def app(self) -> dict[str, Any]:
        return {
            "name": self.layout.app,
            "user": self.layout.user,
            "group": self.layout.user,
            "slice": self.layout.slice,
            "tree": self.layout.tree(self.content_id),
            "served": self.layout.served(self.content_id),
            "code": _code_folders(self.layout.tree(self.content_id), self.manifest["django"]),
            "unit_prefix": f"{PREFIX}-{self.layout.app}",
            "state_directory": self.layout.state_directory,
            "state_path": self.layout.data,
            "egress": _without_kind(self.layout.template_egress("net")),
            "egress_peer": _without_kind(self.layout.template_egress("peer")),
            **self._shared,
            "hosts": f"{self.layout.units}/{self.layout.template_egress('net').replace('@.', '@%i.')}.d/hosts",
        }

    @property
    def _shared(self) -> dict[str, str]:
        """Where several users write, if there are several."""
        several = bool(self.config.get("users"))
        return {"shared": self.layout.shared, "shared_group": self.layout.shared_group} if several else {}

    def app_of(self, process: str) -> dict[str, Any]:
        """Return the same with the user and the state of a process."""
        user = self.config.get("users", {}).get(process)
        if user is None:
            return self.app
        state = {"state_directory": self.layout.own_state_directory(user), "state_path": self.layout.own_data(user)}
        return {**self.app, "user": user, "group": user, **state}


def _without_kind(template: str) -> str:
    return template.partition("@")[0]


def _code_folders(tree: str, django: dict[str, Any] | None) -> list[str]:
    """Where modules of the project's own code are found: beside manage.py, as when it is run, and in the root."""
    manage = (django or {}).get("manage") or "app/manage.py"
    return list(dict.fromkeys([f"{tree}/{posixpath.dirname(manage)}", f"{tree}/app"]))


def _tasks(context: Context) -> dict[str, dict[str, Any]]:
    """Return the one-off tasks by name, times in seconds."""
    found: dict[str, dict[str, Any]] = {}
    timeout = context.config["task_timeout"]
    if context.manifest["django"]:
        manage = scaled.manage(context.manifest, context.app["tree"])
        applied = {
            "description": "applied migrations",
            "argv": [manage[0], f"{_PROBES}/applied_migrations.py"],
            "output": "applied.json",
        }
        migrate = {"description": "migration", "argv": [*manage, "migrate", "--noinput"], "output": ""}
        found = {"applied": {**applied, "timeout": timeout}, "migrate": {**migrate, "timeout": timeout}}
    for name, argv in scaled.commands(context.manifest, context.config).items():
        command = _command(context, "app_release_health_commands", f"healthy_{name}", argv)
        task = {"description": f"health of {name}", "argv": command, "output": "", "process": name}
        found[f"healthy_{name}"] = {**task, "timeout": context.config["health"]["timeout"]}
    return found


def _timers(context: Context) -> dict[str, dict[str, Any]]:
    """Return what runs at a time, by name."""
    return {
        name: {
            "name": name,
            "schedule": timer["schedule"],
            "description": f"timer {name}",
            "argv": _command(context, f"timer {name} of the artifact", name, timer["argv"]),
            "output": "",
            "timeout": context.config["task_timeout"],
        }
        for name, timer in sorted(context.manifest["timers"].items())
    }


def _command(context: Context, option: str, name: str, argv: list[str]) -> list[str]:
    """Return the absolute argv of what is no server, by the rules of a process; `option` names where it stands."""
    try:
        return processes.command(name, argv, distributions={}, tree=context.app["tree"]).argv
    except ContainerlessError as exc:
        raise ContainerlessError(f"{option}: {exc}") from None


class _Renderer:
    """The units of one release by template name, as they are added."""

    def __init__(self, templates: Templates, context: Context) -> None:
        self._jinja = templates.environment()
        self._context = context
        self.units: dict[str, str] = {}
        config = context.config
        self.sandbox = _sandbox.options(config["sandbox"])
        self.egress = _sandbox.peers(self.sandbox["egress"])
        kept = ("secrets", "secrets_as", "proxy_group", "start_timeout", "listen", "listen_connections")
        self._shared = {
            "app": context.app,
            "version": context.manifest["version"],
            "release_id": context.release_id,
            "systemd_version": context.systemd_version,
            "env": _environment(context),
            "egress": self.egress,
            **{key: config[key] for key in kept},
        }

    def text(self, template: str, **more: Any) -> str:
        return self._jinja.get_template(template).render({**self._shared, **more})

    def plain(self, name: str, template: str, **more: Any) -> None:
        self.units[name] = self.text(template, **more)

    def sandboxed(
        self, name: str, template: str, *, notify: bool = False, of: str = "", binds: str = "", **more: Any
    ) -> None:
        """Add a unit with its drop-in.

        `of` names the process whose user it has, `binds` the folder below /run in which it makes a socket of its own.
        """
        app = {**self._context.app_of(of), "notify": notify, **({"binds": binds} if binds else {})}
        self.plain(name, template, app=app, **more)
        more = {**self.sandbox, "egress": self.egress, "app": app}
        self.units[f"{name}.d/50-sandbox.conf"] = self.text("50-sandbox.conf.j2", **more)

    def process(self, name: str, unit: str, process: processes.Process, more: dict[str, Any]) -> None:
        """Add a process, with a proxy in front of a server that can't inherit the socket of its release."""
        folder, known = "", {**asdict(process), **more}
        if process.binds:
            proxy, web = self._context.layout.template_proxy(more["instance"]), _without_kind(unit)
            folder = f"{PREFIX}/{self._context.layout.app}/%i/{web.rpartition('-')[2]}"
            known |= {"unit": web, "proxy": _without_kind(proxy), "socket": f"/run/{folder}/own.sock"}
            self.plain(proxy, "web.proxy.service.j2", process=known, listening=f"{_PROBES}/listening.py")
        self.sandboxed(unit, "process.service.j2", notify=process.notify, of=name, binds=folder, process=known)

    def network(self, layout: Layout) -> None:
        """Add the namespace with a socket and a proxy for each peer, and the names by which the app knows them."""
        if not self.egress:
            return
        anchor = layout.template_egress("net")
        self.sandboxed(anchor, "egress.service.j2")
        # Beside its unit, where it comes and goes with it; systemd reads no file of that folder but *.conf.
        self.plain(f"{anchor}.d/hosts", "egress.hosts.j2")
        for peer in self.egress:
            for kind in ("socket", "service"):
                self.plain(layout.template_egress(f"peer{peer.number}", kind), f"egress.peer.{kind}.j2", peer=peer)


def render(templates: Templates, context: Context) -> tuple[dict[str, str], str]:
    """Return (unit texts of the release by template name, text of the boot unit). Raises ContainerlessError."""
    layout, manifest, config = context.layout, context.manifest, context.config
    scaled.check(manifest, config)
    made = _Renderer(templates, context)
    distributions = {item["name"]: item["version"] for item in manifest["distributions"]}
    for name, number in scaled.instances(manifest, config):
        argv = manifest["processes"][name]
        process = processes.command(name, argv, distributions=distributions, tree=context.app["tree"])
        more = {
            "name": name,
            "instance": number,
            "stop_timeout": config["stop_timeouts"].get(name, config["stop_timeout"]),
        }
        made.process(name, layout.template_unit(name, instance=number), process, more)
    for name, task in _tasks(context).items():
        made.sandboxed(layout.template_task(name), "task.service.j2", of=task.get("process", ""), task=task)
    for name, timer in _timers(context).items():
        made.plain(layout.template_timer(name), "task.timer.j2", timer=timer)
        made.sandboxed(layout.template_timer(name, "service"), "task.service.j2", task=timer)
    made.plain(layout.template_unit("web", "socket"), "web.socket.j2", proxied=layout.template_proxy() in made.units)
    made.network(layout)
    if config["listen"]:
        made.plain(layout.listen("socket"), "listen.socket.j2")
        made.plain(layout.listen("service"), "listen.service.j2")
    return made.units, made.text("boot.service.j2")


def _environment(context: Context) -> dict[str, str]:
    """The app's env; the settings module that the artifact was built with is the default."""
    django = context.manifest["django"]
    default = {"DJANGO_SETTINGS_MODULE": django["settings_module"]} if django else {}
    return {**default, **context.config["env"]}
