# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import lock
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError

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
    assert found.index_options == ("--index-url https://index.example.org/simple",)
    assert [(pin.name, pin.version, pin.marker, pin.line) for pin in found.pins] == [
        ("django", "5.2.19", "", 3),
        ("psycopg", "3.3.9", 'python_version >= "3.10"', 7),
        ("typing-extensions", "4.16.0", "", 9),
    ]
    assert found.pins[0].hashes == (A, B)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("django==5.2.19\n", r"lock.txt line 1 \(django==5.2.19\) has no --hash; write the lock with"),
        (f"a==1 --hash=sha256:{A}\n\ndjango==5.2\n", r"lock.txt line 3 \(django==5.2\) has no --hash"),
        (f"django>=5 --hash=sha256:{A}", r"lock.txt line 1 \(django>=5\) is not pinned as name==version"),
        (f"django==5.* --hash=sha256:{A}", "is not pinned"),
        (f"django --hash=sha256:{A}", "is not pinned"),
        (f"django @ https://example.org/x.whl --hash=sha256:{A}", "is not pinned"),
        ("./local", "is not pinned"),
        (f"django==5.2 --hash=md5:{A}", r"has a hash that is not a SHA-256 \(md5\)"),
        ("django==5.2 --hash=sha256:abc", "has a hash that is not a SHA-256"),
        ("-r other.txt", "lock.txt line 1: -r has no place in a lock"),
        ("-e .", "lock.txt line 1: -e has no place"),
        ("# nothing\n", "lock.txt pins no distribution"),
    ],
)
def test_what_is_no_lock_is_refused_with_file_and_line(text: str, fault: str) -> None:
    with pytest.raises(ContainerlessError, match=fault):
        lock.parse(text, "lock.txt")
