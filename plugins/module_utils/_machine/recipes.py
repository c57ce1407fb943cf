# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image consists of; everything that shapes its bytes is in the recipe, so its hash names the image."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import asdict, dataclass, replace

from .errors import MachineError

USER = "ops"
KERNEL = "linux-image-cloud-amd64"
#: Debian policy 5.6.7
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "udev",
    "openssh-server",
    "sudo",
    "acl",
    "python3",
    "iproute2",
    "ca-certificates",
    "libseccomp2",
    "nginx-light",
    "postgresql",
    "redis-server",
    "curl",
    "strace",
    KERNEL,
)

# What a throwaway machine never shows to anybody; PostgreSQL does without its compiler when the plug-in is missing.
EXCLUDED_PATHS = (
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/lib/postgresql/*/lib/llvmjit*",
    "/usr/lib/postgresql/*/lib/bitcode/*",
    "/usr/lib/*/libLLVM*",
)

# Tests start what they need; the rest only delays the boot or changes the machine under a test.
DISABLED_UNITS = (
    "nginx.service",
    "postgresql.service",
    "redis-server.service",
    "e2scrub_reap.service",
    "e2scrub_all.timer",
    "systemd-pstore.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "fstrim.timer",
    "logrotate.timer",
)

# In an nspawn machine these would open the host's kernel to its root.
MASKED_UNITS = ("sys-kernel-debug.mount", "sys-kernel-tracing.mount")

# Before any package is configured: a generic initrd with every driver costs ten seconds and is never needed.
ESSENTIAL = r"""
mkdir -p "$1/etc/initramfs-tools/conf.d"
printf 'MODULES=list\nCOMPRESS=gzip\nFSTYPE=ext4\n' > "$1/etc/initramfs-tools/conf.d/machine"
printf 'virtio_pci\nvirtio_mmio\nvirtio_blk\next4\n' > "$1/etc/initramfs-tools/modules"
"""

CUSTOMIZE = r"""
chroot "$1" sh -eu <<'END'
useradd --create-home --shell /bin/bash @USER@
echo '@USER@ ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/@USER@
chmod 0440 /etc/sudoers.d/@USER@
passwd --quiet --lock root
cat > /etc/ssh/sshd_config.d/machine.conf <<'SSHD'
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
HostKey /etc/ssh/ssh_host_ed25519_key
SSHD
cat > /etc/systemd/system/machine-address.service <<'UNIT'
[Unit]
Description=Address of a virtual machine
ConditionKernelCommandLine=machine.address
DefaultDependencies=no
After=sys-subsystem-net-devices-eth0.device
BindsTo=sys-subsystem-net-devices-eth0.device
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip address replace 10.0.2.15/24 dev eth0
ExecStart=ip link set eth0 up
[Install]
WantedBy=multi-user.target
UNIT
systemctl --quiet enable machine-address.service
systemctl --quiet disable @DISABLED@ 2>/dev/null
systemctl --quiet mask @MASKED@
echo 'LANG=C.UTF-8' > /etc/default/locale
rm -f /etc/ssh/ssh_host_* /etc/resolv.conf /etc/hostname
: > /etc/machine-id
END
"""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what an image contains."""

    name: str
    suite: str
    packages: tuple[str, ...]
    excluded_paths: tuple[str, ...]
    essential: str
    customize: str

    @property
    def digest(self) -> str:
        """Twelve hex digits that change with any part of the recipe."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        """The name of the image in the cache."""
        return f"{self.name}-{self.digest}"


def _recipe(name: str, suite: str) -> Recipe:
    words = {"USER": USER, "DISABLED": " ".join(DISABLED_UNITS), "MASKED": " ".join(MASKED_UNITS)}
    customize = CUSTOMIZE
    for word, value in words.items():
        customize = customize.replace(f"@{word}@", value)
    return Recipe(name, suite, PACKAGES, EXCLUDED_PATHS, ESSENTIAL, customize)


#: The last one is Debian's testing: what is to come, and another image at each build.
SUITES = {"debian12": "bookworm", "debian13": "trixie", "debian14": "forky"}
RECIPES = {name: _recipe(name, suite) for name, suite in SUITES.items()}


def recipe(name: str, extra: t.Sequence[str] = ()) -> Recipe:
    """The recipe of this name, with further Debian packages: that is an image of its own."""
    for package in extra:
        if not _PACKAGE.fullmatch(package):
            raise MachineError(f"packages: {package!r} is no name of a Debian package.")
    try:
        known = RECIPES[name]
    except KeyError:
        raise MachineError(f"image: {name} is unknown, choose one of {', '.join(sorted(RECIPES))}.") from None
    return replace(known, packages=(*known.packages, *sorted(set(extra) - set(known.packages))))


def build_argv(recipe: Recipe, target: str, sources: list[str], apt_options: list[str]) -> list[str]:
    """The command that builds the image's root folder."""
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--include=" + ",".join(recipe.packages),
        *(f"--dpkgopt=path-exclude={path}" for path in recipe.excluded_paths),
        "--dpkgopt=force-unsafe-io",
        '--aptopt=APT::Install-Recommends "0"',
        *(f"--aptopt={option}" for option in apt_options),
        "--essential-hook=" + recipe.essential,
        "--customize-hook=" + recipe.customize,
        "--format=directory",
        recipe.suite,
        target,
        *sources,
    ]


def sources_from_host(index_targets: str, suite: str) -> list[str]:
    """Turn the host's own Debian sources into those of another suite; none means the built-in default.

    Each input line is "URI RELEASE COMPONENT ORIGIN", as apt-get indextargets prints it.
    """
    lines = []
    for line in index_targets.splitlines():
        uri, release, component, origin = (line.split() + [""] * 4)[:4]
        _base, dash, pocket = release.partition("-")
        if (component, origin) == ("main", "Debian") and pocket in ("", "updates", "security"):
            lines.append(f"deb {uri} {suite}{dash}{pocket} main")
    return sorted(set(lines))


def apt_options_from_host(dump: str) -> list[str]:
    """Those lines of apt-config dump that decide how packages are reached: proxies and validity checks."""
    wanted = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until", "Acquire::Check-Date")
    return [line.rstrip(";") for line in dump.splitlines() if line.split(" ")[0] in wanted]
