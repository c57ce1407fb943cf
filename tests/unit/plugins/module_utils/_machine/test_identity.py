# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine.identity import (
    Identity,
    known_hosts,
    ssh_options,
    tmpfiles,
)

IDENTITY = Identity("web", "ssh-ed25519 CLIENT ops\n", "-----BEGIN\nPRIVATE\n", "ssh-ed25519 HOST web\n")


def content(path: str) -> tuple[list[str], str]:
    line = next(line.split() for line in tmpfiles(IDENTITY).splitlines() if line.split()[1] == path)
    return line[2:5], base64.b64decode(line[6]).decode()


@pytest.mark.parametrize(
    ("path", "access", "text"),
    [
        ("/home/ops/.ssh/authorized_keys", ["0600", "ops", "ops"], "ssh-ed25519 CLIENT ops\n"),
        ("/etc/ssh/ssh_host_ed25519_key", ["0600", "root", "root"], "-----BEGIN\nPRIVATE\n"),
        ("/etc/ssh/ssh_host_ed25519_key.pub", ["0644", "root", "root"], "ssh-ed25519 HOST web\n"),
        ("/etc/hostname", ["0644", "root", "root"], "web\n"),
    ],
)
def test_each_file_has_its_content_and_access(path: str, access: list[str], text: str) -> None:
    assert content(path) == (access, text)


def test_the_machine_knows_its_own_name() -> None:
    assert "127.0.1.1 web\n" in content("/etc/hosts")[1]


@pytest.mark.parametrize(("port", "where"), [(22, "198.18.0.2"), (2222, "[198.18.0.2]:2222")])
def test_known_hosts(port: int, where: str) -> None:
    assert known_hosts("198.18.0.2", port, "ssh-ed25519 HOST web\n") == f"{where} ssh-ed25519 HOST\n"


def test_ssh_trusts_nothing_but_the_key_of_this_machine() -> None:
    options = ssh_options("/m/known_hosts", "/m/ssh.sock")
    assert {"StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "UserKnownHostsFile=/m/known_hosts"} < set(
        options
    )
