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
from ..module_utils._core.names import PREFIX, Layout

_SAFE = re.compile(r"[A-Za-z0-9_@.,:/=+-]+")
_PROBE = f"/usr/local/lib/{PREFIX}/current/{PREFIX}/_release/probes/applied_migrations.py"


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
        files += [Path(__file__), Path(str(processes.__file__))]
        return canonical.digest({f"{path.parent.parent.name}/{path.name}": path.read_text("utf-8") for path in files})

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
            "code": _code_folders(self.layout.tree(self.content_id), self.manifest["django"]),
            "unit_prefix": f"{PREFIX}-{self.layout.app}",
            "state_directory": self.layout.state_directory,
            "state_path": self.layout.data,
        }


def _code_folders(tree: str, django: dict[str, Any] | None) -> list[str]:
    """Where modules of the project's own code are found: beside manage.py, as when it is run, and in the root."""
    manage = (django or {}).get("manage") or "app/manage.py"
    return list(dict.fromkeys([f"{tree}/{posixpath.dirname(manage)}", f"{tree}/app"]))


def _tasks(context: Context) -> dict[str, dict[str, Any]]:
    django = context.manifest["django"]
    if not django:
        return {}
    python = f"{context.app['tree']}/venv/bin/python"
    # Without a manage.py, Django itself takes the command; its settings are in the environment.
    manage = [f"{context.app['tree']}/{django['manage']}"] if django["manage"] else ["-m", "django"]
    applied = {"description": "applied migrations", "argv": [python, _PROBE], "output": "applied.json"}
    migrate = {"description": "migration", "argv": [python, *manage, "migrate", "--noinput"], "output": ""}
    return {"applied": applied, "migrate": migrate}


def render(templates: Templates, context: Context) -> tuple[dict[str, str], str]:
    """Return (unit texts of the release by template name, text of the boot unit). Raises ContainerlessError."""
    jinja = templates.environment()
    layout, config = context.layout, context.config
    shared = {
        "app": context.app,
        "version": context.manifest["version"],
        "release_id": context.release_id,
        "systemd_version": context.systemd_version,
        "env": _environment(context),
        **{
            key: config[key]
            for key in ("secrets", "secrets_as", "proxy_group", "start_timeout", "stop_timeout", "task_timeout")
        },
    }
    sandbox = config["sandbox"]
    units: dict[str, str] = {}

    def sandboxed(name: str, text: str, notify: bool) -> None:
        units[name] = text
        drop_in = {**shared, **sandbox, "app": {**context.app, "notify": notify}}
        units[f"{name}.d/50-sandbox.conf"] = jinja.get_template("50-sandbox.conf.j2").render(drop_in)

    distributions = {item["name"]: item["version"] for item in context.manifest["distributions"]}
    for name, argv in sorted(context.manifest["processes"].items()):
        process = processes.command(name, argv, distributions=distributions, tree=context.app["tree"])
        text = jinja.get_template("process.service.j2").render(shared, process={**asdict(process), "name": name})
        sandboxed(layout.template_unit(name), text, process.notify)
    for name, task in _tasks(context).items():
        sandboxed(layout.template_task(name), jinja.get_template("task.service.j2").render(shared, task=task), False)
    units[layout.template_unit("web", "socket")] = jinja.get_template("web.socket.j2").render(shared)
    return units, jinja.get_template("boot.service.j2").render(shared)


def _environment(context: Context) -> dict[str, str]:
    """The app's env; the settings module that the artifact was built with is the default."""
    django = context.manifest["django"]
    default = {"DJANGO_SETTINGS_MODULE": django["settings_module"]} if django else {}
    return {**default, **context.config["env"]}
