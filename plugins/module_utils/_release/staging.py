# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything of a release that is put on the disk before anything is started."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import typing as t

from .._core import canonical
from .._core.errors import ContainerlessError
from .._core.names import Layout
from . import files, sealed, static
from .desired import Desired
from .systemd import Systemd

#: Space that a release needs beside its tree, in bytes and inodes.
_SPARE_BYTES, _SPARE_INODES = 16 << 20, 100
#: Room for what a release writes down anywhere: configuration, units, ledger, journal.
_NOTES_BYTES, _NOTES_INODES = 1 << 20, 50
#: A file system with less than this is full for whoever writes to it.
_FULL_BYTES = 64 << 10


def preflight(layout: Layout, desired: Desired, known_secrets: t.Container[str]) -> None:
    """Raise with the option to change when this host can't take the release. Writes nothing."""
    check_space(layout, desired.manifest)
    check_writable(layout)
    group = desired.config["proxy_group"]
    try:
        grp.getgrnam(group)
    except KeyError:
        raise ContainerlessError(
            f"group {group!r} does not exist on this host; install the proxy first or set app_release_proxy_group"
        ) from None
    if desired.config.get("secrets_encrypted"):
        sealed.require()
    _check_media_group(desired.config["sandbox"].get("media", {}))
    _check_users(layout, desired.config.get("users", {}))
    missing = [name for name in desired.config["secrets"] if name not in desired.secrets and name not in known_secrets]
    if missing:
        raise ContainerlessError(f"app_release_secrets has no value for {', '.join(missing)}")


def _check_media_group(media: dict[str, t.Any]) -> None:
    try:
        grp.getgrnam(media.get("group") or "root")
    except KeyError:
        raise ContainerlessError(
            f"group {media['group']!r} does not exist on this host; install the web server first or set"
            " app_sandbox_media_group"
        ) from None


def _check_users(layout: Layout, users: dict[str, str]) -> None:
    """Raise for an account that somebody else made: what it may do, or owns, the process could do too."""
    for process, user in sorted(users.items()):
        try:
            known = pwd.getpwnam(user)
        except KeyError:
            continue
        if known.pw_gecos != layout.owner:
            raise ContainerlessError(
                f"app_release_users {process} is {user!r}, an account that was on this host before and has rights of"
                f" its own; take a name that is free, such as {layout.app}-{process}"
            )


def check_space(layout: Layout, manifest: dict[str, t.Any]) -> None:
    """Raise when the tree would not fit, with a tenth of both to spare, or what is written down about it."""
    for place in (layout.var, layout.etc, layout.units):
        _require_space(place, place, _NOTES_BYTES, _NOTES_INODES)
    if not os.path.isdir(layout.tree(canonical.digest(manifest))):
        tree = manifest["tree"]
        # Half as many folders as files: each package has one for its bytecode.
        size, inodes = tree["bytes"] * 11 // 10, tree["files"] * 16 // 10
        _require_space(layout.trees, layout.srv, size + _SPARE_BYTES, inodes + _SPARE_INODES)


def _require_space(place: str, named: str, need: int, inodes: int) -> None:
    stat = os.statvfs(_existing(place))
    have = stat.f_bavail * stat.f_frsize
    if have < need:
        raise ContainerlessError(f"not enough disk below {named}: {need >> 20} MiB needed, {have >> 20} MiB free")
    if stat.f_files and stat.f_favail < inodes:
        raise ContainerlessError(f"not enough inodes below {named}: {inodes} needed, {stat.f_favail} free")


def full(layout: Layout) -> list[str]:
    """Return a sentence for each place without room: an app that can't write may only say that it fails."""
    found: dict[int, str] = {}
    for place in (layout.data, layout.var, layout.etc, layout.units, layout.srv):
        with contextlib.suppress(OSError):
            stat, device = os.statvfs(_existing(place)), os.stat(_existing(place)).st_dev
            if stat.f_bavail * stat.f_frsize < _FULL_BYTES:
                found.setdefault(device, f"the disk is full below {place}")
            elif stat.f_files and not stat.f_favail:
                found.setdefault(device, f"no inodes are left below {place}")
    return list(found.values())


def check_writable(layout: Layout) -> None:
    """Raise when a file system that a release writes to is read-only: nothing may be half done on it."""
    for place in (layout.trees, layout.etc, layout.var, layout.units):
        found = _existing(place)
        if os.statvfs(found).f_flag & os.ST_RDONLY:
            raise ContainerlessError(f"{found} is on a read-only file system; a release writes below {place}")


