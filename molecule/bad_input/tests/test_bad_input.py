# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each mistake gets one sentence that names what to change; hosts and stores stay as they are (conftest.py looks)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import INVENTORY, OTHER, SCENARIO, Playbooks
from testinfra.host import Host


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout of the sample project that a test may spoil."""
    clone = ["git", "clone", "-q", "--branch", "v1", str(SCENARIO / "shop"), str(tmp_path / "shop")]
    subprocess.run(["git", "-c", "advice.detachedHead=false", *clone[1:]], check=True)
    return tmp_path / "shop"


def commit(checkout: Path) -> None:
    person = ["-c", "user.name=Shop", "-c", "user.email=shop@example.org", "-c", "commit.gpgSign=false"]
    subprocess.run(["git", *person, "commit", "-q", "--all", "-m", "Spoil"], cwd=checkout, check=True)


def change(name: str, pattern: str, by: str) -> Callable[[Path], None]:
    """Return what replaces a part of a file in a commit."""

    def spoil(checkout: Path) -> None:
        path = checkout / name
        before = path.read_text("utf-8")
        after = re.sub(pattern, by, before)
        assert after != before
        path.write_text(after, "utf-8")
        commit(checkout)

    return spoil


def remove(name: str) -> Callable[[Path], None]:
    def spoil(checkout: Path) -> None:
        (checkout / name).unlink()
        commit(checkout)

    return spoil


def no_checkout(checkout: Path) -> None:
    shutil.rmtree(checkout / ".git")


def dirty(checkout: Path) -> None:
    with (checkout / "manage.py").open("a") as file:
        file.write("# not committed\n")


# Named, so that no host has to be asked for it.
DEBIAN = {"app_build_platforms": ["debian12"]}
SOURCES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no git checkout": (no_checkout, r"^app_src \S+/shop is not a git checkout"),
    "dirty tree": (dirty, r"changes that are not committed \( ?M manage.py\).* app_build_allow_dirty"),
    "no lock": (remove("requirements.txt"), r"has no uv.lock, .* in its commit .*app_build_lock.*uv pip compile"),
    "lock without hashes": (
        change("requirements.txt", r" *\\\n +--hash=\S+", ""),
        r"^requirements.txt has lines without a SHA-256 --hash: line \d+ \(\S+==\S+\), line .*; write the lock with",
    ),
    "no Procfile": (remove("Procfile"), r"has no Procfile in its commit; add one with a line such as .web: gunicorn"),
    "no web": (change("Procfile", r"(?m)^web:", "www:"), r"^the Procfile names no process web; add a line"),
    "pipe": (
        change("Procfile", r"(?m)^(web:.*)", r"\1 | tee log"),
        r"^Procfile line \d+ \('web: .* \| tee log'\): \| needs a shell",
    ),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_source_that_can_not_be_built_is_refused(playbooks: Playbooks, checkout: Path, case: str) -> None:
    spoil, sentence = SOURCES[case]
    spoil(checkout)
    playbooks.run("build", app_src=str(checkout), **DEBIAN).refused(sentence)


VARIABLES: dict[str, tuple[str, dict[str, Any], str]] = {
    "app_name with a dash": (
        "build",
        {"app_name": "shop-1", **DEBIAN},
        r"^app_name 'shop-1' must be a lower-case letter",
    ),
    "app_name too long": ("release", {"app_name": "a" * 25}, r"^app_name 'a{25}' must be .* at most 23 of"),
    "app_name as a way out": ("remove", {"app_name": "../etc"}, r"^app_name '\.\./etc' must be"),
    "unknown variable": (
        "build",
        {"app_release_drian": 5},
        r"^Unknown variables: app_release_drian \(did you mean app_release_drain\?\)",
    ),
    "wrong type": (
        "release",
        {"app_release_drain": "soon"},
        r"'app_release_drain' is of type str and we were unable to convert to int",
    ),
    "empty group": (
        "release",
        {"hosts": []},
        r"^No host matches app_hosts=app; add hosts to that group or set app_hosts",
    ),
    "app_hosts in the inventory": (
        "release",
        {"app_hosts": "bare"},
        r"^app_hosts=bare stands in the inventory, .*--extra-vars",
    ),
    "unknown platform": (
        "build",
        {"app_build_platforms": ["debian8"]},
        r"^'debian8' is no platform .*app_build_platforms knows",
    ),
    "no such folder": (
        "build",
        {"app_src": "/nowhere", **DEBIAN},
        r"^app_src /nowhere is not a folder on the control node",
    ),
}


@pytest.mark.parametrize("case", VARIABLES)
def test_a_variable_that_is_wrong_is_refused(playbooks: Playbooks, case: str) -> None:
    playbook, variables, sentence = VARIABLES[case]
    playbooks.run(playbook, **variables).refused(sentence)


def test_a_store_that_does_not_exist_is_refused(playbooks: Playbooks) -> None:
    run = playbooks.run("upload", app_store=f"file://{playbooks.folder}/typo")
    run.refused(r"^app_store file://\S+/typo is not a folder on the control node; create it")


def test_a_store_that_can_not_be_written_is_refused(playbooks: Playbooks) -> None:
    """Not even root can make a file there, so the test holds for every user."""
    run = playbooks.run("upload", app_store="file:///sys/kernel")
    run.refused(r"^app_store file:///sys/kernel: can't write shop/\S+: .*(not permitted|[Pp]ermission denied)")


def test_a_build_store_that_can_not_be_made_is_refused(playbooks: Playbooks) -> None:
    (playbooks.folder / "file").touch()
    run = playbooks.run("build", app_build_store=f"file://{playbooks.folder}/file/store", **DEBIAN)
    run.refused(r"^app_build_store file://\S+/file/store can't be created: Not a directory")


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Return the folder of a store that holds nothing."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.fixture
def untested(tmp_path: Path) -> Path:
    """Return a store whose artifact has lost its test record."""
    folder = tmp_path / "untested"
    shutil.copytree(SCENARIO / "built", folder)
    for records in folder.glob("shop/artifacts/*/records"):
        shutil.rmtree(records)
    return folder


def test_an_artifact_without_a_test_record_is_not_uploaded(playbooks: Playbooks, untested: Path, empty: Path) -> None:
    run = playbooks.run("upload", app_build_store=f"file://{untested}", app_store=f"file://{empty}")
    run.refused(
        r"^artifact \w+ .*has no passed test record .*; run the test playbook, or set app_upload_require_test_record"
    )
    assert list(empty.iterdir()) == []


def test_an_artifact_without_a_test_record_is_not_released(playbooks: Playbooks, untested: Path) -> None:
    channel = next(untested.glob("shop/channels/built-*")).stem
    run = playbooks.run("release", app_store=f"file://{untested}", app_release_channel=channel, **OTHER)
    run.refused(r"^artifact \w+ has no test record; run the test playbook, or .* app_release_untested_reason")


# What ships without keys is unsigned; the key is of nobody.
SIGNERS = ["ann@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOssdUhfVmnIwh7Hmwj57cqxQBqbea3+C0//pwQCOi7F"]
UNSIGNED = r"^artifact \w{12} is refused for its manifest: there is no signature; sign it .*app_build_signing_key"


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_an_unsigned_artifact_is_not_released_where_signatures_count(
    playbooks: Playbooks, options: tuple[str, ...]
) -> None:
    playbooks.run("release", *options, app_signers=SIGNERS, **OTHER).refused(UNSIGNED)


def test_an_unsigned_artifact_is_not_uploaded_where_signatures_count(playbooks: Playbooks, empty: Path) -> None:
    playbooks.run("upload", app_store=f"file://{empty}", app_signers=SIGNERS).refused(UNSIGNED)
    assert list(empty.iterdir()) == []


def test_an_artifact_that_a_foreign_key_signed_is_not_released(playbooks: Playbooks, tmp_path: Path) -> None:
    store = tmp_path / "signed"
    shutil.copytree(SCENARIO / "store", store)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "eve")], check=True)
    for manifest in store.glob("shop/artifacts/*/manifest.json"):
        sign = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(tmp_path / "eve"), "-n", "manifest@containerless.django"]
        subprocess.run([*sign, str(manifest)], check=True)
        manifest.parent.joinpath("signatures").mkdir()
        shutil.move(f"{manifest}.sig", manifest.parent / f"signatures/manifest.{'0' * 16}.sig")
    run = playbooks.run("release", app_store=f"file://{store}", app_signers=SIGNERS, **OTHER)
    run.refused(r"^artifact \w{12} is refused for its manifest: SHA256:\S{43} is not among app_signers; sign it")


def test_a_line_of_signers_that_is_none_is_refused(playbooks: Playbooks) -> None:
    run = playbooks.run("release", app_signers=[*SIGNERS, "bob@example.org"], **OTHER)
    run.refused(r"^app_signers line 2 is none of ALLOWED SIGNERS in ssh-keygen\(1\)")


def test_a_store_that_names_no_release_is_refused(playbooks: Playbooks, empty: Path) -> None:
    run = playbooks.run("release", app_store=f"file://{empty}")
    run.refused(r"^channel 'production' of file://\S+ names no release of shop; upload one first")


def test_a_host_whose_python_has_no_variant_is_refused(playbooks: Playbooks) -> None:
    """The store holds a variant for Debian 12 only; the host that takes it stays as it is too."""
    run = playbooks.run("release", hosts=["serving", "bare"], **OTHER)
    run.refused(
        r"^shop \S+ has no variant for this host: it offers cpython-311-\S+ .*; the host has cpython-313-\S+"
        r" .*build one with app_build_platforms",
        host="bare",
    )


def test_an_unreachable_host_keeps_the_others_as_they_are(playbooks: Playbooks) -> None:
    inventory = yaml.safe_load(INVENTORY.read_text("utf-8"))
    gone = {**inventory["all"]["hosts"]["serving"], "ansible_port": 1, "ansible_ssh_common_args": "-o ControlPath=none"}
    (playbooks.folder / "gone.yml").write_text(json.dumps({"all": {"hosts": {"gone": gone}}}), "utf-8")
    run = playbooks.run("release", "-i", str(playbooks.folder / "gone.yml"), hosts=["serving", "gone"], **OTHER)
    run.refused(r"port 1: Connection refused", host="gone")


@pytest.fixture
def full_disk(serving: Host) -> Iterator[None]:
    """Let a small disk hide what stands below /srv, and see that it stays empty."""
    serving.check_output("mount -t tmpfs -o size=8m small /srv")
    yield
    left = serving.run("find /srv -mindepth 1").stdout
    serving.check_output("umount /srv")
    assert left == ""


@pytest.mark.usefixtures("full_disk")
def test_a_host_with_a_full_disk_is_refused(playbooks: Playbooks) -> None:
    run = playbooks.run("release", **OTHER)
    run.refused(r"not enough disk below /srv/containerless/shop: \d+ MiB needed, \d+ MiB free")
