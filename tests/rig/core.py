# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig: machines, and what is built, uploaded and released on them. The package's docstring says how it is used."""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...plugins.plugin_utils import _build_action
from ...plugins.plugin_utils._repository import Repository
from ...plugins.plugin_utils._store import Missing, open_store
from ..fixtures.history import git
from ..fixtures.rig import history
from . import hosts as machines
from .hosts import Host
from .plays import ROOT, Played, play

APP, DOMAIN = "rig", "rig.example.org"
CACHE = ROOT / ".cache/rig"
SOURCE, BUILT, BUILDER = CACHE / "source", CACHE / "built", CACHE / "builder"
SECRETS = {"SECRET_KEY": "only-for-the-rig-0123456789-abcdefghijklmnopqrstuvwxyz"}
ENV = {"DJANGO_SETTINGS_MODULE": "rig.settings", "GUNICORN_CMD_ARGS": "--threads 4"}
BUILD_AND_UPLOAD = ("containerless.django.build", "containerless.django.upload")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")


def store(image: str) -> Path:
    """Return the store of an image: a channel of it never names a release that lacks the image's variant."""
    return CACHE / "store" / image


def defaults(image: str) -> dict[str, Any]:
    """Return the inventory's variables, short waits among them."""
    return {
        "app_name": APP,
        "app_src": str(SOURCE),
        "app_store": store(image).as_uri(),
        "app_build_store": BUILT.as_uri(),
        "app_build_platforms": [image],
        "app_upload_require_test_record": False,
        "app_machine_install_packages": False,
        "app_release_untested_reason": "rig",
        "app_release_domain": DOMAIN,
        "app_release_env": ENV,
        "app_release_secrets": SECRETS,
        "app_release_health_path": "/health/",
        "app_release_health_timeout": 10,
        "app_release_health_stay_up": 1,
        "app_release_drain": 1,
        "app_release_watch": 1,
    }


