# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.filter.unknown_variables import unknown_variables

CASES = [
    (["app_name", "app_src", "ansible_host", "app_hosts", "shop_release_x"], []),
    (["app_release_drain", "app_build_platforms", "app_sandbox_profile", "app_release_result"], []),
    (["app_machine_http", "app_machine_ssh", "app_machine_facts"], []),
    (["app_release_drian"], ["app_release_drian (did you mean app_release_drain?)"]),
    (["app_build_qqqqqqqqqqqqqqqq"], ["app_build_qqqqqqqqqqqqqqqq"]),
]


@pytest.mark.parametrize(("names", "expected"), CASES)
def test_unknown_variables(names: list[str], expected: list[str]) -> None:
    assert unknown_variables(names) == expected
