# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import inflate, tar, tree
from ansible_collections.containerless.django.plugins.module_utils._core.errors import InvalidDocument
from ansible_collections.containerless.django.plugins.plugin_utils import _listing

PIECE = 64 * 1024


class Tree(t.NamedTuple):
    tar: bytes
    sums: str
    sha256: str


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    root = tmp_path_factory.mktemp("root")
    for name, data in (("app/noise", os.urandom(4_000_000)), ("META/lock", b"x" * 500_000), ("static/é.css", b"a{}")):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    summary = tree.seal(str(root))
    out = io.BytesIO()
    tar.write_tar(str(root), out, mtime=1)
    return Tree(out.getvalue(), (root / tree.SUMS).read_text(), summary.sha256)


def packed(data: bytes, encoding: str) -> bytes:
    if encoding == "zstd":
        return subprocess.run(["zstd", "-qc"], input=data, stdout=-1, check=True).stdout
    return gzip.compress(data) if encoding == "gzip" else data


def pieces(blob: bytes, taken: list[int]) -> t.Iterator[bytes]:
    for start in range(0, len(blob), PIECE):
        taken.append(start)
        yield blob[start : start + PIECE]


@pytest.mark.parametrize("encoding", inflate.readable())
def test_the_list_is_read_from_the_head(sealed: Tree, encoding: str) -> None:
    taken: list[int] = []
    found = _listing.read(pieces(packed(sealed.tar, encoding), taken), encoding, sealed.sha256, "the blob")
    assert "".join(f"{sha256}  {path}\n" for path, sha256 in found.items()) == sealed.sums
    assert "static/é.css" in found
    if encoding != "zstd":  # Before Python 3.14, a program reads it, and wants a file.
        assert max(taken) < 1_000_000


def bomb(sealed: Tree) -> bytes:
    """Return a tar that starts with a PAX header of 8 GB, as far as a test can write it."""
    head = bytearray(tar.BLOCK)
    head[:5], head[100:108], head[124:136], head[156:157] = b"x" * 5, b"0000644\0", b"77777777777\0", b"x"
    head[108:124], head[136:148], head[257:265] = b"0000000\0" * 2, b"00000000000\0", b"ustar\x0000"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + bytes(80_000_000)


DAMAGED: list[tuple[t.Callable[[Tree], bytes], str]] = [
    (lambda s: b"", "can't be read: the artifact's blob ends before its tar does"),
    (lambda s: s.tar, "can't be read: the artifact's blob is damaged"),
    (lambda s: gzip.compress(s.tar)[:2000], "can't be read"),
    (lambda s: gzip.compress(s.tar[:200_000]), "can't be read"),
    (lambda s: gzip.compress(s.tar.replace(b"app/noise\n", b"app/nicer\n")), "has not the list of files"),
    (lambda s: gzip.compress(bytes(10240)), "META/tree.sha256 is missing"),
    (lambda s: gzip.compress(bomb(s)), "can't be read: too long"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGED)
def test_a_damaged_head_is_refused(sealed: Tree, damage: t.Callable[[Tree], bytes], said: str) -> None:
    with pytest.raises(InvalidDocument, match=f"^the blob was changed.*{said}"):
        _listing.read(pieces(damage(sealed), []), "gzip", sealed.sha256, "the blob")


def test_the_sum_of_the_list_is_what_counts(sealed: Tree) -> None:
    with pytest.raises(InvalidDocument, match="has not the list"):
        _listing.read([gzip.compress(sealed.tar)], "gzip", hashlib.sha256(b"").hexdigest(), "the blob")
