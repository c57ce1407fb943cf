# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import static

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
TREES = {
    ONE: {"site.css": "one", "one.js": "1", "img/logo.png": "one", "only/one.txt": ""},
    TWO: {"site.css": "two", "two.js": "2", "img/logo.png": "two"},
    THREE: {},
}


@pytest.fixture
def trees(layout: Layout) -> Layout:
    """Return the layout of a host with three trees, one of them without static files."""
    for content_id, files in TREES.items():
        os.makedirs(layout.tree(content_id))
        for name, text in files.items():
            path = Path(layout.tree(content_id), "static", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    return layout


def go_live(layout: Layout, content_id: str) -> None:
    static.publish(layout, content_id)
    static.lead(layout, content_id)


def seen(folder: str) -> dict[str, str]:
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in paths}


def folders(folder: str) -> set[str]:
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_dir()}


ALL = {name for files in TREES.values() for name in files}


@pytest.mark.parametrize("order", [(ONE, TWO), (TWO, ONE), (ONE, TWO, ONE, TWO), (TWO, TWO)])
def test_the_union_has_all_files_and_those_of_the_last_release_where_two_have_one(
    trees: Layout, order: tuple[str, ...]
) -> None:
    for content_id in order:
        go_live(trees, content_id)
    found = seen(trees.static)
    assert set(found) == {name for content_id in order for name in TREES[content_id]}
    assert {name: found[name] for name in TREES[order[-1]]} == TREES[order[-1]]


def test_before_it_is_live_a_release_adds_its_files_and_changes_none_of_the_live_one(trees: Layout) -> None:
    go_live(trees, ONE)
    static.publish(trees, TWO)
    assert seen(trees.static) == {**TREES[TWO], **TREES[ONE]}


@pytest.mark.parametrize("content_id", [ONE, TWO, THREE])
def test_an_app_sees_its_own_files_and_those_of_the_others_beside_them(trees: Layout, content_id: str) -> None:
    static.publish(trees, content_id)
    found = seen(trees.served(content_id))
    assert set(found) == ALL
    assert {name: found[name] for name in TREES[content_id]} == TREES[content_id]


def test_no_file_is_copied_and_none_is_written_to(trees: Layout) -> None:
    for content_id in (ONE, TWO, ONE):
        go_live(trees, content_id)
    assert os.path.samefile(f"{trees.tree(ONE)}/static/site.css", f"{trees.static}/site.css")
    assert {content_id: seen(f"{trees.tree(content_id)}/static") for content_id in (ONE, TWO)} == {
        content_id: TREES[content_id] for content_id in (ONE, TWO)
    }


@pytest.mark.parametrize("gone", [(ONE,), (TWO,), (ONE, TWO)])
def test_what_no_tree_has_any_more_goes_with_its_folder(trees: Layout, gone: tuple[str, ...]) -> None:
    for content_id in (ONE, TWO, THREE):
        static.publish(trees, content_id)
    for content_id in gone:
        os.rename(trees.tree(content_id), f"{trees.trees}/.trash-{content_id}")
    static.prune(trees)
    left = [content_id for content_id in TREES if content_id not in gone]
    names = {name for content_id in left for name in TREES[content_id]}
    for shown in (trees.static, *map(trees.served, left)):
        assert set(seen(shown)) <= names
        assert folders(shown) == {os.path.dirname(name) for name in seen(shown)} - {""}
    for content_id in left:
        assert seen(trees.served(content_id)).items() >= TREES[content_id].items()


@pytest.mark.parametrize("active", [ONE, TWO])
def test_a_name_of_a_tree_that_went_is_that_of_another_one_first_of_what_is_live(trees: Layout, active: str) -> None:
    os.makedirs(f"{trees.tree(THREE)}/static")
    Path(trees.tree(THREE), "static/site.css").write_text("three", "utf-8")
    for content_id in (TWO if active == ONE else ONE, active, THREE):
        go_live(trees, content_id)
    os.symlink(f"trees/{active}", trees.current)
    os.rename(trees.tree(THREE), f"{trees.trees}/.trash-{THREE}")
    static.prune(trees)
    assert seen(trees.static).items() >= TREES[active].items()


def test_the_rest_of_a_crash_does_not_stop_it(trees: Layout) -> None:
    static.publish(trees, ONE)
    Path(f"{trees.static}.new").write_text("", "utf-8")
    go_live(trees, TWO)
    assert seen(trees.static)["site.css"] == "two"


def test_a_strict_umask_hides_nothing_from_the_proxy(trees: Layout) -> None:
    before = os.umask(0o077)
    try:
        static.publish(trees, ONE)
    finally:
        os.umask(before)
    for place in (trees.static, f"{trees.static}/img", trees.served(ONE)):
        assert stat.S_IMODE(os.stat(place).st_mode) == 0o755


def test_a_crash_at_any_link_leaves_each_name_one_whole_file(trees: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    go_live(trees, ONE)
    link, count = os.link, [0]

    def links(source: str, path: str, **more: t.Any) -> None:
        count[0] -= 1
        if not count[0]:
            raise KeyboardInterrupt
        link(source, path, **more)

    monkeypatch.setattr(os, "link", links)
    for at in range(1, 100):
        count[0] = at
        try:
            go_live(trees, TWO)
        except KeyboardInterrupt:
            assert set(TREES[ONE]) <= set(seen(trees.static))
            assert seen(trees.static)["site.css"] in {"one", "two"}
            continue
        break
    assert at > 5
    assert seen(trees.static).items() >= TREES[TWO].items()
