# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import lock
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _builder, _wheels

BOOKWORM, TRIXIE = _builder.PLATFORMS["debian12"], _builder.PLATFORMS["debian13"]
H = "a" * 64


def make_wheel(folder: Path, name: str, tag: str) -> str:
    """Write a wheel that pip accepts and return its digest."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": b"",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    digests = {n: base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b"=").decode() for n, d in files.items()}
    rows = "".join(f"{n},sha256={digest},{len(files[n])}\n" for n, digest in digests.items())
    files[f"{info}/RECORD"] = f"{rows}{info}/RECORD,,\n".encode()
    path = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, data in files.items():
            wheel.writestr(file, data)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give pip a folder instead of any index that this machine knows."""
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "index"
    folder.mkdir()
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nno-index = true\nfind-links = {folder}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path))
    return folder


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
    assert [f"{p.name}{p.version}" for p in _wheels.pins_for(pins, BOOKWORM, "x")] == ["a1", "b1", "f1", "g1"]
    assert [f"{p.name}{p.version}" for p in _wheels.pins_for(pins, TRIXIE, "x")] == ["c1", "f1", "g2"]


def test_broken_and_overlapping_lines_are_refused() -> None:
    twice = locked(f"g==1 --hash=sha256:{H}", f"g==2 ; python_version >= '3.9' --hash=sha256:{H}")
    with pytest.raises(ContainerlessError, match="lock.txt line 2: g is pinned twice for debian12"):
        _wheels.pins_for(twice, BOOKWORM, "lock.txt")
    with pytest.raises(ContainerlessError, match="lock.txt line 1: "):
        _wheels.pins_for(locked(f"g==1 ; nonsense --hash=sha256:{H}"), BOOKWORM, "lock.txt")


def test_tags() -> None:
    assert BOOKWORM.tags[0] == "manylinux_2_36_x86_64"
    assert {"manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} <= set(BOOKWORM.tags)
    assert "manylinux_2_37_x86_64" not in BOOKWORM.tags
    assert "manylinux_2_41_x86_64" in TRIXIE.tags


def test_each_target_takes_its_own_wheel_and_the_cache_needs_no_index(tmp_path: Path, index: Path) -> None:
    tags = ("cp311-cp311-manylinux_2_28_x86_64", "cp313-cp313-manylinux_2_39_x86_64", "cp313-cp313-win_amd64")
    hashes = " ".join(f"--hash=sha256:{make_wheel(index, 'native', tag)}" for tag in tags)
    pure = make_wheel(index, "pure", "py3-none-any")
    pins = locked(f"native==1.0 {hashes}", f"pure==1.0 --hash=sha256:{pure}")
    for platform, tag in ((BOOKWORM, tags[0]), (TRIXIE, tags[1])):
        wheels, fetched = _wheels.wheels_for(pins, platform, "x", tmp_path / "cache")
        assert [wheel.path.name for wheel in wheels] == [f"native-1.0-{tag}.whl", "pure-1.0-py3-none-any.whl"]
        assert fetched == 2
        assert wheels[1].distribution == {
            "name": "pure",
            "version": "1.0",
            "file": "pure-1.0-py3-none-any.whl",
            "sha256": pure,
        }
    for path in index.iterdir():
        path.unlink()
    assert _wheels.wheels_for(pins, BOOKWORM, "x", tmp_path / "cache")[1] == 0


def test_a_damaged_wheel_in_the_cache_is_fetched_again(tmp_path: Path, index: Path) -> None:
    pins = locked(f"pure==1.0 --hash=sha256:{make_wheel(index, 'pure', 'py3-none-any')}")
    (wheel,), _fetched = _wheels.wheels_for(pins, BOOKWORM, "x", tmp_path / "cache")
    wheel.path.write_bytes(b"damaged")
    (again,), fetched = _wheels.wheels_for(pins, BOOKWORM, "x", tmp_path / "cache")
    assert (fetched, again.path.read_bytes() != b"damaged") == (1, True)


def test_all_distributions_without_a_wheel_are_named_at_once(tmp_path: Path, index: Path) -> None:
    (index / "source-1.0.tar.gz").write_bytes(b"sdist")
    other = make_wheel(index, "other", "cp310-cp310-win_amd64")
    pure = make_wheel(index, "pure", "py3-none-any")
    pins = locked(
        f"source==1.0 --hash=sha256:{H}", f"other==1.0 --hash=sha256:{other}", f"pure==1.0 --hash=sha256:{pure}"
    )
    fault = r"no wheel for debian12 \(Python 3.11, x86_64\) has a locked hash: other==1.0, source==1.0; sdists are not"
    with pytest.raises(ContainerlessError, match=fault):
        _wheels.wheels_for(pins, BOOKWORM, "x", tmp_path / "cache")


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path, index: Path) -> None:
    make_wheel(index, "pure", "py3-none-any")
    with pytest.raises(ContainerlessError, match="pip could not fetch the locked wheels: .*"):
        _wheels.wheels_for(locked(f"pure==1.0 --hash=sha256:{H}"), BOOKWORM, "x", tmp_path / "cache")