class Rig:
    """Machines of a name of its own: two rigs of one name at once are one too many."""

    def __init__(
        self,
        name: str,
        *,
        hosts: int = 1,
        image: str = "debian12",
        backend: str = "nspawn",
        packages: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a rig")
        self.folder, self.image, self.backend, self.count = CACHE / "runs" / name, image, backend, hosts
        self.packages = list(packages)
        self.settings = {**defaults(image), **(settings or {})}
        self.inventory = self.folder / "inventory"
        self.hosts: list[Host] = []

    def __enter__(self) -> Self:
        machines.remove(self.folder)  # what a run left that was killed
        shutil.rmtree(self.folder, ignore_errors=True)
        machines.inventory(self.folder, self.settings)
        names = [f"rig{number}" for number in range(1, self.count + 1)]
        kind = {"image": self.image, "backend": self.backend, "packages": self.packages, "groups": ["app"]}
        wanted = [{"name": name, **kind} for name in names]
        try:
            made = machines.make(self.folder, wanted)
            self.hosts = [Host(name, APP, DOMAIN, made[name]) for name in names]
            for host in self.hosts:
                host.proxy()
        except BaseException:
            machines.remove(self.folder)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        machines.remove(self.folder)

    def play(self, playbook: str, *options: str, **extra: Any) -> Played:
        """Run a playbook of the collection."""
        return play(f"containerless.django.{playbook}", self.inventory, extra, *options)

    def publish(self, *tags: str) -> Rig:
        """Build and upload the artifacts of tags, each to the channel of its name; what is there stays.

        NAME:TAG does it as an app of another name.
        """
        publish(self.image, tuple(tag for tag in tags if ":" not in tag))
        for name, colon, tag in (word.partition(":") for word in tags):
            if colon:
                publish_as(self.image, name, tag)
        return self

    def release(self, tag: str, *options: str, env: Mapping[str, str] | None = None, **extra: Any) -> Played:
        """Release a tag; `env` comes on top of the settings' app_release_env."""
        merged = {**self.settings["app_release_env"], **(env or {})}
        return self.play("release", *options, **{"app_release_channel": tag, "app_release_env": merged, **extra})

    def rollback(self, to: str = "", **extra: Any) -> Played:
        """Go back to a release, by default the last good one."""
        return self.play("rollback", **{**({"app_release_rollback_to": to} if to else {}), **extra})

    def status(self, **extra: Any) -> Played:
        return self.play("status", **extra)

    def remove(self, *, data: bool = False, **extra: Any) -> Played:
        """Take the app off the hosts; the machines stay."""
        return self.play("remove", **{"app_release_remove_data": data, **extra})


def repository(image: str) -> Repository:
    """Return what was published for an image."""
    return Repository(open_store(store(image).as_uri(), missing=Missing.EMPTY), APP)


def publish(image: str, tags: tuple[str, ...]) -> None:
    """Build on one machine whatever is missing of the tags, and upload it."""
    with _locked():
        _make_source()
        store(image).mkdir(parents=True, exist_ok=True)
        missing = [tag for tag in tags if not _published(image, tag)]
        if not missing:
            return
        inventory = machines.inventory(BUILDER, {**defaults(image), "app_build_host": "build"})
        try:
            machines.remove(BUILDER)
            machines.make(BUILDER, [{"name": "build", "image": image, "backend": "nspawn"}])
            for tag in missing:
                play(BUILD_AND_UPLOAD, inventory, {"app_build_ref": tag, "app_upload_channel": tag}).check()
        finally:
            machines.remove(BUILDER)


def publish_as(image: str, name: str, tag: str) -> None:
    """Build a tag as an app of another name: its sources were made when the rig was published."""
    if _leads_to(image, name, tag):
        return
    folder = CACHE / f"builder-{name}"
    inventory = machines.inventory(folder, {**defaults(image), "app_name": name, "app_build_host": "build"})
    try:
        machines.make(folder, [{"name": "build", "image": image, "backend": "nspawn"}])
        play(BUILD_AND_UPLOAD, inventory, {"app_build_ref": tag, "app_upload_channel": tag}).check()
    finally:
        machines.remove(folder)


def _leads_to(image: str, name: str, tag: str) -> bool:
    """Say whether a channel leads to the commit of its tag."""
    there = Repository(open_store(store(image).as_uri(), missing=Missing.EMPTY), name)
    pointer = there.channel(tag)
    if not pointer:
        return False
    (variant,) = there.index(pointer["index_id"])["variants"]
    commit: str = there.manifest(variant["content_id"])["source"]["commit"]
    return commit == git("rev-parse", tag, repo=SOURCE)


@contextmanager
def _locked() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _make_source() -> None:
    """Make the history anew and keep what is there if it is the same."""
    fresh = CACHE / "source.new"
    shutil.rmtree(fresh, ignore_errors=True)
    history.create(fresh)
    tips = [git("for-each-ref", "refs/tags", repo=repo) if repo.is_dir() else "" for repo in (fresh, SOURCE)]
    if tips[0] == tips[1]:
        shutil.rmtree(fresh)
        return
    shutil.rmtree(SOURCE, ignore_errors=True)
    fresh.replace(SOURCE)


def _published(image: str, tag: str) -> bool:
    """Say whether the channel of a tag names what a build would make now, by the key of the build itself."""
    known = {"name": APP, "src": str(SOURCE), "store": BUILT.as_uri(), "ref": tag}
    defaults = {name: option.get("default") for name, option in _build_action.SPEC.items()}
    asked = {"settings_module": ENV["DJANGO_SETTINGS_MODULE"], "secret_names": list(SECRETS)}
    args = {**defaults, **asked, **known}
    built = _build_action.build_store(args, check_mode=True).build(_build_action.read_request(args).key(image))
    there = repository(image)
    pointer = there.channel(tag)
    variants = there.index(pointer["index_id"])["variants"] if pointer else []
    return built is not None and built in [variant["content_id"] for variant in variants]
