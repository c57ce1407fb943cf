# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A released app on each Debian, whose sandbox is widened by options."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.containerless.django.tests.rig import Host, Rig


@pytest.fixture(scope="session", params=["debian12", "debian13"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with Rig(f"options-{request.param}", image=request.param) as made:
        yield made.publish("v1")


@pytest.fixture(scope="session")
def host(rig: Rig) -> Host:
    return rig.hosts[0]
