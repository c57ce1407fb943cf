# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._release import files


@pytest.fixture
def umask() -> t.Iterator[None]:
    """Work under the umask of a hardened host."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return (
        path.stat(follow_symlinks=False).st_mode & 0o7777
        if sys.version_info >= (3, 10)
        else path.lstat().st_mode & 0o7777
    )


@pytest.mark.parametrize("wanted", [0o600, 0o644, 0o755])
@pytest.mark.usefixtures("umask")
def test_a_file_has_content_and_mode_and_leaves_nothing_beside_it(tmp_path: Path, wanted: int) -> None:
    path = tmp_path / "file"
    files.write(str(path), b"old", 0o600)
    files.write(str(path), b"new", wanted)
    assert (path.read_bytes(), mode(path), os.listdir(tmp_path)) == (b"new", wanted, ["file"])


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    files.write(str(path), b"old")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            files.write(str(path), b"new")
    assert path.read_bytes() == b"old"
    files.write(str(path), b"newer")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"newer", ["file"])


def test_the_content_is_flushed_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(files.os, "fsync", lambda fd: (events.append("fsync"), fsync(fd)))
    monkeypatch.setattr(files.os, "rename", lambda *paths: (events.append("rename"), rename(*paths)))
    files.write(str(tmp_path / "file"), b"")
    assert events == ["fsync", "rename", "fsync"]


def test_a_link_that_lies_in_wait_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"safe")
    (tmp_path / "file.new").symlink_to("victim")
    (tmp_path / "file").symlink_to("victim")
    files.write(str(tmp_path / "file"), b"new")
    assert (tmp_path / "victim").read_bytes() == b"safe"
    assert not (tmp_path / "file").is_symlink()


def test_what_is_not_there_is_none_and_needs_no_removal(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    assert files.read(path) is None
    files.remove(path)
    files.write(path, b"")
    assert files.read(path) == b""
    files.remove(path)
    assert files.read(path) is None


def read_only(*_args: t.Any) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_link_that_is_right_already_needs_no_writable_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "link")
    files.link("one", path)
    monkeypatch.setattr(files.os, "symlink", read_only)
    files.link("one", path)
    with pytest.raises(OSError, match="Read-only"):
        files.link("two", path)
    (tmp_path / "link.new").touch()
    with pytest.raises(OSError, match="Read-only"):
        files.link("one", path)


def test_a_link_is_moved_even_when_a_crash_left_one_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "link"
    for target in ("one", "two"):
        (tmp_path / "link.new").symlink_to("leftover")
        files.link(target, str(path))
        assert os.readlink(path) == target
    assert os.listdir(tmp_path) == ["link"]


@pytest.mark.usefixtures("umask")
def test_a_folder_has_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    files.directory(str(path), 0o751)
    assert mode(path) == 0o751
    path.chmod(0o700)
    files.directory(str(path), 0o751)
    assert mode(path) == 0o751


@pytest.mark.usefixtures("umask")
def test_the_parents_of_a_folder_can_be_passed_whatever_the_umask(tmp_path: Path) -> None:
    files.directory(str(tmp_path / "a/b/c"), 0o700)
    assert (mode(tmp_path / "a"), mode(tmp_path / "a/b")) == (0o755, 0o755)


FOLDERS: list[dict[str, bytes]] = [{"a": b"1"}, {"a": b"2"}, {"b/c": b"", "b/d": b"3"}, {"b": b"now a file"}]


def test_a_folder_is_replaced_whole_and_only_when_it_differs(tmp_path: Path) -> None:
    path = str(tmp_path / "release")
    for contents in FOLDERS:
        assert files.replace_folder(path, contents) is True
        assert files.replace_folder(path, contents) is False
        assert {name: files.read(f"{path}/{name}") for name in contents} == contents
        assert os.listdir(tmp_path) == ["release"]
    (tmp_path / "release/extra").write_text("", "utf-8")
    assert files.replace_folder(path, FOLDERS[-1]) is True
    assert os.listdir(path) == ["b"]


def test_the_rest_of_a_crash_is_no_part_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "release.new").mkdir()
    (tmp_path / "release.new/half").write_text("", "utf-8")
    files.replace_folder(str(tmp_path / "release"), {"a": b"1"})
    assert os.listdir(tmp_path / "release") == ["a"]


HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(fd, fcntl.LOCK_EX)
os.write(fd, b"run r9 of eve")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> t.Iterator[subprocess.Popen[bytes]]:
    """Return another process that holds the lock until its standard input is closed."""
    argv = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_lock_that_another_process_holds_names_it(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    path = str(tmp_path / "lock")
    with (
        pytest.raises(ContainerlessError, match=r"\(run r9 of eve\).*app_release_lock_wait"),
        files.lock(path, "me", 0),
    ):
        pytest.fail("two held it")
    holder.kill()
    holder.wait()
    with files.lock(path, "me", 0):
        assert files.read(path) == b"me"


def test_a_lock_is_waited_for(tmp_path: Path, holder: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.time, "sleep", lambda _seconds: (holder.kill(), holder.wait()))
    with files.lock(str(tmp_path / "lock"), "me", 60):
        assert files.read(str(tmp_path / "lock")) == b"me"


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with files.lock(path, "me", 0), pytest.raises(ContainerlessError, match="me"), files.lock(path, "another", 0):
        pytest.fail("two held it")


def test_a_lock_is_held_on_a_read_only_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, whole = tmp_path / "lock", os.open
    path.write_bytes(b"")
    monkeypatch.setattr(files.os, "pwrite", read_only)
    monkeypatch.setattr(
        files.os, "open", lambda name, flags, *mode: (read_only if flags & os.O_RDWR else whole)(name, flags)
    )
    with files.lock(str(path), "me", 0), pytest.raises(ContainerlessError), files.lock(str(path), "another", 0):
        pytest.fail("two held it")


def test_a_lock_is_free_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="inside"), files.lock(str(tmp_path / "lock"), "me", 0):
            raise ValueError("inside")


def test_a_lock_whose_file_was_removed_while_it_was_waited_for_is_taken_anew(
    tmp_path: Path, holder: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "lock")

    def remove_all(_seconds: float) -> None:
        os.unlink(path)  # as `state: absent` with remove_data does before it lets go
        holder.kill()
        holder.wait()

    monkeypatch.setattr(files.time, "sleep", remove_all)
    with files.lock(path, "me", 60), pytest.raises(ContainerlessError), files.lock(path, "another", 0):
        pass