def check_mounted(layout: Layout, live: str) -> None:
    """Raise when the trees' folder of a host with a release is not there: what is unpacked now would lie below it."""
    if not os.path.isdir(layout.trees):
        raise ContainerlessError(
            f"{layout.trees} is not there, though {live} is live on this host: mount its file system first, or make an"
            " empty folder of that name if its files are lost"
        )


def check_memory(needed: int, available: int) -> None:
    """Raise when a second instance of what is live would not fit beside it. Both in bytes; 0 is not known."""
    if needed and available and available < needed:
        raise ContainerlessError(
            f"{needed >> 20} MiB of memory are needed to run two releases side by side, {available >> 20} MiB are"
            " available; set app_release_overlap: hold, which stops the old one first"
        )


def available_memory() -> int:
    """Return the bytes that can be used without swapping (proc(5), MemAvailable); 0 where the kernel does not say."""
    for line in (files.read("/proc/meminfo") or b"").decode().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


def _existing(place: str) -> str:
    """Return a folder, or the nearest one above it that exists."""
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    return place


def unpack_tree(layout: Layout, desired: Desired) -> None:
    """Have the artifact's tree on the host, verified; one that is there is left alone."""
    if os.path.isdir(layout.tree(desired.content_id)):
        return
    if not desired.blob:
        raise ContainerlessError(f"tree {desired.content_id} is not on this host and no artifact was sent")
    from .._artifact import unpack  # a way back needs none of it

    files.directory(layout.trees)
    with open(desired.blob, "rb") as blob:
        unpack.install(
            blob,
            encoding=desired.encoding,
            manifest=desired.manifest,
            trees=layout.trees,
            interpreter=desired.interpreter,
        )


def stage(layout: Layout, systemd: Systemd, desired: Desired) -> None:
    """Write user, the release's folder, static files, the app's data folder and the boot unit."""
    systemd.ensure_user()
    files.directory(layout.etc)
    files.directory(layout.var)
    files.replace_folder(layout.release(desired.release_id), _contents(desired))
    files.directory(f"{layout.etc}/snapshots", 0o700)
    static.publish(layout, desired.content_id)
    _prepare_data(layout, desired.config["public_dirs"], desired.config["proxy_group"])
    media = desired.config["sandbox"].get("media") or {"dirs": [], "group": ""}
    _prepare_data(layout, media["dirs"] if media["group"] else [], media["group"])
    users = sorted(set(desired.config.get("users", {}).values()))
    if users:
        systemd.ensure_users(users)
        _prepare_shared(layout)
    if files.read(layout.boot_unit_file) != desired.boot_unit.encode() or not systemd.is_enabled(layout.boot_unit):
        files.write(layout.boot_unit_file, desired.boot_unit.encode())
        systemd.reload()
        systemd.enable(layout.boot_unit)


def _contents(desired: Desired) -> dict[str, bytes]:
    return {
        "release.json": canonical.dumps(desired.document),
        "manifest.json": canonical.dumps(desired.manifest),
        "signed_by": desired.signed_by.encode(),
        **{f"units/{name}": text.encode() for name, text in desired.units.items()},
    }


def _prepare_data(layout: Layout, public: list[str], group: str) -> None:
    """Make the app's folder; the proxy may pass through it, and read what is declared public."""
    user = pwd.getpwnam(layout.user)
    files.directory(layout.data, 0o751)
    os.chown(layout.data, user.pw_uid, user.pw_gid)
    for name in public:
        _public_folder(f"{layout.data}/{name}", user.pw_uid, grp.getgrnam(group).gr_gid)


def _prepare_shared(layout: Layout) -> None:
    """Have the folder of what several users share: root's, so that none of them exchanges it for another one."""
    files.directory(layout.shared, 0o2770)
    os.chown(layout.shared, 0, grp.getgrnam(layout.shared_group).gr_gid)


def _public_folder(path: str, uid: int, gid: int) -> None:
    """Have a folder that the proxy's group may read. It stands in a folder of the app's, so no link is followed."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o750)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        raise ContainerlessError(
            f"{path} is not a folder; app_release_public_dirs and app_sandbox_media_dirs name folders of the app's data"
        ) from None
    try:
        os.fchown(fd, uid, gid)
        os.fchmod(fd, 0o2750)
    finally:
        os.close(fd)
