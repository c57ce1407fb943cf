# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publish tags of the rig (NAME:TAG for another name) and write down the settings: publish_rig.py FOLDER TAG..."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository
from ansible_collections.containerless.django.plugins.plugin_utils._store import Missing, open_store
from ansible_collections.containerless.django.tests.fixtures.history import git
from ansible_collections.containerless.django.tests.rig import core, hosts as machines
from ansible_collections.containerless.django.tests.rig.plays import play

IMAGE = "debian12"


def is_published(name: str, tag: str) -> bool:
    """Say whether a channel leads to the commit of its tag."""
    there = Repository(open_store(core.store(IMAGE).as_uri(), missing=Missing.EMPTY), name)
    pointer = there.channel(tag)
    if not pointer:
        return False
    (variant,) = there.index(pointer["index_id"])["variants"]
    commit: str = there.manifest(variant["content_id"])["source"]["commit"]
    return commit == git("rev-parse", tag, repo=core.SOURCE)


def publish_as(name: str, tag: str) -> None:
    """Build a tag as an app of another name: its sources were made when the rig was published."""
    if is_published(name, tag):
        return
    folder = core.CACHE / f"builder-{name}"
    settings = {**core.defaults(IMAGE), "app_name": name, "app_build_host": "build"}
    inventory = machines.inventory(folder, settings)
    try:
        machines.make(folder, [{"name": "build", "image": IMAGE, "backend": "nspawn"}])
        play("containerless.django.build", inventory, {"app_build_ref": tag}).check()
        play("containerless.django.upload", inventory, {"app_upload_channel": tag}).check()
    finally:
        machines.remove(folder)


def main(folder: str, *words: str) -> None:
    core.publish(IMAGE, tuple(word for word in words if ":" not in word))
    for word in words:
        name, colon, tag = word.partition(":")
        if colon:
            publish_as(name, tag)
    Path(folder, "rig.json").write_text(json.dumps(core.defaults(IMAGE)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
