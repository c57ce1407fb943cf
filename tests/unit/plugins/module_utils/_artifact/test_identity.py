# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import identity
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError

from ..documents import INDEX, MANIFEST

HOST: dict[str, t.Any] = {
    "machine": "x86_64",
    "libc": "glibc",
    "libc_version": "2.36",
    "pythons": {"cpython-311-x86_64-linux-gnu": "/usr/bin/python3.11"},
}


def trixie() -> dict[str, t.Any]:
    manifest = copy.deepcopy(MANIFEST)
    manifest["python"] = {**manifest["python"], "version": "3.13", "soabi": "cpython-313-x86_64-linux-gnu"}
    return manifest


def test_content_id_is_golden() -> None:
    assert identity.content_id(MANIFEST) == "9ec8450466bdc5d7ec575069db888f63169d2027441dc3a0c0ff577ba22787d2"


def test_index_is_the_same_whatever_the_order_of_builds() -> None:
    one, two = identity.make_index([MANIFEST, trixie()]), identity.make_index([trixie(), MANIFEST])
    assert identity.index_id(one) == identity.index_id(two)
    assert [v["python"] for v in one["variants"]] == ["3.11", "3.13"]


def test_artifacts_that_do_not_belong_together_make_no_index() -> None:
    other = {**MANIFEST, "version": "2.0"}
    for manifests in ([], [MANIFEST, other], [MANIFEST, {**MANIFEST, "source_date_epoch": 1}]):
        with pytest.raises(ContainerlessError):
            identity.make_index(manifests)


def test_each_host_takes_its_own_variant() -> None:
    index = identity.make_index([MANIFEST, trixie()])
    host = {**HOST, "pythons": {"cpython-313-x86_64-linux-gnu": "/usr/bin/python3"}}
    assert identity.choose_variant(index, HOST)["python"] == "3.11"
    assert identity.choose_variant(index, host)["python"] == "3.13"


UNFIT = [
    {"pythons": {"cpython-312-x86_64-linux-gnu": "/usr/bin/python3"}},
    {"pythons": {}},
    {"machine": "aarch64"},
    {"libc": "musl"},
    {"libc_version": "2.9"},
]


@pytest.mark.parametrize("change", UNFIT)
def test_a_host_without_variant_is_told_what_it_has_and_what_there_is(change: dict[str, t.Any]) -> None:
    with pytest.raises(ContainerlessError, match=r"no variant for this host: it offers cpython-311.*the host has"):
        identity.choose_variant(INDEX, {**HOST, **change})
