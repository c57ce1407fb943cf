# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pwd
import stat
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import files, staging
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd

from .host import UNITS, Artifact, Host, desired


def mode(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def stage(host: Host, made: Artifact, group: str, **config: t.Any) -> None:
    wanted = desired(made, group, **config)
    staging.unpack_tree(host.layout, wanted)
    staging.stage(host.layout, Systemd(host.layout, host), wanted)


# Before anything is written.


def test_a_host_that_can_take_a_release_is_left_as_it_was(
    host: Host, artifacts: dict[str, Artifact], group: str
) -> None:
    staging.preflight(host.layout, desired(artifacts["1.0"], group), ())
    assert (os.listdir(f"{host.layout.root}/etc"), host.calls) == (["systemd"], [])


def test_a_group_that_does_not_exist_names_its_option(host: Host, artifacts: dict[str, Artifact]) -> None:
    with pytest.raises(ContainerlessError, match="'no-such-group' does not exist.*app_release_proxy_group"):
        staging.preflight(host.layout, desired(artifacts["1.0"], "no-such-group"), ())


def test_a_group_for_media_that_does_not_exist_names_its_option(
    host: Host, artifacts: dict[str, Artifact], group: str
) -> None:
    wanted = desired(artifacts["1.0"], group, sandbox={"media": {"group": "no-such-group", "dirs": ["media"]}})
    with pytest.raises(ContainerlessError, match="'no-such-group' does not exist.*app_sandbox_media_group"):
        staging.preflight(host.layout, wanted, ())


@pytest.mark.parametrize("gecos", ["PostgreSQL administrator", "", "containerless shop2"])
def test_a_user_of_somebody_else_is_refused(
    host: Host, artifacts: dict[str, Artifact], group: str, monkeypatch: pytest.MonkeyPatch, gecos: str
) -> None:
    known = {"postgres": pwd.struct_passwd(("postgres", "x", 990, 990, gecos, "/", "/bin/sh"))}
    monkeypatch.setattr(pwd, "getpwnam", known.__getitem__)
    wanted = desired(artifacts["1.0"], group, users={"beat": "is-free", "worker": "postgres"})
    with pytest.raises(ContainerlessError, match="^app_release_users worker is 'postgres', .* such as shop-worker$"):
        staging.preflight(host.layout, wanted, {"SECRET_KEY"})
    known["postgres"] = pwd.struct_passwd((*known["postgres"][:4], host.layout.owner, "/", "/bin/sh"))
    staging.preflight(host.layout, wanted, {"SECRET_KEY"})


def test_a_secret_without_a_value_is_named(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    wanted = desired(artifacts["1.0"], group, {})
    with pytest.raises(ContainerlessError, match="app_release_secrets has no value for SECRET_KEY"):
        staging.preflight(host.layout, wanted, {"OTHER"})
    staging.preflight(host.layout, wanted, {"SECRET_KEY"})


@pytest.mark.parametrize(("size", "message"), [({"bytes": 1 << 60}, "MiB needed"), ({"bytes": 0}, None)])
def test_space(host: Host, artifacts: dict[str, Artifact], size: dict[str, int], message: str | None) -> None:
    manifest = {**artifacts["1.0"].manifest, "tree": {**artifacts["1.0"].manifest["tree"], **size}}
    if message is None:
        staging.check_space(host.layout, manifest)
        return
    with pytest.raises(ContainerlessError, match=message):
        staging.check_space(host.layout, manifest)
    os.makedirs(host.layout.tree(canonical.digest(manifest)))
    staging.check_space(host.layout, manifest)


def test_inodes_are_counted_too(host: Host, artifacts: dict[str, Artifact]) -> None:
    manifest = {**artifacts["1.0"].manifest, "tree": {**artifacts["1.0"].manifest["tree"], "files": 1 << 60}}
    if not os.statvfs(host.layout.root).f_files:
        pytest.skip("this file system does not count inodes")
    with pytest.raises(ContainerlessError, match="not enough inodes"):
        staging.check_space(host.layout, manifest)


@pytest.mark.parametrize("name", ["var", "etc", "units"])
@pytest.mark.parametrize("lack", ["disk", "inodes"])
def test_what_is_written_down_needs_room_too(
    host: Host, artifacts: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch, name: str, lack: str
) -> None:
    place, whole = getattr(host.layout, name), os.statvfs(host.layout.root)
    os.makedirs(place, exist_ok=True)
    full = os.statvfs_result((*whole[:4], 0, *whole[5:]) if lack == "disk" else (*whole[:5], 9, 0, 0, *whole[8:]))
    monkeypatch.setattr(os, "statvfs", lambda path: full if path == place else whole)
    with pytest.raises(ContainerlessError, match=f"not enough {lack} below {place}: [0-9]"):
        staging.check_space(host.layout, artifacts["1.0"].manifest)


# needed, available -> refused; 0 is not known
MEMORY = [(0, 0, False), (0, 1, False), (1, 0, False), (5 << 20, 5 << 20, False), (5 << 20, (5 << 20) - 1, True)]


@pytest.mark.parametrize(("needed", "available", "refused"), MEMORY)
def test_memory_for_two_releases(needed: int, available: int, refused: bool) -> None:
    if not refused:
        staging.check_memory(needed, available)
        return
    with pytest.raises(
        ContainerlessError, match=r"5 MiB of memory .* 4 MiB are available; .*app_release_overlap: hold"
    ):
        staging.check_memory(needed, available)


@pytest.mark.parametrize(
    ("text", "memory"), [("MemTotal: 9 kB\nMemAvailable:    2048 kB\n", 2 << 20), ("MemTotal: 9 kB\n", 0), (None, 0)]
)
def test_available_memory(monkeypatch: pytest.MonkeyPatch, text: str | None, memory: int) -> None:
    monkeypatch.setattr(files, "read", lambda _path: None if text is None else text.encode())
    assert staging.available_memory() == memory


@pytest.mark.parametrize("place", ["trees", "etc", "var", "units"])
def test_a_read_only_file_system_is_named(
    host: Host, artifacts: dict[str, Artifact], group: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    asked = getattr(host.layout, place)
    os.makedirs(asked, exist_ok=True)
    real = os.statvfs

    def statvfs(path: str) -> t.Any:
        found = real(path)
        flags = found.f_flag | (os.ST_RDONLY if path == asked else 0)
        return types.SimpleNamespace(
            **{name: getattr(found, name) for name in dir(found) if name.startswith("f_") and name != "f_flag"},
            f_flag=flags,
        )

    monkeypatch.setattr(staging.os, "statvfs", statvfs)
    with pytest.raises(ContainerlessError, match=f"{asked} is on a read-only file system"):
        staging.preflight(host.layout, desired(artifacts["1.0"], group), {"SECRET_KEY"})


# The tree.


def test_a_tree_is_unpacked_once(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    wanted = desired(artifacts["1.0"], group)
    staging.unpack_tree(host.layout, wanted)
    tree = Path(host.layout.tree(wanted.content_id))
    assert (tree / "app/manage.py").read_text("utf-8") == "1.0"
    staging.unpack_tree(host.layout, desired(artifacts["1.0"]._replace(blob=""), group))


def test_a_tree_that_nobody_sent_is_an_error(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    with pytest.raises(ContainerlessError, match="no artifact was sent"):
        staging.unpack_tree(host.layout, desired(artifacts["1.0"]._replace(blob=""), group))
    assert not os.path.exists(host.layout.srv)


# What is staged.


def test_what_is_staged(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    stage(host, artifacts["1.0"], group, public_dirs=["media"])
    layout, wanted = host.layout, desired(artifacts["1.0"], group, public_dirs=["media"])
    folder = layout.release(wanted.release_id)
    assert canonical.sha256(files.read(f"{folder}/manifest.json") or b"") == wanted.content_id
    assert canonical.loads(files.read(f"{folder}/release.json") or b"", "release") == wanted.document
    assert {name: (files.read(f"{folder}/units/{name}") or b"").decode() for name in UNITS} == UNITS
    modes = {
        layout.data: 0o751,
        f"{layout.data}/media": 0o2750,
    }
    assert {path: mode(path) for path in modes} == modes
    assert host.calls[0][0] == "systemd-sysusers"
    assert host.enabled == {layout.boot_unit}


def test_media_are_a_folder_of_their_group(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    stage(host, artifacts["1.0"], group, sandbox={"media": {"group": group, "dirs": ["media"]}})
    assert mode(f"{host.layout.data}/media") == 0o2750
    stage(host, artifacts["1.0"], group, sandbox={"media": {"group": "", "dirs": ["other"]}})
    assert not os.path.exists(f"{host.layout.data}/other")


def test_users_of_processes_share_a_folder_that_is_root_s(
    host: Host, artifacts: dict[str, Artifact], group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(host.layout), "shared_group", group)
    stage(host, artifacts["1.0"], group, users={"worker": "shop-worker", "beat": "shop-worker"})
    assert ["systemd-sysusers", "--inline", f"g {group} -"] == host.calls[1][:3]
    own = f"{host.layout.var}/users/shop-worker"
    assert host.calls[1][3:] == [f'u shop-worker - "containerless shop" {own}']
    assert mode(host.layout.shared) == 0o2770
    assert os.stat(host.layout.shared).st_uid == 0


def test_no_secret_is_staged(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    stage(host, artifacts["1.0"], group)
    holding = [
        os.path.join(folder, name)
        for folder, _folders, names in os.walk(host.layout.root)
        for name in names
        if b"correct-horse" in Path(folder, name).read_bytes()
    ]
    assert holding == []


def test_staging_again_changes_nothing(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    def seen() -> dict[str, int]:
        names = [os.path.join(folder, name) for folder, _, found in os.walk(host.layout.root) for name in found]
        return {name: os.lstat(name).st_ino for name in names}

    stage(host, artifacts["1.0"], group, public_dirs=["media"])
    before = seen()
    stage(host, artifacts["1.0"], group, public_dirs=["media"])
    assert seen() == before
    assert len(host.called("systemctl", "daemon-reload")) == 1


def test_a_boot_unit_that_could_not_be_enabled_is_enabled_by_the_next_run(
    host: Host, artifacts: dict[str, Artifact], group: str
) -> None:
    host.refused["systemctl enable"] = "the bus is gone"
    with pytest.raises(ContainerlessError):
        stage(host, artifacts["1.0"], group)
    host.refused.clear()
    stage(host, artifacts["1.0"], group)
    assert host.enabled == {host.layout.boot_unit}


# Static files of all releases, for the proxy.


def test_static_files_of_older_releases_stay(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    for version in ("1.0", "2.0", "1.0", "2.0"):
        stage(host, artifacts[version], group)
        assert Path(host.layout.static, "site.css").read_text("utf-8") == "1.0"
    assert sorted(os.listdir(host.layout.static)) == ["1.0.css", "2.0.css", "site.css"]


def test_the_rest_of_a_crash_does_not_stop_static_files(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    stage(host, artifacts["1.0"], group)
    Path(host.layout.static, "site.css.new").write_text("", "utf-8")
    stage(host, artifacts["2.0"], group)


def test_the_proxy_can_pass_to_static_files_whatever_the_umask(
    host: Host, artifacts: dict[str, Artifact], group: str
) -> None:
    before = os.umask(0o077)
    try:
        stage(host, artifacts["1.0"], group)
    finally:
        os.umask(before)
    assert mode(host.layout.static) == 0o755


# Public folders stand in a folder that belongs to the app, which may have been taken over.


def test_a_public_folder_that_a_crash_left_unfinished_is_finished(
    host: Host, artifacts: dict[str, Artifact], group: str
) -> None:
    os.makedirs(f"{host.layout.data}/media", mode=0o750)
    stage(host, artifacts["1.0"], group, public_dirs=["media"])
    assert mode(f"{host.layout.data}/media") == 0o2750


def test_a_public_folder_that_the_app_exchanges_for_a_link_is_not_followed(
    host: Host, artifacts: dict[str, Artifact], group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = Path(host.layout.root, "victim")
    victim.mkdir(mode=0o700)
    mkdir = os.mkdir

    def exchanged(path: str, *args: t.Any, **kwargs: t.Any) -> None:
        mkdir(path, *args, **kwargs)
        if str(path).endswith("/media"):
            os.rmdir(path)
            os.symlink(victim, path)

    monkeypatch.setattr(staging.os, "mkdir", exchanged)
    with pytest.raises(ContainerlessError, match="app_release_public_dirs"):
        stage(host, artifacts["1.0"], group, public_dirs=["media"])
    assert mode(str(victim)) == 0o700


FULL = [
    ({"f_bavail": 15}, ["the disk is full below"]),
    ({"f_bavail": 16}, []),
    ({"f_favail": 0}, ["no inodes are left below"]),
    ({"f_files": 0, "f_favail": 0}, []),
]


@pytest.mark.parametrize(("change", "sentences"), FULL)
def test_a_full_disk_is_named_once(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, change: dict[str, int], sentences: list[str]
) -> None:
    answer = {"f_bavail": 1 << 20, "f_frsize": 4096, "f_files": 1000, "f_favail": 1000, **change}
    monkeypatch.setattr(staging.os, "statvfs", lambda _place: types.SimpleNamespace(**answer))
    assert staging.full(layout) == [f"{sentence} {layout.data}" for sentence in sentences]
