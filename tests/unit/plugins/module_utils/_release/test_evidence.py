# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release.evidence import (
    MASK,
    ReleaseFailed,
    collect,
    mask,
    mask_answer,
)
from ansible_collections.containerless.django.plugins.module_utils._release.health import Answer, HealthError

MASKED: list[tuple[t.Any, list[str], t.Any]] = [
    ("nothing to see", ["hunter22"], "nothing to see"),
    ("password=hunter22!", ["hunter22"], f"password={MASK}!"),
    ("hunter22hunter22", ["hunter22"], MASK * 2),
    (["hunter22", {"line": ("a", "hunter22")}], ["hunter22"], [MASK, {"line": ["a", MASK]}]),
    ({"status": 500, "body": None, "ok": True}, ["hunter22"], {"status": 500, "body": None, "ok": True}),
    # the longest first, or the rest of it would stay readable
    ("hunter22-and-more", ["hunter22", "hunter22-and-more"], MASK),
    # masking these would hide every other word
    ("a db of 1", ["a", "db", "1", ""], "a db of 1"),
    ("first\nsecond", ["first\nsecond"], MASK),
]


@pytest.mark.parametrize(("value", "secrets", "expected"), MASKED)
def test_mask(value: t.Any, secrets: list[str], expected: t.Any) -> None:
    assert mask(value, secrets) == expected


@pytest.mark.parametrize("shown", [repr("pa'ss\\word\"1"), "pa&#x27;ss\\word&quot;1", '"pa\'ss\\\\word\\"1"'])
def test_a_secret_is_masked_as_repr_html_and_json_write_it(shown: str) -> None:
    assert "word" not in mask(f"KEY={shown}", ["pa'ss\\word\"1"])


def test_an_id_of_an_answer_is_masked_never() -> None:
    ids = {"run": "0a2024b2c3d4", "release": "2024.1-0123456789ab", "previous": None, "activation": 2024}
    ours = {**ids, "steps": [["health", 2.024]], "recovered": "revert", "migrated": ["shop.2024"], "pruned": ["2024.0"]}
    texts = {"msg": "2024 is wrong", "notes": ["2024"], "evidence": {"step": "health", "body": "health revert"}}
    assert mask_answer({**ours, **texts}, ["2024", "revert", "1"]) == {
        **ours,
        "msg": f"{MASK} is wrong",
        "notes": [MASK],
        "evidence": {"step": "health", "body": f"health {MASK}"},
    }


def test_a_failure_carries_its_evidence() -> None:
    failure = ReleaseFailed("it failed", {"step": "health"})
    assert (str(failure), failure.evidence) == ("it failed", {"step": "health"})


def broken() -> dict[str, str]:
    raise FileNotFoundError(2, "No such file or directory", "journalctl")


# what failed, lines of units -> evidence
COLLECTED: list[tuple[Exception, t.Callable[[], dict[str, str]], dict[str, t.Any]]] = [
    (ValueError("it broke"), dict, {"step": "start", "reason": "it broke", "journal": {}}),
    (
        HealthError("answered 500", Answer(500, "Internal Server Error", "DEBUG hunter22", 0.1)),
        lambda: {"web@2.service": "one\nkey=hunter22\n"},
        {
            "step": "start",
            "reason": "answered 500",
            "status": 500,
            "body": f"DEBUG {MASK}",
            "journal": {"web@2.service": ["one", f"key={MASK}"]},
        },
    ),
    (
        ValueError("no hunter22"),
        lambda: {"web@2.service": "key:\nfirst-half\nsecond-half"},
        {"step": "start", "reason": f"no {MASK}", "journal": {"web@2.service": ["key:", MASK]}},
    ),
    (
        ValueError("it broke"),
        broken,
        {
            "step": "start",
            "reason": "it broke",
            "journal": {"evidence": ["not to be had: [Errno 2] No such file or directory: 'journalctl'"]},
        },
    ),
]


@pytest.mark.parametrize(("exc", "journal", "expected"), COLLECTED)
def test_collect(exc: Exception, journal: t.Callable[[], dict[str, str]], expected: dict[str, t.Any]) -> None:
    assert collect(exc, "start", journal, ["hunter22", "first-half\nsecond-half"]) == expected
