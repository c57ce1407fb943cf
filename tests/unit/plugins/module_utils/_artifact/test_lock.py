# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import lock
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from hypothesis import given, settings, strategies as st

A, B = "a" * 64, "b" * 64
GOOD = f"""\
# made by a tool
--index-url https://index.example.org/simple
Django==5.2.19 \\
    --hash=sha256:{B} \\
    --hash=sha256:{A}
    # via -r requirements.in
psycopg[binary]==3.3.9 ; python_version >= "3.10" --hash=sha256:{A}  # said why

typing_extensions===4.16.0 --hash sha256:{A}
"""


def test_pins_with_markers_and_hashes() -> None:
    found = lock.parse(GOOD, "requirements.txt")
    assert (found.kind, found.package) == ("requirements", None)
    assert found.index_options == ("--index-url https://index.example.org/simple",)
    assert [(pin.name, pin.version, pin.marker, pin.where) for pin in found.pins] == [
        ("django", "5.2.19", "", "requirements.txt line 3"),
        ("psycopg", "3.3.9", 'python_version >= "3.10"', "requirements.txt line 7"),
        ("typing-extensions", "4.16.0", "", "requirements.txt line 9"),
    ]
    assert found.pins[0].hashes == (A, B)


UNPINNED = "has lines that are not pinned as name==version"
UNHASHED = "has lines without a SHA-256 --hash"
FOREIGN = "has options that have no place in a lock"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("django==5.2.19\n", rf"lock.txt {UNHASHED}: line 1 \(django==5.2.19\); write the lock with"),
        (f"a==1 --hash=sha256:{A}\n\ndjango==5.2\n", rf"lock.txt {UNHASHED}: line 3 \(django==5.2\)"),
        ("a==1\nb==2\n", rf"{UNHASHED}: line 1 \(a==1\), line 2 \(b==2\);"),
        (f"django>=5 --hash=sha256:{A}", rf"lock.txt {UNPINNED}: line 1 \(django>=5\)"),
        (f"django==5.* --hash=sha256:{A}", UNPINNED),
        (f"django --hash=sha256:{A}", UNPINNED),
        (f"django @ https://example.org/x.whl --hash=sha256:{A}\n./local", rf"{UNPINNED}: line 1 \(.*\), line 2 \("),
        (f"django==5.2 --hash=md5:{A}", UNHASHED),
        (f"django==5.2 --hash=sha256:{A} --hash=sha512:{A}", UNHASHED),
        ("django==5.2 --hash=sha256:abc", UNHASHED),
        (
            f"-r other.txt\n-c x.txt\na==1 --hash=sha256:{A}",
            rf"lock.txt {FOREIGN}: line 1 \(-r\), line 2 \(-c\); write",
        ),
        ("-e .", rf"lock.txt {FOREIGN}: line 1 \(-e\)"),
        ("# nothing\n", "lock.txt pins no distribution"),
    ],
)
def test_what_is_no_lock_is_refused_with_file_and_all_lines(text: str, fault: str) -> None:
    with pytest.raises(ContainerlessError, match=fault):
        lock.parse(text, "lock.txt")


NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
PINS = st.tuples(NAMES, st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(\.post1)?", fullmatch=True), st.integers(0, 2))


@settings(deadline=None, max_examples=50)
@given(st.lists(PINS, min_size=1), st.sampled_from(["\n", "\r\n", " \\\n   "]))
def test_every_pin_that_is_written_is_read(pins: list[tuple[str, str, int]], between: str) -> None:
    """However the hashes of a pin are laid out, it comes back, and at its own line."""
    joint = between if "\\" in between else " "
    hashes = [A, B, "c" * 64]
    text = "".join(
        f"{name}=={version}" + "".join(f"{joint}--hash=sha256:{digest}" for digest in hashes[: more + 1]) + "\n"
        for name, version, more in pins
    )
    found = lock.parse(text, "lock.txt").pins
    assert [(pin.name, pin.version, len(pin.hashes)) for pin in found] == [
        (lock.normalised(name), version, more + 1) for name, version, more in pins
    ]
    lines = [text.splitlines()[int(pin.where[len("lock.txt line ") :]) - 1] for pin in found]
    assert [line.partition("==")[0] for line in lines] == [name for name, _version, _more in pins]


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_no_text_is_answered_with_anything_but_a_lock_or_a_refusal(text: str) -> None:
    try:
        said = "" if lock.parse(text, "lock.txt").pins else "nothing"
    except ContainerlessError as exc:
        said = str(exc)
    assert said.startswith("lock.txt ") or not said
