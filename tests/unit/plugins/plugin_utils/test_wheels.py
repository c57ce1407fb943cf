# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import lock
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _builder, _wheels
from ansible_collections.containerless.django.plugins.plugin_utils._index import Index

from ..module_utils.distributions import make_sdist, make_wheel, sha256
from .simple_index import SimpleIndex, forget_pip

BOOKWORM, TRIXIE = _builder.PLATFORMS["debian12"], _builder.PLATFORMS["debian13"]
H = "a" * 64


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Give a wheelhouse, so that no index is asked."""
    (tmp_path / "house").mkdir()
    return tmp_path / "house"


def locked(*lines: str) -> lock.Lock:
    return lock.parse("\n".join(lines), "lock.txt")


def test_markers_are_those_of_the_target() -> None:
    pins = locked(
        f"a==1 ; python_version < '3.12' --hash=sha256:{H}",
        f"b==1 ; python_full_version < '3.11.3' --hash=sha256:{H}",
        f"c==1 ; python_version >= '3.12' --hash=sha256:{H}",
        f"d==1 ; sys_platform == 'win32' or implementation_name == 'pypy' --hash=sha256:{H}",
        f"e==1 ; extra == 'x' --hash=sha256:{H}",
        f"f==1 ; platform_machine == 'x86_64' and sys_platform == 'linux' --hash=sha256:{H}",
        f"g==1 ; python_version < '3.12' --hash=sha256:{H}",
        f"g==2 ; python_version >= '3.12' --hash=sha256:{H}",
    )
    assert [f"{p.name}{p.version}" for p in _wheels.pins_for(pins, BOOKWORM)] == ["a1", "b1", "f1", "g1"]
    assert [f"{p.name}{p.version}" for p in _wheels.pins_for(pins, TRIXIE)] == ["c1", "f1", "g2"]


def test_broken_and_overlapping_lines_are_refused() -> None:
    twice = locked(f"g==1 --hash=sha256:{H}", f"g==2 ; python_version >= '3.9' --hash=sha256:{H}")
    with pytest.raises(ContainerlessError, match="lock.txt line 2: g is pinned twice for debian12"):
        _wheels.pins_for(twice, BOOKWORM)
    with pytest.raises(ContainerlessError, match="lock.txt line 1: "):
        _wheels.pins_for(locked(f"g==1 ; nonsense --hash=sha256:{H}"), BOOKWORM)


def test_tags() -> None:
    assert BOOKWORM.tags[0] == "manylinux_2_36_x86_64"
    assert {"manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} <= set(BOOKWORM.tags)
    assert "manylinux_2_37_x86_64" not in BOOKWORM.tags
    assert "manylinux_2_41_x86_64" in TRIXIE.tags


def wheels_of(pins: lock.Lock, house: Path, *sdists: str, platform: _wheels.Platform = BOOKWORM) -> list[str]:
    wanted = _wheels.pins_for(pins, platform)
    wheels, _fetched = _wheels.wheels_for(wanted, platform, house.parent / "cache", Index(wheelhouse=house), sdists)
    return [wheel.path.name for wheel in wheels]


def test_each_target_takes_its_own_wheel_and_the_cache_needs_no_index(tmp_path: Path, house: Path) -> None:
    tags = ("cp311-cp311-manylinux_2_28_x86_64", "cp313-cp313-manylinux_2_39_x86_64", "cp313-cp313-win_amd64")
    hashes = " ".join(f"--hash=sha256:{make_wheel(house, 'native', tag)}" for tag in tags)
    pure = make_wheel(house, "pure", "py3-none-any")
    pins = locked(f"native==1.0 {hashes}", f"pure==1.0 --hash=sha256:{pure}")
    for platform, tag in ((BOOKWORM, tags[0]), (TRIXIE, tags[1])):
        wanted = _wheels.pins_for(pins, platform)
        wheels, fetched = _wheels.wheels_for(wanted, platform, tmp_path / "cache", Index(wheelhouse=house))
        assert [wheel.path.name for wheel in wheels] == [f"native-1.0-{tag}.whl", "pure-1.0-py3-none-any.whl"]
        assert fetched == 2
        assert wheels[1].distribution == {
            "name": "pure",
            "version": "1.0",
            "file": "pure-1.0-py3-none-any.whl",
            "sha256": pure,
        }
    for path in house.iterdir():
        path.unlink()
    house.rmdir()
    wanted = _wheels.pins_for(pins, BOOKWORM)
    assert _wheels.wheels_for(wanted, BOOKWORM, tmp_path / "cache", Index(wheelhouse=house))[1] == 0


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        (["py3-none-any", "cp311-cp311-manylinux_2_17_x86_64"], "cp311-cp311-manylinux_2_17_x86_64"),
        (
            ["cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_28_x86_64"],
            "cp311-cp311-manylinux_2_28_x86_64",
        ),
        (["cp39-abi3-manylinux2014_x86_64", "py3-none-any"], "cp39-abi3-manylinux2014_x86_64"),
        (["cp311-cp311-manylinux_2_37_x86_64", "py2.py3-none-any"], "py2.py3-none-any"),
        (["cp311-cp311-musllinux_1_2_x86_64", "cp312-cp312-linux_x86_64", "py3-none-any"], "py3-none-any"),
        (["cp311-cp311-manylinux_2_17_aarch64", "cp311-none-any"], "cp311-none-any"),
    ],
)
def test_the_most_specific_wheel_that_fits_is_taken(house: Path, offered: list[str], taken: str) -> None:
    hashes = " ".join(f"--hash=sha256:{make_wheel(house, 'thing', tag)}" for tag in offered)
    make_wheel(house, "thing", "cp311-cp311-manylinux_2_36_x86_64")  # better, but not locked
    make_wheel(house, "thing", "py3-none-any", version="1.1")
    make_wheel(house, "thing_else", "py3-none-any")
    assert wheels_of(locked(f"thing==1.0 {hashes}"), house) == [f"thing-1.0-{taken}.whl"]


def test_of_two_builds_the_later_one_counts(house: Path) -> None:
    digests = [make_wheel(house, "thing", build=build, files={f"x{build}.py": ""}) for build in ("", "2", "10")]
    pins = locked("thing==1.0 " + " ".join(f"--hash=sha256:{digest}" for digest in digests))
    assert wheels_of(pins, house) == ["thing-1.0-10-py3-none-any.whl"]


def test_a_damaged_wheel_in_the_cache_is_fetched_again(tmp_path: Path, house: Path) -> None:
    pins = _wheels.pins_for(locked(f"pure==1.0 --hash=sha256:{make_wheel(house, 'pure')}"), BOOKWORM)
    index = Index(wheelhouse=house)
    (wheel,), _fetched = _wheels.wheels_for(pins, BOOKWORM, tmp_path / "cache", index)
    data, facts = wheel.path.read_bytes(), wheel.path.stat()
    wheel.path.write_bytes(b"x" * len(data))
    os.utime(wheel.path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (again,), fetched = _wheels.wheels_for(pins, BOOKWORM, tmp_path / "cache", index)
    assert (fetched, again.path.read_bytes() == data) == (1, True)


def test_a_wheel_of_the_cache_is_hashed_once(tmp_path: Path, house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = _wheels.pins_for(locked(f"pure==1.0 --hash=sha256:{make_wheel(house, 'pure')}"), BOOKWORM)
    (wheel,), _fetched = _wheels.wheels_for(pins, BOOKWORM, tmp_path / "cache", Index(wheelhouse=house))
    hashed: list[int] = []
    real = _wheels.canonical.sha256
    monkeypatch.setattr(_wheels.canonical, "sha256", lambda data: hashed.append(len(data)) or real(data))
    size = wheel.path.stat().st_size
    cache = _wheels.Cache(tmp_path / "cache", BOOKWORM)
    assert cache.find(pins[0]) == _wheels.Kept(wheel.path, wheel.sha256)
    assert size not in hashed
    # Touched: looked at again, and then not any more.
    wheel.path.touch()
    assert cache.find(pins[0]) == _wheels.Kept(wheel.path, wheel.sha256)
    assert cache.find(pins[0]) == _wheels.Kept(wheel.path, wheel.sha256)
    assert hashed.count(size) == 1


def test_all_distributions_without_a_wheel_are_named_at_once_with_the_line_to_add(house: Path) -> None:
    source = make_sdist(house, "source", {"setup.py": ""})
    zipped = make_sdist(house, "zipped_one", {"setup.py": ""}, kind="zip")
    other = make_wheel(house, "other", "cp310-cp310-win_amd64")
    pins = locked(
        f"source==1.0 --hash=sha256:{source}",
        f"zipped-one==1.0 --hash=sha256:{zipped}",
        f"other==1.0 --hash=sha256:{other}",
        f"pure==1.0 --hash=sha256:{make_wheel(house, 'pure')}",
        f"gone==1.0 --hash=sha256:{H}",
    )
    with pytest.raises(ContainerlessError) as caught:
        wheels_of(pins, house, "already")
    assert str(caught.value).replace(str(house), "HOUSE") == (
        "no wheel for debian12 (Python 3.11, x86_64) has a locked hash: gone==1.0, other==1.0, source==1.0,"
        ' zipped-one==1.0; to build them from source, write sdists = ["already", "source", "zipped-one"] below'
        " [tool.containerless] in pyproject.toml; HOUSE has no sdist with a locked hash either of"
        " gone (lock.txt line 5), other (lock.txt line 3)"
    )
    pins = locked(
        f"source==1.0 --hash=sha256:{source}", f"pure==1.0 --hash=sha256:{sha256(house / 'pure-1.0-py3-none-any.whl')}"
    )
    assert wheels_of(pins, house, "source") == ["pure-1.0-py3-none-any.whl"]
    # The sdist is in the cache now, and still no wheel.
    with pytest.raises(ContainerlessError, match="no wheel for debian12 .*: source==1.0; to build"):
        wheels_of(pins, house)


def test_a_wheel_is_taken_where_there_is_one_even_if_it_may_be_built(house: Path) -> None:
    digests = make_sdist(house, "thing", {"setup.py": ""}), make_wheel(house, "thing")
    pins = locked("thing==1.0 " + " ".join(f"--hash=sha256:{digest}" for digest in digests))
    assert wheels_of(pins, house, "thing") == ["thing-1.0-py3-none-any.whl"]


def test_an_index_that_names_no_hashes_is_read_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tmp_path / "files"
    with SimpleIndex(files, hashes=False, json=False) as index:
        forget_pip(monkeypatch)
        digest = make_wheel(files, "thing")
        make_wheel(files, "thing", "cp311-cp311-linux_x86_64")
        pins = _wheels.pins_for(locked(f"thing==1.0 --hash=sha256:{digest}"), BOOKWORM)
        (wheel,), fetched = _wheels.wheels_for(pins, BOOKWORM, tmp_path / "cache", Index(url=index.url))
        assert (wheel.path.name, fetched) == ("thing-1.0-py3-none-any.whl", 1)


def test_an_index_that_sends_other_bytes_than_it_promises_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "files"
    with SimpleIndex(files) as index:
        forget_pip(monkeypatch)
        pins = _wheels.pins_for(locked(f"thing==1.0 --hash=sha256:{make_wheel(files, 'thing')}"), BOOKWORM)
        page = index.page("thing")
        monkeypatch.setattr(index, "page", lambda _project: page)
        (files / "thing-1.0-py3-none-any.whl").write_bytes(b"another")
        fault = "127.0.0.1 promises another thing-1.0-py3-none-any.whl than it sends: its SHA-256 is .* lock.txt line 1"
        with pytest.raises(ContainerlessError, match=fault):
            _wheels.wheels_for(pins, BOOKWORM, tmp_path / "cache", Index(url=index.url))
        assert not list((tmp_path / "cache").rglob("*.whl"))
