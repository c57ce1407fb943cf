# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import time
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils._store import Missing, Put, Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "store").mkdir()
    return open_store(f"file://{tmp_path}/store")


def test_an_object_is_put_once(store: Store) -> None:
    assert store.get("a/b") is None
    assert store.head("a/b") is None
    assert store.put_once("a/b", b"one") is Put.CREATED
    assert store.put_once("a/b", b"one") is Put.SAME
    assert store.put_once("a/b", b"two") is Put.CONFLICT
    assert store.get("a/b") == b"one"
    assert store.head("a/b") == 3


def test_the_write_itself_is_conditional(store: Store) -> None:
    # What is left when another writer comes between the look and the put.
    assert store._create("a/b", b"one")
    assert not store._create("a/b", b"two")
    assert store.get("a/b") == b"one"


def test_an_empty_object_is_there(store: Store) -> None:
    assert store.put_once("empty", b"") is Put.CREATED
    assert store.get("empty") == b""
    assert store.head("empty") == 0
    assert store.put_once("empty", b"") is Put.SAME


def test_a_large_file_is_put_once(store: Store, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(12_000_000))
    assert store.put_once("blobs/large", large) is Put.CREATED
    assert store.put_once("blobs/large", large) is Put.SAME
    assert store.get("blobs/large") == large.read_bytes()
    large.write_bytes(b"x" + large.read_bytes()[1:])
    assert store.put_once("blobs/large", large) is Put.CONFLICT


def test_only_replace_overwrites(store: Store) -> None:
    store.replace("channel", b"one")
    store.replace("channel", b"two")
    assert store.get("channel") == b"two"


def test_list_and_delete(store: Store) -> None:
    for key in ("a/2", "a/1", "b/3"):
        store.put_once(key, b"")
    assert store.list("a") == ["a/1", "a/2"]
    assert store.list("never") == []
    assert store.delete("a/1")
    assert not store.delete("a/1")
    assert store.list("a") == ["a/2"]


@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_modes_are_those_of_the_umask(store: Store, mask: int, file_mode: int, folder_mode: int) -> None:
    before = os.umask(mask)
    try:
        store.put_once("a/b", b"")
    finally:
        os.umask(before)
    path = store.folder / "a/b"  # type: ignore[operator]
    assert stat.S_IMODE(path.stat().st_mode) == file_mode
    assert stat.S_IMODE(path.parent.stat().st_mode) == folder_mode


def _put(url: str, data: bytes, ready: object, results: object) -> None:
    ready.wait()  # type: ignore[attr-defined]
    results.put(open_store(url).put_once("key", data).value)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("contents", "expected"),
    [((b"same" * 1_000_000,) * 2, ["created", "same"]), ((b"one" * 999, b"two" * 999), ["conflict", "created"])],
)
def test_two_writers(store: Store, contents: tuple[bytes, bytes], expected: list[str]) -> None:
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(2), context.Queue()
    url = f"file://{store.folder}"
    writers = [context.Process(target=_put, args=(url, data, ready, results)) for data in contents]
    for writer in writers:
        writer.start()
    found = sorted(results.get(timeout=60) for _ in writers)
    for writer in writers:
        writer.join()
    assert found == expected
    assert store.get("key") in contents


def _put_large(url: str, source: Path) -> None:
    open_store(url).put_once("key", source)


def test_a_writer_that_was_killed_leaves_no_half_object(store: Store, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(1 << 28)
    folder = store.folder
    assert folder is not None
    writer = multiprocessing.get_context("spawn").Process(target=_put_large, args=(f"file://{folder}", large))
    writer.start()
    # It reads and hashes the file first; a name in the folder says that it writes now.
    while writer.is_alive() and not list(folder.iterdir()):
        time.sleep(0.001)
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    left = [path.name for path in folder.iterdir()]
    assert left != [], "killed too early to show anything"
    assert store.head("key") in (None, 1 << 28)
    assert store.list("") == ([] if store.head("key") is None else ["key"])
    large.write_bytes(b"small")
    if store.head("key") is None:
        assert store.put_once("key", large) is Put.CREATED


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/srv/artifacts", "app_store /srv/artifacts must be a URL such as file:///srv/artifacts"),
        ("", "must be a URL"),
        ("ftp://host/x", "must be a URL"),
        ("http://host/x", "must be a URL"),
        ("s3://", "must be a URL"),
        ("file://srv/artifacts", "must have three slashes"),
        ("file:relative", "must have three slashes"),
        ("file:///never/made", "is not a folder on the control node; create it, or correct app_store"),
        ("file:///dev/null", "is not a folder on the control node"),
    ],
)
def test_a_wrong_url_is_said_in_one_sentence(url: str, message: str) -> None:
    with pytest.raises(ContainerlessError, match=message) as caught:
        open_store(url)
    assert "\n" not in str(caught.value)


def test_an_error_names_the_option_that_holds_the_url() -> None:
    with pytest.raises(ContainerlessError, match="correct app_build_store"):
        open_store("file:///never/made", option="app_build_store")


def test_an_error_does_not_show_the_password() -> None:
    with pytest.raises(ContainerlessError) as caught:
        open_store("http://user:hunter2@host/x?sig=hunter3")
    assert "hunter" not in str(caught.value)


def test_a_folder_is_made_only_when_asked_for(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/cache/store"
    assert open_store(url, missing=Missing.EMPTY).list("") == []
    assert not (tmp_path / "cache").exists()
    open_store(url, missing=Missing.CREATE).put_once("a", b"")
    assert (tmp_path / "cache/store/a").exists()
    assert open_store(url, missing=Missing.EMPTY).list("") == ["a"]


def test_a_folder_that_cannot_be_made_is_an_error() -> None:
    with pytest.raises(ContainerlessError, match="can't be created"):
        open_store("file:///dev/null/store", missing=Missing.CREATE)


def test_a_space_in_the_url_is_a_space_in_the_path(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    assert open_store(f"file://{tmp_path}/a%20b").folder == tmp_path / "a b"


def test_a_store_that_cannot_be_written_is_said_in_one_sentence() -> None:
    # Not even root can make a file there.
    store = open_store("file:///sys")
    for write, key in ((lambda: store.put_once("a/b", b""), "a/b"), (lambda: store.replace("c", b""), "c")):
        with pytest.raises(ContainerlessError, match=f"^app_store file:///sys: can't write {key}: ") as caught:
            write()
        assert "\n" not in str(caught.value)
