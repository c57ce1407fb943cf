# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import subprocess
import typing

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine import recipes
from ansible_collections.containerless.django.plugins.module_utils._machine.errors import MachineError

BOOKWORM = recipes.RECIPES["debian12"]

# As apt-get indextargets prints it on a host with other people's sources too.
TARGETS = """\
http://mirror.test/debian/ bookworm main Debian
http://mirror.test/debian/ bookworm contrib Debian
http://mirror.test/debian/ bookworm-updates main Debian
http://mirror.test/debian/ bookworm-backports main Debian
http://mirror.test/security/ bookworm-security main Debian
http://packages.test/ stable main Vendor
http://packages.test/ nodistro main
"""


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(recipes.Recipe)])
def test_each_part_of_a_recipe_changes_the_name_of_its_image(field: str) -> None:
    value = getattr(BOOKWORM, field)
    change: dict[str, typing.Any] = {field: (*value, "x") if isinstance(value, tuple) else value + "x"}
    other = dataclasses.replace(BOOKWORM, **change)
    assert other.digest != BOOKWORM.digest


def test_the_same_recipe_has_the_same_name() -> None:
    assert dataclasses.replace(BOOKWORM).folder == BOOKWORM.folder
    assert BOOKWORM.folder.startswith("debian12-")


def test_an_unknown_image_names_the_known_ones() -> None:
    with pytest.raises(MachineError, match="image: debian9 is unknown, choose one of debian12, debian13, debian14"):
        recipes.recipe("debian9")


def test_further_packages_are_another_image() -> None:
    plain, more = recipes.recipe("debian12"), recipes.recipe("debian12", ["gcc", "curl", "gcc"])
    assert more.packages == (*plain.packages, "gcc")
    assert more.folder != plain.folder
    assert recipes.recipe("debian12", ["curl"]) == plain


def test_a_package_is_never_an_option() -> None:
    with pytest.raises(MachineError, match="'--allow' is no name of a Debian package"):
        recipes.recipe("debian12", ["--allow"])


def test_sources_are_the_hosts_own_for_another_suite() -> None:
    assert recipes.sources_from_host(TARGETS, "trixie") == [
        "deb http://mirror.test/debian/ trixie main",
        "deb http://mirror.test/debian/ trixie-updates main",
        "deb http://mirror.test/security/ trixie-security main",
    ]


@pytest.mark.parametrize("targets", ["", "\n", "http://packages.test/ noble main Ubuntu\n"])
def test_a_host_without_debian_sources_leaves_the_choice_to_mmdebstrap(targets: str) -> None:
    assert recipes.sources_from_host(targets, "trixie") == []


def test_only_what_reaches_packages_is_taken_from_the_hosts_apt() -> None:
    dump = 'Acquire::http::Proxy "http://proxy.test:3142";\nAcquire::Languages "";\nAPT::Get::Assume-Yes "true";\n'
    assert recipes.apt_options_from_host(dump) == ['Acquire::http::Proxy "http://proxy.test:3142"']


def test_the_command_names_suite_target_and_sources_last() -> None:
    argv = recipes.build_argv(BOOKWORM, "/cache/rootfs", ["deb http://mirror.test/ bookworm main"], ["Option 1"])
    assert argv[-3:] == ["bookworm", "/cache/rootfs", "deb http://mirror.test/ bookworm main"]
    assert "--aptopt=Option 1" in argv


@pytest.mark.parametrize("script", [BOOKWORM.essential, BOOKWORM.customize])
def test_the_scripts_are_shell_without_holes(script: str) -> None:
    subprocess.run(["sh", "-n", "-c", script], check=True)
    assert "@" not in script.replace("getty@", "")
