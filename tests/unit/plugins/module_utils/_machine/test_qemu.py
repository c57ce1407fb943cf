# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine.errors import MachineError
from ansible_collections.containerless.django.plugins.module_utils._machine.paths import Cache
from ansible_collections.containerless.django.plugins.module_utils._machine.qemu import (
    FIRST_PORT,
    PORT_PAIRS,
    Plan,
    overlay_argv,
    pick_port,
    probe_argv,
    qemu_argv,
    smbios_credential,
)

CACHE = Cache(Path("/c"))
PLAN = Plan(
    name="web",
    image=CACHE.image("debian12-0"),
    paths=CACHE.machine("p", "web"),
    ssh_port=20000,
    http_port=20001,
    memory=1024,
    cpus=1,
    kvm=False,
)


def option(argv: list[str], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_the_network_has_no_way_out_and_two_ways_in() -> None:
    network = option(qemu_argv(PLAN), "-netdev").split(",")
    assert "restrict=on" in network
    assert [word for word in network if word.startswith("hostfwd")] == [
        "hostfwd=tcp:127.0.0.1:20000-:22",
        "hostfwd=tcp:127.0.0.1:20001-:80",
    ]


@pytest.mark.parametrize(("kvm", "accel"), [(True, "kvm"), (False, "tcg,thread=multi,tb-size=512")])
def test_the_accelerator(kvm: bool, accel: str) -> None:
    argv = qemu_argv(dataclasses.replace(PLAN, kvm=kvm))
    assert option(argv, "-accel") == accel
    # QEMU refuses to be told twice.
    assert "accel=" not in option(argv, "-machine")


def test_no_secret_stands_on_the_command_line() -> None:
    assert option(qemu_argv(PLAN), "-smbios") == f"type=11,path={PLAN.paths.smbios}"


def test_the_credential_is_what_systemd_reads() -> None:
    name, _equals, value = smbios_credential("d /a\n").partition("=")
    assert name == "io.systemd.credential.binary:tmpfiles.extra"
    assert base64.b64decode(value) == b"d /a\n"


def test_the_probe_needs_no_disk_and_ends_by_itself() -> None:
    argv = probe_argv(PLAN.image)
    assert option(argv, "-accel") == "kvm"
    assert "-drive" not in argv
    assert "-no-reboot" in argv


def test_the_image_stays_untouched() -> None:
    argv = overlay_argv(PLAN.image, PLAN.paths)
    assert option(argv, "-b") == str(PLAN.image.disk)
    assert argv[-1] == str(PLAN.paths.disk)


def test_ports_follow_the_machine_and_avoid_what_is_taken() -> None:
    first = pick_port("p/web", (), lambda _port: True)
    assert first == pick_port("p/web", (), lambda _port: True)
    assert pick_port("p/web", {first}, lambda _port: True) != first
    assert pick_port("p/web", (), lambda port: port != first + 1) != first


def test_no_free_ports() -> None:
    with pytest.raises(MachineError, match="No two free ports"):
        pick_port("p/web", range(FIRST_PORT, FIRST_PORT + 2 * PORT_PAIRS), lambda _port: True)
