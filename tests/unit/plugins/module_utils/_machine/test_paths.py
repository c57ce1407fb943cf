# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._machine.errors import MachineError
from ansible_collections.containerless.django.plugins.module_utils._machine.paths import (
    Cache,
    MachinePaths,
    default_cache,
)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CACHE_HOME": "/xdg", "HOME": "/home/me"}, "/xdg/containerless/machines"),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/me"}, "/home/me/.cache/containerless/machines"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.cache/containerless/machines"),
    ],
)
def test_the_cache_follows_xdg(environ: dict[str, str], expected: str) -> None:
    assert default_cache(environ) == Path(expected)


def test_two_projects_never_share_a_machine() -> None:
    cache = Cache(Path("/c"))
    assert cache.machine("one", "web").root != cache.machine("two", "web").root


@pytest.mark.parametrize("root", ["/a b", "/a,b", "/a:b", "/a=b", "/a'b", '/a"b', "/a\\b", "/a\nb"])
def test_a_folder_that_mount_options_could_not_carry_is_refused(root: str) -> None:
    with pytest.raises(MachineError, match="cache_dir: .* must not hold"):
        MachinePaths(Path(root)).check()


def test_a_folder_too_long_for_sockets_is_refused() -> None:
    MachinePaths(Path("/" + "a" * 79)).check()
    with pytest.raises(MachineError, match="longer than 80 bytes"):
        MachinePaths(Path("/" + "a" * 80)).check()


def test_a_folder_below_run_is_refused() -> None:
    with pytest.raises(MachineError, match="must not be below /run"):
        MachinePaths(Path("/run/user/0/machine")).check()


def test_sockets_fit_even_below_the_longest_folder() -> None:
    paths = MachinePaths(Path("/" + "a" * 79))
    assert max(len(str(paths.control)) + 17, len(str(paths.monitor))) < 108
