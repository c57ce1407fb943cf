# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _lock_uv, _locks
from ansible_collections.containerless.django.plugins.plugin_utils._lock_pylock import Choice
from ansible_collections.containerless.django.plugins.plugin_utils._source import Source, open_source
from hypothesis import given, settings, strategies as st

from . import checkout
from .locks import pylock, uv_lock

DEPENDS = '[project]\nname = "shop"\nversion = "1.2"\ndependencies = ["django>=5", "gunicorn"]\n'
UV = uv_lock(requires='{ name = "django", specifier = ">=5" }, { name = "gunicorn" }')
NOTHING = Choice()


def source(tmp_path: Path, **files: str | bytes | None) -> Source:
    given = {name.replace("_", "."): text for name, text in files.items()}
    return open_source(checkout.make(tmp_path / "repo", given), "HEAD", allow_dirty=False)


@pytest.mark.parametrize(
    ("files", "wanted", "found"),
    [
        ({"uv_lock": "", "pylock_toml": ""}, None, "uv.lock"),
        ({"pylock_toml": ""}, None, "pylock.toml"),
        ({}, None, "requirements.txt"),
        ({"uv_lock": ""}, "locks/live.txt", "locks/live.txt"),
    ],
)
def test_the_lock_that_is_named_else_the_most_exact(
    tmp_path: Path, files: dict[str, str], wanted: str | None, found: str
) -> None:
    assert _locks.find(source(tmp_path, **files), wanted) == found


def test_the_same_pins_from_every_kind_of_lock(tmp_path: Path) -> None:
    repo = source(tmp_path, pyproject_toml=DEPENDS, uv_lock=UV, pylock_toml=pylock())
    for name, kind in (("uv.lock", "uv"), ("pylock.toml", "pylock"), ("requirements.txt", "requirements")):
        data, lock = _locks.read(repo, name, NOTHING)
        assert (data, lock.kind) == (repo.read(name), kind)
        assert [(pin.name, pin.version) for pin in lock.pins][:2] == [("django", "5.2.19"), ("gunicorn", "27.0.1")]


def test_a_lock_in_a_folder(tmp_path: Path) -> None:
    repo = open_source(
        checkout.make(
            tmp_path / "repo",
            {
                "pyproject.toml": DEPENDS.replace(">=5", ">=6"),
                "backend/uv.lock": UV,
                "backend/pyproject.toml": DEPENDS,
                "locks/pylock.live.toml": pylock(),
            },
        ),
        "HEAD",
        allow_dirty=False,
    )
    assert _locks.read(repo, "backend/uv.lock", NOTHING)[1].kind == "uv"
    with pytest.raises(
        ContainerlessError, match=r"^locks/pylock.live.toml does not match pyproject.toml \(django>=6 is"
    ):
        _locks.read(repo, "locks/pylock.live.toml", NOTHING)


FOREIGN = [
    ("poetry_lock", "poetry.lock is not read; write a lock that is: `poetry export -f requirements.txt"),
    ("pdm_lock", "pdm.lock is not read; write a lock that is: `pdm export -f pylock -o pylock.toml`"),
    ("Pipfile_lock", "Pipfile.lock is not read; write a lock that is: `pipenv requirements --hash"),
]


@pytest.mark.parametrize(("name", "fault"), FOREIGN)
def test_the_lock_of_another_tool_is_told_what_to_do(tmp_path: Path, name: str, fault: str) -> None:
    repo = source(tmp_path, **{name: "", "requirements_txt": None})
    with pytest.raises(ContainerlessError, match=fault):
        _locks.read(repo, _locks.find(repo, None), NOTHING)


def test_no_lock_at_all(tmp_path: Path) -> None:
    fault = r"has no uv.lock, pylock.toml or requirements.txt in its commit \(app_build_lock\); write the lock with"
    with pytest.raises(ContainerlessError, match=fault):
        _locks.find(source(tmp_path, requirements_txt=None), None)


BAD: list[tuple[dict[str, str | bytes | None], str, str]] = [
    ({}, "uv.lock", r"^uv.lock is not in the commit of .* \(app_build_lock\)"),
    ({"uv_lock": b"\xff"}, "uv.lock", r"^uv.lock is not UTF-8 \(byte 1\)"),
    ({"pylock_toml": b"\xff"}, "pylock.toml", "^pylock.toml is not UTF-8"),
    ({"uv_lock": UV, "pyproject_toml": None}, "uv.lock", "^uv.lock stands without the pyproject.toml that it is"),
    (
        {"uv_lock": UV, "pyproject_toml": DEPENDS.replace(">=5", ">=6")},
        "uv.lock",
        r"^uv.lock does not match .* \(django\)",
    ),
    ({"uv_lock": UV}, "uv.lock", r"^uv.lock does not match pyproject.toml \(django, gunicorn\); run `uv lock`"),
    (
        {"pyproject_toml": DEPENDS.replace("gunicorn", "redis>=8")},
        "requirements.txt",
        r"^requirements.txt does not match pyproject.toml \(redis is not pinned\); write the lock again",
    ),
]


@pytest.mark.parametrize(("files", "name", "fault"), BAD, ids=[case[2] for case in BAD])
def test_a_lock_that_can_not_be_used_is_refused(
    tmp_path: Path, files: dict[str, str | bytes | None], name: str, fault: str
) -> None:
    with pytest.raises(ContainerlessError, match=fault) as caught:
        _locks.read(source(tmp_path, **files), name, NOTHING)
    assert "\n" not in str(caught.value)


UV_LINES, PYPROJECT_LINES = (
    UV.splitlines(keepends=True),
    [*DEPENDS.splitlines(keepends=True), "[tool.uv]\n", "index = 1\n"],
)


def shuffled(lines: list[str]) -> st.SearchStrategy[str]:
    """Return texts with some of the lines lost, or all of them in another order."""
    some = st.lists(st.booleans(), min_size=len(lines), max_size=len(lines)).map(
        lambda kept: [line for line, keep in zip(lines, kept, strict=True) if keep]
    )
    return (some | st.permutations(lines)).map("".join)


@settings(deadline=None, max_examples=40)
@given(shuffled(UV_LINES), shuffled(PYPROJECT_LINES))
def test_whatever_is_damaged_is_read_or_refused_in_one_sentence(lock: str, pyproject: str) -> None:
    files = {"uv.lock": lock, "pyproject.toml": pyproject}

    class Files:
        path = Path("shop")

        def read(self, name: str) -> bytes | None:
            return files[name].encode()

    try:
        said = "" if _locks.read(Files(), "uv.lock", NOTHING)[1].pins else "nothing"  # type: ignore[arg-type]
    except ContainerlessError as exc:
        said = str(exc)
    assert not said or _lock_uv.LOCK in said or "pyproject.toml" in said
    assert "\n" not in said
