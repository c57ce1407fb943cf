# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact.lock import Pin
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _builder, _sdists
from ansible_collections.containerless.django.plugins.plugin_utils._index import Index
from ansible_collections.containerless.django.plugins.plugin_utils._pyproject import Settings
from ansible_collections.containerless.django.plugins.plugin_utils._sdists import Resolver, requires_of, sdists_for
from ansible_collections.containerless.django.plugins.plugin_utils._source import open_source

from ..module_utils.distributions import make_sdist, make_wheel
from . import checkout
from .simple_index import USER, SimpleIndex, forget_pip

BOOKWORM, TRIXIE = _builder.PLATFORMS["debian12"], _builder.PLATFORMS["debian13"]
NOON = 1_700_049_600  # 2023-11-15T12:00:00Z


def system(*requires: str) -> str:
    return f"[build-system]\nrequires = {list(requires)!r}\n"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "house").mkdir()
    for name in ("setuptools", "wheel"):
        make_wheel(tmp_path / "house", name)
    return tmp_path / "house"


def test_a_sdist_and_what_its_build_needs_come_from_the_wheelhouse_and_nothing_of_it_runs(
    tmp_path: Path, house: Path
) -> None:
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')"
    digest = make_sdist(house, "Thing_One", {"setup.py": trap, "pyproject.toml": system("backend>=2")})
    make_wheel(house, "backend", version="1.0")
    make_wheel(house, "backend", "cp313-cp313-manylinux_2_39_x86_64", version="3.0")
    make_wheel(house, "backend", version="2.0", requires='helper ; python_version < "3.12"')
    make_wheel(house, "helper")
    make_wheel(house, "extra")
    pin = Pin("thing-one", "1.0", "", (digest, "0" * 64), "uv.lock (thing-one 1.0)")
    for platform, needs in (
        (BOOKWORM, ["backend-2.0-py3-none-any.whl", "extra-1.0-py3-none-any.whl", "helper-1.0-py3-none-any.whl"]),
        (TRIXIE, ["backend-3.0-cp313-cp313-manylinux_2_39_x86_64.whl", "extra-1.0-py3-none-any.whl"]),
    ):
        (sdist,) = sdists_for(
            [pin],
            platform,
            tmp_path / "cache",
            Index(wheelhouse=house),
            build_requires={"thing-one": ("extra",), "another": ("nothing-that-exists",)},
            before=NOON,
        )
        told = {"name": "thing-one", "version": "1.0", "file": "Thing_One-1.0.tar.gz", "sha256": digest, "after": []}
        assert sdist.told == told
        assert [wheel.path.name for wheel in sdist.requires] == needs
        assert sdist.path.is_file()
    assert not (tmp_path / "ran").exists()


def pinned(house: Path, needs: dict[str, tuple[str, ...]]) -> list[Pin]:
    """Make sdists that need each other; return their pins."""
    made = {name: make_sdist(house, name, {"pyproject.toml": system(*said)}) for name, said in needs.items()}
    return [Pin(name, "1.0", "", (digest,), "uv.lock") for name, digest in made.items()]


@pytest.mark.parametrize(
    ("needs", "after", "wheels"),
    [
        ({"a": ("b>=1", "wheel"), "b": ()}, ["b"], ["wheel"]),
        ({"a": ("B", "c"), "b": ("c",), "c": ()}, ["b", "c"], []),
        ({"a": ("b; python_version<'3'", "wheel"), "b": ()}, [], ["wheel"]),
    ],
    ids=["one", "a chain", "not on this platform"],
)
def test_a_build_that_needs_another_sdist_comes_after_it(
    house: Path, needs: dict[str, tuple[str, ...]], after: list[str], wheels: list[str]
) -> None:
    index = Index(wheelhouse=house)
    found = sdists_for(pinned(house, needs), BOOKWORM, house.parent / "cache", index, build_requires={}, before=NOON)
    names = [sdist.pin.name for sdist in found]
    assert sorted(names) == sorted(needs)
    for sdist in found:
        assert set(sdist.after) <= set(names[: names.index(sdist.pin.name)])
    (last,) = [sdist for sdist in found if sdist.pin.name == "a"]
    assert (last.after, last.told["after"], [wheel.pin.name for wheel in last.requires]) == (after, after, wheels)


