# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Django has a say in: static files and migrations, asked in the app's own environment with throw-away secrets."""

from __future__ import annotations

import gzip
import json
import pkgutil
import typing as t
from pathlib import Path

from .._core import canonical
from .._core.errors import ContainerlessError
from . import django_probe, migrations
from .job import Job

STATIC = "static"
# Read at once: later on, who builds may not read where this stands.
_PROBE = {
    file: pkgutil.get_data(__package__ or "", file) or b""
    for file in (f"{module.__name__.rpartition('.')[2]}.py" for module in (django_probe, migrations))
}


def throwaway(name: str) -> str:
    """Return the value that a secret has during a build: fixed, so that it can't make two builds differ."""
    return canonical.sha256(f"containerless build {name}".encode())


def ask(job: Job, *, compiled: bool) -> tuple[dict[str, t.Any] | None, dict[str, t.Any] | None]:
    """Collect static files, read all migrations; return what the manifest says of Django and of static files.

    `compiled`: all bytecode of the environment is written, so none of it may change.
    """
    settings, manage = job.inputs["settings_module"], job.inputs["manage"]
    if settings is None:
        return None, None
    answer = _run_probe(job, settings, manage, compiled=compiled)
    django = {
        "version": answer["version"],
        "settings_module": settings,
        "settings": answer["settings"],
        "manage": f"app/{manage}" if manage else None,
        "migrations": answer["migrations"],
    }
    return django, _static(Path(job.tree, STATIC), answer["static"])


def _run_probe(job: Job, settings: str, manage: str | None, *, compiled: bool) -> dict[str, t.Any]:
    package = Path(job.commands.own(job.at("probe/containerless_probe")))
    for file, source in _PROBE.items():
        package.joinpath(file).write_bytes(source)
    package.joinpath("__init__.py").touch()
    static = job.commands.own(f"{job.tree}/{STATIC}")
    request = {"static_root": static, "static": job.inputs[STATIC]}
    Path(job.at("probe/request.json")).write_text(json.dumps(request), encoding="utf-8")
    job.commands.own(job.at("answer"))
    probe = ["-m", "containerless_probe.django_probe", job.at("probe/request.json"), job.at("answer/json")]
    before = job.listing(free=STATIC, bytecode=compiled)
    job.commands.run(
        [f"{job.venv}/bin/python", *probe],
        f"collecting static files and reading migrations with {settings}",
        cwd=str(Path(job.tree, "app", manage or "manage.py").parent),
        env=_environment(job, settings, static),
    )
    changed = job.changed(before, free=STATIC, bytecode=compiled)
    if changed:
        raise ContainerlessError(f"{settings} wrote {changed} while it was loaded; the tree is read-only on a host")
    return t.cast("dict[str, t.Any]", json.loads(Path(job.at("answer/json")).read_text(encoding="utf-8")))


def _environment(job: Job, settings: str, static: str) -> dict[str, str]:
    job.commands.own(job.at("credentials"))
    secrets = {name: throwaway(name) for name in ("SECRET_KEY", *job.inputs["secret_names"])}
    for name, value in secrets.items():
        Path(job.at("credentials", name)).write_text(value, encoding="utf-8")
    return {
        **secrets,
        "CREDENTIALS_DIRECTORY": job.at("credentials"),
        # Empty and thrown away: settings that read the variable are imported as on a host.
        "STATE_DIRECTORY": job.commands.own(job.at("state")),
        "CONTAINERLESS_BUILD": "1",
        "STATIC_ROOT": static,
        "DJANGO_SETTINGS_MODULE": settings,
        "PYTHONPATH": f"{job.at('probe')}:{job.tree}/app",  # the folder of manage.py goes before, as the current one
        **job.inputs["env"],
    }


def _static(folder: Path, answer: dict[str, t.Any]) -> dict[str, t.Any] | None:
    if not answer["collected"]:
        return None
    _sort_json(folder, answer["manifest"])
    return {"root": STATIC, "files": sum(path.is_file() for path in folder.rglob("*"))}


def _sort_json(static: Path, name: str | None) -> None:
    # Django writes it in the order in which the disk names the files (Django ticket 35846).
    path = static / (name or "")
    if name and path.is_file():
        document = json.loads(path.read_text(encoding="utf-8"))
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        path.write_bytes(text)
        packed = static / f"{name}.gz"
        if packed.is_file():
            packed.write_bytes(gzip.compress(text, mtime=0))
