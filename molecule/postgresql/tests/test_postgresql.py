# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared story on PostgreSQL."""

from __future__ import annotations

import sys
from pathlib import Path

from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[2] / "shared/testinfra"))

from shop import *  # noqa: F403


def test_the_orders_are_in_postgresql(host: Host) -> None:
    with host.sudo():
        owner = host.check_output("runuser -u postgres -- psql -Atc '\\dt store_order' shop").split("|")[-1]
        assert owner == "cl-shop"
        assert not host.file("/var/lib/containerless/shop/data/shop.sqlite3").exists