@pytest.mark.parametrize("need", ["a", "b>=2"], ids=["itself", "another version"])
def test_a_sdist_that_is_not_the_needed_one_is_no_help(house: Path, need: str) -> None:
    pins = pinned(house, {"a": (need,), "b": ()})
    with pytest.raises(ContainerlessError, match="pin what has no wheel in the lock and name it among sdists too"):
        sdists_for(pins, BOOKWORM, house.parent / "cache", Index(wheelhouse=house), build_requires={}, before=NOON)


def test_builds_that_need_each_other_are_refused_by_name(tmp_path: Path, house: Path) -> None:
    pins = pinned(house, {"a": ("b",), "b": ("c",), "c": ("a",), "d": ()})
    with pytest.raises(ContainerlessError, match="^the builds of a and b and c need each other"):
        sdists_for(pins, BOOKWORM, tmp_path / "cache", Index(wheelhouse=house), build_requires={}, before=NOON)


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
@pytest.mark.parametrize(
    ("files", "requires"),
    [
        ({"setup.py": ""}, ["setuptools", "wheel"]),
        ({"pyproject.toml": "[tool.black]\n"}, ["setuptools", "wheel"]),
        ({"vendor/pyproject.toml": system("evil"), "setup.py": ""}, ["setuptools", "wheel"]),
        ({"pyproject.toml": system("hatchling", "x; python_version<'3'")}, ["hatchling", "x; python_version<'3'"]),
        ({"pyproject.toml": system()}, []),
    ],
    ids=["setup.py", "no table", "not the one at the top", "said", "nothing"],
)
def test_what_a_sdist_says_that_its_build_needs(
    tmp_path: Path, kind: str, files: dict[str, str], requires: list[str]
) -> None:
    make_sdist(tmp_path, "thing", files, kind=kind)
    assert requires_of(tmp_path / f"thing-1.0.{kind}") == requires


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[build-system", "^pyproject.toml of thing-1.0.tar.gz is not TOML"),
        ("[build-system]\n", r"\[build-system\] of pyproject.toml of thing-1.0.tar.gz has no list of requires"),
        ("[build-system]\nrequires = 'x'", "has no list of requires"),
        ("[build-system]\nrequires = [1]", "has no list of requires"),
        ("build-system = 1", "has no list of requires"),
        ("#" * (1 << 20) + "\n", "is larger than 1024 KiB"),
    ],
)
def test_a_broken_pyproject_is_refused_by_name(tmp_path: Path, text: str, fault: str) -> None:
    make_sdist(tmp_path, "thing", {"pyproject.toml": text})
    with pytest.raises(ContainerlessError, match=fault):
        requires_of(tmp_path / "thing-1.0.tar.gz")


@pytest.mark.parametrize("name", ["thing-1.0.tar.gz", "thing-1.0.zip"])
def test_what_is_no_archive_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"<html>")
    with pytest.raises(ContainerlessError, match=f"^{name} can't be read as a sdist"):
        requires_of(tmp_path / name)


