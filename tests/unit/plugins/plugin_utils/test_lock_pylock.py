# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils._lock_pylock import Choice, parse
from hypothesis import given, settings, strategies as st
from packaging.markers import Marker
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from .locks import digest, py_package, pylock

A = "a" * 64


def test_pins() -> None:
    marker = "marker = \"python_version < '3.12'\"\n"
    lock = parse(pylock(py_package("typing-extensions", "4.16.0", more=marker)), "pylock.toml", Choice())
    assert (lock.kind, lock.package, lock.index_options) == ("pylock", None, ())
    assert [(pin.name, pin.version, pin.marker, pin.where) for pin in lock.pins] == [
        ("django", "5.2.19", "", "pylock.toml (django 5.2.19)"),
        ("gunicorn", "27.0.1", "", "pylock.toml (gunicorn 27.0.1)"),
        ("typing-extensions", "4.16.0", 'python_version < "3.12"', "pylock.toml (typing-extensions 4.16.0)"),
    ]
    wanted = sorted(digest(f"django-5.2.19{end}") for end in (".tar.gz", "-py3-none-any.whl"))
    assert list(lock.pins[0].hashes) == wanted


def test_a_digest_is_written_in_small_letters() -> None:
    lock = parse(pylock().replace(digest("django-5.2.19.tar.gz"), "A" * 64), "pylock.toml", Choice())
    assert A in lock.pins[0].hashes


def test_other_hashes_stand_beside() -> None:
    text = pylock().replace("hashes = { ", f'hashes = {{ md5 = "{A[:32]}", ')
    assert len(parse(text, "pylock.toml", Choice()).pins[0].hashes) == 2


@pytest.mark.parametrize(
    ("indexes", "options"),
    [
        ([PYPI_SIMPLE_ENDPOINT, PYPI_SIMPLE_ENDPOINT.rstrip("/")], ()),
        (
            ["https://b.example/simple/", "https://a.example/simple", "https://b.example/simple"],
            ("--extra-index-url https://a.example/simple", "--extra-index-url https://b.example/simple"),
        ),
        (["file:///srv/wheels", "../wheels"], ()),
    ],
)
def test_a_persons_own_default_index_goes_before_that_of_the_lock(indexes: list[str], options: tuple[str, ...]) -> None:
    packages = [py_package(f"p{number}", "1", more=f'index = "{index}"\n') for number, index in enumerate(indexes)]
    assert parse(pylock(*packages), "pylock.toml", Choice()).index_options == options


CHOICES = [
    (Choice(), "'live' in extras", False),
    (Choice(extras=("live",)), "'live' in extras", True),
    (Choice(extras=("live",)), "'Live' in extras and python_version > '3'", True),
    (Choice(extras=("live",)), "'live' in extras and python_version < '3'", False),
    (Choice(extras=("live",)), "'live' not in extras", False),
    (Choice(), "'dev' in dependency_groups", False),
    (Choice(), "'default' in dependency_groups", True),
    (Choice(groups=("prod",)), "'default' in dependency_groups and 'prod' in dependency_groups", True),
    (Choice(groups=("live",)), "'live' in extras", False),
]


@pytest.mark.parametrize(("choice", "marker", "expected"), CHOICES)
def test_extras_and_groups_are_decided_here_and_the_rest_by_the_target(
    choice: Choice, marker: str, expected: bool
) -> None:
    text = pylock(py_package("a", "1", more=f'marker = "{marker}"\n'), more='default-groups = ["default"]\n')
    pin = parse(text, "pylock.toml", choice).pins[-1]
    assert Marker(pin.marker).evaluate({"python_version": "3.12", "os_name": "posix"}) is expected


def test_an_old_kind_of_sdist_is_no_fault_beside_a_wheel() -> None:
    text = pylock().replace("django-5.2.19.tar.gz", "Django-5.2.19.tar.bz2")
    assert len(parse(text, "pylock.toml", Choice()).pins[0].hashes) == 1


NO_INDEX = "pylock.toml holds what comes from no index: "
DIRECT = "[[packages]]\nname = '{}'\n"
BAD = [
    (
        pylock(
            DIRECT.format("a") + f"vcs = {{ type = 'git', url = 'https://git.example/a', commit-id = '{A[:40]}' }}",
            DIRECT.format("b") + "directory = { path = 'packages/b', editable = true }",
            DIRECT.format("c") + f"archive = {{ url = 'https://files.example/c.zip', hashes = {{ sha256 = '{A}' }} }}",
        ),
        Choice(),
        rf"^{NO_INDEX}a \(from a git repository\), b \(from the folder packages/b\), c \(from a file of its own\)",
    ),
    (
        pylock(py_package("a", "1"), py_package("b", "1")).replace("sha256", "sha512"),
        Choice(),
        "^pylock.toml holds packages without a SHA-256: django 5.2.19, gunicorn 27.0.1, a 1, b 1; lock it again",
    ),
    (
        pylock().replace(digest("django-5.2.19.tar.gz"), "zz").replace(digest("django-5.2.19-py3-none-any.whl"), A[1:]),
        Choice(),
        "without a SHA-256: django 5.2.19;",
    ),
    (pylock().replace('version = "5.2.19"\n', ""), Choice(), "^pylock.toml holds packages without a version: django;"),
    (pylock().replace('"1.0"', '"2.0"'), Choice(), "^pylock.toml is no lock as PEP 751 .*version 2.0 is not supported"),
    ("", Choice(), "^pylock.toml is no lock as PEP 751 describes it: .*lock-version"),
    ("a = [", Choice(), "^pylock.toml is not TOML"),
    ('lock-version = "1.0"\ncreated-by = "x"\npackages = []', Choice(), "^pylock.toml pins no distribution"),
    (pylock(more='extras = ["a"]\n'), Choice(extras=("b", "a")), "^pylock.toml was not made for extras b of"),
    (pylock(more='dependency-groups = ["a"]\n'), Choice(groups=("b",)), "^pylock.toml was not made for groups b of"),
    (
        pylock(py_package("a", "1", more='index = "https://x\\n--pre"\n')),
        Choice(),
        r"index 'https://x\\n--pre', which is no",
    ),
    (pylock(py_package("a", "1", more="marker = 'x'\n")), Choice(), "^pylock.toml is no lock as PEP 751"),
]


@pytest.mark.parametrize(("text", "choice", "fault"), BAD, ids=[case[2] for case in BAD])
def test_what_can_not_be_fetched_and_verified_is_refused_by_name(text: str, choice: Choice, fault: str) -> None:
    with pytest.raises(ContainerlessError, match=fault) as caught:
        parse(text, "pylock.toml", choice)
    assert "\n" not in str(caught.value)


LINES = pylock(py_package("a", "1", more="marker = \"'x' in extras\"\n")).splitlines(keepends=True)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_damaged_lock_is_read_or_refused(data: st.DataObject) -> None:
    """Lines that are lost, doubled or moved never end in a traceback."""
    text = "".join(data.draw(st.lists(st.sampled_from(LINES), max_size=len(LINES))))
    try:
        said, pins = "", parse(text, "pylock.toml", Choice()).pins
    except ContainerlessError as exc:
        said, pins = str(exc), ()
    assert bool(said) != bool(pins)
    assert "\n" not in said
    assert all(pin.hashes and pin.version for pin in pins)
