# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.containerless.django.plugins.module_utils._sandbox import directives

ASKED = [
    (["[Service]\nUMask=0077\nUMask=0027\n"], {"UMask": "0027"}),
    (["[Unit]\nUMask=0077\n[Service]\n# UMask=0\n"], {}),
    (["[Service]\nSystemCallFilter=@a\nSystemCallFilter=~b\n"], {"SystemCallFilter": "@a ~b"}),
    (
        ["[Service]\nSystemCallFilter=@a\n", "[Service]\nSystemCallFilter=\nSystemCallFilter=c\n"],
        {"SystemCallFilter": "c"},
    ),
    (["[Service]\nPrivateTmp=yes\n", "[Service]\nPrivateTmp=no\n"], {"PrivateTmp": "no"}),
]


@pytest.mark.parametrize(("texts", "said"), ASKED)
def test_what_texts_say_in_the_end(texts: list[str], said: dict[str, str]) -> None:
    assert directives.asked(texts) == said


def test_only_what_protects_something_is_protecting() -> None:
    text = "[Service]\nPrivateTmp=yes\nPrivateIPC=no\nTasksMax=infinity\nSystemCallFilter=\nUser=shop\n"
    assert directives.protecting([text]) == {"PrivateTmp": "yes"}
