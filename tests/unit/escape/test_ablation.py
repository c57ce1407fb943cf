# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.tests.escape import ablation
from ansible_collections.containerless.django.tests.escape.ablation import Part

TEXT = """\
# Sandbox of shop
[Service]
ProtectHome=yes
TemporaryFileSystem=
TemporaryFileSystem=/srv:ro /var:ro
TemporaryFileSystem=/dev/shm:rw,noexec
BindReadOnlyPaths=/usr /srv/tree
StateDirectory=shop
SystemCallErrorNumber=EPERM
SystemCallFilter=
SystemCallFilter=~kcmp
MemoryMax=512M
"""


def lines(text: str) -> set[str]:
    return set(text.splitlines()) - {"[Service]", "# Sandbox of shop"}


@pytest.fixture(name="parts")
def fixture_parts() -> dict[str, Part]:
    return {part.name: part for part in ablation.parts(TEXT)}


def test_a_directive_is_a_part_and_so_is_each_list_of_places(parts: dict[str, Part]) -> None:
    assert list(parts) == [
        "ProtectHome",
        "TemporaryFileSystem=/srv",
        "TemporaryFileSystem=/dev/shm",
        "SystemCallFilter",
        "BindReadOnlyPaths=/usr",
    ]


@pytest.mark.parametrize("name", ["ProtectHome", "TemporaryFileSystem=/srv", "SystemCallFilter"])
def test_a_part_is_left_out_with_all_of_its_lines_and_is_all_there_is(parts: dict[str, Part], name: str) -> None:
    own = set(parts[name].lines)
    assert lines(parts[name].without(TEXT)) == lines(TEXT) - own
    assert lines(ablation.alone(TEXT, parts[name])) == lines(ablation.base(TEXT)) | own


def test_the_system_s_own_folder_is_a_place_among_others(parts: dict[str, Part]) -> None:
    usr = parts["BindReadOnlyPaths=/usr"]
    assert "BindReadOnlyPaths=/srv/tree\n" in usr.without(TEXT)
    assert "BindReadOnlyPaths=/usr" not in ablation.base(TEXT)
    assert "BindReadOnlyPaths=/usr\n" in ablation.alone(TEXT, usr)


def test_what_nothing_but_the_base_stops_is_no_attempt_of_the_table() -> None:
    """kcmp is stopped by one part alone; the home folder by two, of which neither is needed."""

    def attempt(text: str) -> dict[str, str]:
        home = "EACCES" if "ProtectHome=yes" in text or "~kcmp" in text else "allowed"
        return {"kcmp": "EPERM" if "~kcmp" in text else "allowed", "read: /home": home, "never": "ENOENT"}

    found = ablation.ablate(TEXT, attempt)
    assert set(found) == {"kcmp", "read: /home"}
    assert (found["kcmp"].needed, found["kcmp"].alone) == ({"SystemCallFilter"}, {"SystemCallFilter"})
    assert (found["read: /home"].needed, found["read: /home"].alone) == (set(), {"ProtectHome", "SystemCallFilter"})
    assert ablation.rows(found)[1] == ("read: /home", "", "`ProtectHome`, `SystemCallFilter`")


def test_a_limit_is_no_part_and_writable_code_is() -> None:
    text = "[Service]\nMemoryMax=1G\nMemorySwapMax=0\nMemoryDenyWriteExecute=yes\n"
    assert [part.name for part in ablation.parts(text)][:-1] == ["MemoryDenyWriteExecute"]


def test_a_drop_in_under_which_nothing_runs_stops_nothing_and_lets_nothing_through() -> None:
    def attempt(text: str) -> dict[str, str]:
        if "ProtectHome=yes" not in text and "~kcmp" in text:
            return {}  # without ProtectHome, and with the filter alone
        return {"kcmp": "EPERM" if "~kcmp" in text else "allowed"}

    found = ablation.ablate(TEXT, attempt)
    assert (found["kcmp"].needed, found["kcmp"].alone) == ({"SystemCallFilter"}, set())


def test_attempts_with_one_answer_are_one_row() -> None:
    stops = ablation.Stops({"A"}, {"A"})
    found = {"read: x": stops, "read: y": stops, "write: x": stops}
    assert ablation.rows(found) == [("read: x; y<br>write: x", "`A`", "`A`")]
