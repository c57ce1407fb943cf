# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives the engine on a host without Ansible, with the very request that the module gets.

Mirrors plugins/action/release.py: `_present` (config, offer, tool, artifact) and `_on_host` (the request). What the
role hands to the action is taken from the role itself, once, by config.yml; options of the module that are not given
have the defaults of its documentation. drive.py mirrors what the module does with its params.

    driver = Driver(rig, rig.hosts[0])
    staged = driver.request("v1", env={"RIG_COLOUR": "red"}, watch=1)
    driver.call(staged)                                  # what the module would have returned
    driver.call(driver.next(staged, "activated"))
    command = driver.write(driver.next(staged, "confirmed"))    # or: a command for the host, to be killed there
    driver.call(driver.request(state="rolled_back"))
    driver.release("v2")                                 # all three phases
"""

from __future__ import annotations

import base64
import copy
import io
import json
import shlex
import tempfile
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ...plugins.module_utils._core.names import Layout
from ...plugins.module_utils._release import tool
from ...plugins.modules import release_on_host
from ...plugins.plugin_utils import _release_config, _release_offer
from ...plugins.plugin_utils._units import Templates
from . import core
from .core import Rig
from .hosts import Host
from .plays import ROOT, play

HERE = Path(__file__).resolve().parent
PLACE = "/root/rig"
SECRET_STATES = ("staged", "rolled_back")
TEMPLATES = Templates(release=ROOT / "roles/app_release/templates", sandbox=ROOT / "roles/app_sandbox/templates")


def defaults() -> dict[str, Any]:
    """Return the defaults of the module's options, as it documents them."""
    options = yaml.safe_load(release_on_host.DOCUMENTATION)["options"]
    return {name: option["default"] for name, option in options.items() if "default" in option}


class Driver:
    """The engine of one host; its code is put there once, as it is now."""

    def __init__(self, rig: Rig, host: Host) -> None:
        self.rig, self.host, self.layout = rig, host, Layout(core.APP)
        extra = {**rig.settings, "rig_folder": str(rig.folder)}
        play(str(HERE / "config.yml"), rig.inventory, extra, "--limit", host.name).check()
        self.known = json.loads((rig.folder / f"{host.name}.json").read_text(encoding="utf-8"))
        self.digest, self.packed = tool.pack(str(ROOT / "plugins/module_utils"))
        self._sent: dict[str, str] = {}
        host.put((HERE / "drive.py").read_bytes(), f"{PLACE}/drive.py")
        self._put_rooms()

    def request(
        self,
        tag: str = "",
        state: str = "staged",
        *,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Return the module's params; with a tag, its release of this host and its artifact, which is put there.

        `config` changes what goes into the release beside env, `options` are others of the module.
        """
        chosen = dict(core.SECRETS if secrets is None else secrets)
        identity = {"name": core.APP, "state": state, "run": uuid.uuid4().hex[:12], "who": "rig@control"}
        params = {**defaults(), **identity, "secrets": chosen, "drain": 1}
        if state not in SECRET_STATES:
            params["secrets"] = {}
        if tag:
            wanted = {**copy.deepcopy(self.known["config"]), **(config or {})}
            wanted["env"] = {**wanted["env"], **(env or {})}
            params |= self._offer(tag, _release_config.make({**wanted, "secrets": chosen}))
        return {**params, **options}

    def next(self, staged: Mapping[str, Any], state: str, **options: Any) -> dict[str, Any]:
        """Return the request that continues (or reverts) what another one staged: the same run, nothing sent again."""
        return {**self.request(state=state), "run": staged["run"], **options}

    def release(self, tag: str, **options: Any) -> dict[str, Any]:
        """Stage, activate and confirm; return the last answer, which is the first that failed."""
        staged = self.request(tag, **options)
        result = self.call(staged)
        for state in ("activated", "confirmed"):
            if result.get("failed") or not result["changed"]:
                break
            result = self.call(self.next(staged, state))
        return result

    def _offer(self, tag: str, config: dict[str, Any]) -> dict[str, Any]:
        repository = core.repository(self.rig.image)
        pointer = repository.channel(tag)
        if pointer is None:
            raise LookupError(f"{tag} is not published; call rig.publish({tag!r}) first")
        offer = _release_offer.make(
            repository,
            index_id=pointer["index_id"],
            host=self.known["host"],
            layout=self.layout,
            config=config,
            templates=TEMPLATES,
        )
        artifact = f"{PLACE}/{offer.content_id}"
        if offer.content_id not in self._sent:
            with tempfile.TemporaryDirectory() as scratch:
                blob = Path(scratch, "blob")
                encoding = repository.fetch_blob(offer.content_id, blob, self.known["host"]["encodings"])
                self.host.put(blob, artifact)
            self._sent[offer.content_id] = encoding
        sent = {"artifact": artifact, "encoding": self._sent[offer.content_id]}
        return {"desired": offer.desired(), **sent, "tool": {"digest": self.digest, "packed": self.packed}}

    def write(self, params: Mapping[str, Any], *, check: bool = False) -> str:
        """Put a request on the host; return the command that runs it there as root."""
        path = f"{PLACE}/{params['run']}.json"
        document = {"rooms": f"{PLACE}/rooms/{self.digest}", "params": params, "check": check}
        self.host.put(json.dumps(document).encode(), path, "0600")
        return shlex.join(["/usr/bin/python3", f"{PLACE}/drive.py", path])

    def call(self, params: Mapping[str, Any], *, check: bool = False) -> dict[str, Any]:
        """Run a request and return what the module would have returned, with `failed` where it did."""
        done = self.host.sh(self.write(params, check=check), check=False)
        lines = done.stdout.splitlines()
        if not lines:
            raise RuntimeError(f"rc {done.returncode}: {done.stderr}")
        return dict(json.loads(lines[-1]))

    def _put_rooms(self) -> None:
        """Unpack the rooms as the package that the host tool has, beside it and not instead of it."""
        folder = f"{PLACE}/rooms/{self.digest}"
        unpack = (
            "import io, sys, zipfile; zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))"
            f".extractall('{folder}/containerless')"
        )
        data = base64.b64decode(self.packed)
        zipfile.ZipFile(io.BytesIO(data)).close()
        self.host.sh(f'python3 -c "{unpack}"; touch {folder}/containerless/__init__.py', stdin=data)
