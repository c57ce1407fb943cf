# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands of docs/signing.md, run from top to bottom as a person would."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from ansible_collections.containerless.django.plugins.plugin_utils import _signing
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository
from ansible_collections.containerless.django.plugins.plugin_utils._signing import Signer

from .conftest import Artifact


def shell(folder: Path, script: str, **env: str) -> str:
    done = subprocess.run(
        ["sh", "-eu"], input=script, cwd=folder, env={**os.environ, **env}, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_guide(repository: Repository, artifact: Artifact, tmp_path: Path, root: Path) -> None:
    page = (root / "docs/signing.md").read_text("utf-8")
    make, agent, verify, rotate, by_hand = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    artifact.publish(repository)
    place = {"store": str(repository.store.folder), "content_id": artifact.content_id}

    shell(tmp_path, make)
    Signer(str(tmp_path / "shop-builds")).sign_artifact(repository, artifact.content_id)
    shown = shell(tmp_path, verify, **place)
    assert re.findall(r'^Good "(\w+)@containerless.django" signature for (\S+) with', shown, re.MULTILINE) == [
        ("manifest", "builds@shop.example.org"),
        ("provenance", "builds@shop.example.org"),
    ]

    key = (tmp_path / "shop-builds").read_text("utf-8")
    shell(tmp_path, agent + "ssh-agent -k > killed\n", SIGNING_KEY=key)
    made, held = ((tmp_path / name).read_text("utf-8") for name in ("shop-builds.pub", "signing-key.pub"))
    assert held == made

    shell(tmp_path, rotate)
    signers = (tmp_path / "allowed_signers").read_text("utf-8").splitlines()
    assert _signing.signed_by(repository, artifact.content_id, signers) == "builds@shop.example.org"
    shell(tmp_path, f'artifact="$store/shop/artifacts/$content_id"\n{by_hand}', **place)
    assert _signing.signed_by(repository, artifact.content_id, signers[1:]) == "builds-2@shop.example.org"
    assert not Signer(str(tmp_path / "shop-builds-2")).sign_artifact(repository, artifact.content_id)


def test_the_inventory_of_the_guide_names_what_there_is(root: Path) -> None:
    page = (root / "docs/signing.md").read_text("utf-8")
    roles = "".join(path.read_text("utf-8") for path in (root / "roles").glob("*/meta/argument_specs.yml"))
    for name in set(re.findall(r"\bapp_(?:release|upload|test|build)_\w+", page)):
        assert f"      {name}:\n" in roles, name
