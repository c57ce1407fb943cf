# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a look from inside is told. What it sees is shown by tests/integration/sandbox."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ansible_collections.containerless.django.plugins.module_utils._release import confinement

TEXT = """\
[Service]
RuntimeDirectory=containerless/shop/%i/web
NoExecPaths=/ /run/containerless/shop/%i/web
"""


def test_it_knows_the_folders_of_its_own_activation() -> None:
    told: list[str] = []

    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        told.extend(argv)
        return 0, "{}", ""

    confinement.look(run, [TEXT], 7)
    assert json.loads(told[-1])["noexec"] == ["/", "/run/containerless/shop/7/web"]
    assert "--property=RuntimeDirectory=containerless/shop/7/web" in told


def test_no_word_of_it_is_garbled_when_systemd_reloads_before_it_starts() -> None:
    told: list[str] = []

    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        told.extend(argv)
        return 0, "{}", ""

    confinement.look(run, [TEXT], 7)
    words = told[told.index("--") + 1 :]
    assert words[1] == "-IS"
    assert not set("".join(words)) & set(";$")
