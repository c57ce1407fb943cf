# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One commit and one lock are one artifact, whatever else differs. Each build here installs, compiles and collects."""

from __future__ import annotations

import json
import os
import shutil
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.plugin_utils import _builder
from ansible_collections.containerless.django.tests.fixtures.shop import history

from .harness import PLATFORM, PYTHON, Artifact, Builder, Host, platform, serve


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout of the sample project."""
    folder = tmp_path_factory.mktemp("one") / "shop"
    history.create(folder)
    history.checkout(folder, "v1")
    return folder


@pytest.fixture(scope="module")
def first(builder: Builder, shop: Path) -> Artifact:
    """Return the artifact that all the others have to equal."""
    return builder.build(shop, store=builder.folder / "first", warm=False)


def linked_python(folder: Path) -> Path:
    """Return a link to the interpreter, beside nothing that belongs to it."""
    folder.joinpath("python-of-ours").symlink_to(PYTHON)
    return folder / "python-of-ours"


def copied_python(folder: Path) -> Path:
    """Return a copy of the interpreter, which finds its library where it was compiled to be."""
    return Path(shutil.copy(os.path.realpath(PYTHON), folder / "python3"))


OTHER_WORDS = {"TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8", "LC_ALL": "POSIX", "PYTHONHASHSEED": "random"}
TOOLS = {"HOME": "/nonexistent", "SOURCE_DATE_EPOCH": "1", "UV_COMPILE_BYTECODE": "1", "UV_LINK_MODE": "symlink"}
HOSTS: dict[str, t.Callable[[Path], Host]] = {
    "another folder, on a disk": lambda folder: Host(folder=str(folder)),
    "another user": lambda folder: Host(user=12345),
    "umask 077": lambda folder: Host(umask=0o077),
    "another time zone, language and settings of tools": lambda folder: Host(env={**OTHER_WORDS, **TOOLS}),
    "a linked interpreter": lambda folder: Host(python=str(linked_python(folder))),
    "a copied interpreter": lambda folder: Host(python=str(copied_python(folder))),
    "folders in reversed order": lambda folder: Host(order=True),
}


@pytest.mark.parametrize("name", HOSTS)
def test_the_build_host_does_not_matter(
    builder: Builder, shop: Path, first: Artifact, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = Path(builder.folder, name.replace(" ", "-"))
    folder.mkdir()
    host = HOSTS[name](folder)
    if host.user and os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    work = folder / "in" / "a rather long way down"
    work.mkdir(parents=True)
    if host.folder:
        host = replace(host, folder=str(work))
    assert same(builder.build(shop, store=folder / "store", warm=False, host=host), first)


def test_another_micro_version_is_refused(
    builder: Builder, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its compiler writes other bytecode: 8 of 6,684 files differ between 3.11.2 and 3.11.7, one of them Django's."""
    ours, other = platform(), platform().python + ".99"
    monkeypatch.setitem(_builder.PLATFORMS, PLATFORM, replace(ours, full=other))
    said = builder.refusal(shop, tmp_path / "store", warm=False)
    assert [word for word in (ours.full, other, "app_build_host") if word not in said] == [], said


def same(one: Artifact, other: Artifact) -> bool:
    """Whether two artifacts are one; what differs first is what the test says."""
    for key, value in one.manifest.items():
        assert value == other.manifest[key], key
    return one.content_id == other.content_id and one.documents.get("sbom") == other.documents.get("sbom")


def test_the_control_node_does_not_matter(
    builder: Builder, shop: Path, first: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another clone below another folder, another umask, time zone and language, a cold cache of wheels."""
    wheelhouse = tmp_path / "wheelhouse"
    wheelhouse.mkdir()
    for wheel in builder.cache.rglob("*.whl"):
        shutil.copy(wheel, wheelhouse)
    for name, value in OTHER_WORDS.items():
        monkeypatch.setenv(name, value)
    before = os.umask(0o077)
    try:
        clone = tmp_path / "another checkout/of it"
        history.git("clone", "-q", "--branch", "v1", str(shop), str(clone))
        built = builder.build(
            clone, store=tmp_path / "store", cache=tmp_path / "cache", wheelhouse=wheelhouse, warm=False
        )
    finally:
        os.umask(before)
    assert built.fetched == len(built.distributions)
    assert same(built, first)


def test_an_environment_that_was_taken_over_is_the_one_that_would_be_made(
    builder: Builder, shop: Path, first: Artifact, tmp_path: Path
) -> None:
    """v2 has the lock of v1."""
    warm = builder.build(shop, store=builder.folder / "first", ref="v2")
    assert warm.layer
    assert "install" not in warm.seconds
    cold = builder.build(shop, store=tmp_path / "store", ref="v2", warm=False)
    assert not cold.layer
    assert same(warm, cold)
    assert warm.content_id != first.content_id
    assert same(builder.build(shop, store=builder.folder / "first", ref="v1"), first)


def test_two_builds_at_once_are_one_artifact(builder: Builder, shop: Path, first: Artifact, tmp_path: Path) -> None:
    stores = [tmp_path / "one", tmp_path / "two"]
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda store: builder.build(shop, store=store, warm=False), stores)
    assert same(one, two)
    assert same(one, first)


def static(tree: Path, name: str) -> str:
    """Return the hashed name of a static file."""
    found: str = json.loads((tree / "static/staticfiles.json").read_bytes())["paths"][name]
    return found


def test_it_serves(first: Artifact, tmp_path: Path) -> None:
    tree = first.install(tmp_path)
    with serve(first, tree, SHOP_HOSTS="shop.example.org") as ask:
        assert ask("/static/" + static(tree, "store/shop.css"))[0] == 200