def test_a_cut_archive_and_a_link_give_away_nothing(tmp_path: Path) -> None:
    path = tmp_path / "thing-1.0.tar.gz"
    make_sdist(tmp_path, "thing", {"a": "x" * 100_000, "pyproject.toml": system("x")})
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ContainerlessError, match="can't be read as a sdist"):
        requires_of(path)
    with tarfile.open(path, "w:gz") as tar:
        link = tarfile.TarInfo("thing-1.0/pyproject.toml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert requires_of(path) == ["setuptools", "wheel"]
    with tarfile.open(path, "w:gz") as tar:
        device = tarfile.TarInfo("thing-1.0/pyproject.toml")
        device.type = tarfile.FIFOTYPE
        tar.addfile(device, io.BytesIO())
    assert requires_of(path) == ["setuptools", "wheel"]


@pytest.mark.parametrize(
    ("requirement", "fault"),
    [
        ("x @ https://example.org/x.whl", "names an address; only the package index is asked"),
        ("--index-url https://example.org", "is no requirement"),
        ("x\n--index-url https://example.org", "is no requirement"),
        ("-r /etc/passwd", "is no requirement"),
    ],
)
def test_a_sdist_can_say_requirements_and_nothing_else(house: Path, requirement: str, fault: str) -> None:
    resolver = Resolver(BOOKWORM, house.parent / "cache", Index(wheelhouse=house), NOON)
    with pytest.raises(ContainerlessError, match=f"^the build requirements of thing: .*{fault}"):
        resolver.wheels([requirement], "thing")


def test_build_requirements_without_wheels_are_refused_with_the_table_to_change(house: Path) -> None:
    make_sdist(house, "cython_like", {"setup.py": ""})
    resolver = Resolver(BOOKWORM, house.parent / "cache", Index(wheelhouse=house), NOON)
    fault = (
        r"^the build requirements of thing \(cython-like, wheel\) have no wheels for debian12 as of 2023-11-15T12:00:00"
        r"Z: .* below \[tool.containerless.build-requires\] in pyproject.toml \(thing = "
    )
    with pytest.raises(ContainerlessError, match=fault) as caught:
        resolver.wheels(["cython-like", "wheel"], "thing")
    assert "\n" not in str(caught.value)


def test_builds_of_a_commit_agree_whatever_was_uploaded_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_pip(monkeypatch)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    files = tmp_path / "files"
    times = {
        "backend-1.0-py3-none-any.whl": "2023-11-15T11:00:00.000000Z",
        "backend-2.0-py3-none-any.whl": "2023-11-15T13:00:00.000000Z",
    }
    with SimpleIndex(files, times=times, closed=True) as index:
        for version in ("1.0", "2.0"):
            make_wheel(files, "backend", version=version)
        place = Index(url=index.secret_url)

        def versions(cache: str, before: int) -> list[str]:
            wheels = Resolver(BOOKWORM, tmp_path / cache, place, before).wheels(["backend"], "thing")
            return [wheel.pin.version for wheel in wheels]

        assert versions("one", NOON) == ["1.0"]
        assert versions("another", NOON) == ["1.0"]
        assert versions("one", NOON + 7200) == ["2.0"]
        index.asked.clear()
        assert versions("one", NOON) == ["1.0"]
        # What is known is not asked again.
        assert index.asked == []
        place = Index(url=index.secret_url.replace(USER, "token-of-a-person"))
        with pytest.raises(ContainerlessError, match="of thing can't be looked up: .* refuses these cred") as caught:
            versions("one", NOON - 86400)
        assert "token-of-a-person" not in str(caught.value)
        assert "geheim" not in str(caught.value)


def test_an_index_without_upload_times_gives_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_pip(monkeypatch)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    files = tmp_path / "files"
    with SimpleIndex(files, json=False) as index:
        make_wheel(files, "backend")
        resolver = Resolver(BOOKWORM, tmp_path / "cache", Index(url=index.url), NOON)
        (wheel,) = resolver.wheels(["backend"], "thing")
        make_wheel(files, "backend", version="2.0")
        # The next build with this cache agrees with the first one, at least.
        assert resolver.wheels(["backend"], "thing") == [wheel]


def test_what_the_build_of_the_project_needs(tmp_path: Path, house: Path) -> None:
    shop = checkout.make(tmp_path / "shop")
    declared = Settings(build_requires={"project": ("extra>=1",)})
    make_wheel(house, "extra")
    wheels = _sdists.project_requires(
        open_source(shop, "HEAD", allow_dirty=False),
        declared,
        BOOKWORM,
        tmp_path / "cache",
        Index(wheelhouse=house),
    )
    assert [wheel.pin.name for wheel in wheels] == ["extra", "setuptools", "wheel"]


def test_a_pin_without_its_sdist_is_refused_by_name(tmp_path: Path, house: Path) -> None:
    make_sdist(house, "thing", {"setup.py": ""})
    pin = Pin("thing", "1.0", "", ("0" * 64,), "requirements.txt line 7")
    fault = (
        "^thing==1.0 can't be built from source: it is not offered as a sdist with a hash of requirements.txt line 7"
    )
    with pytest.raises(ContainerlessError, match=fault):
        sdists_for([pin], BOOKWORM, tmp_path / "cache", Index(wheelhouse=house), build_requires={}, before=NOON)
