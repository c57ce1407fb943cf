# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole artifacts that are not what their manifest says, or whose manifest a forger wrote: refused, nothing left."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import typing as t
from contextlib import closing
from pathlib import Path

import pytest
from ansible_collections.containerless.django.tests.fuzz import archives
from ansible_collections.containerless.django.tests.fuzz.archives import Item, archive
from ansible_collections.containerless.django.tests.fuzz.artifact import TINY, Bench, good_blob, make_bench
from ansible_collections.containerless.django.tests.fuzz.jail import Good, Jail

from .test_tar import HOSTILE


@pytest.fixture
def jail() -> t.Iterator[Jail]:
    with closing(Jail()) as jail:
        yield jail


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    with closing(Jail()) as jail:
        return make_bench(tmp_path_factory.mktemp("good"), jail, 1)


@pytest.fixture(scope="module")
def good(bench: Bench) -> Good:
    return bench.good


@pytest.mark.parametrize(("data", "reason"), HOSTILE, ids=[reason for _, reason in HOSTILE])
def test_a_hostile_archive_is_refused_although_its_manifest_names_it(
    data: bytes, reason: str, jail: Jail, good: Good
) -> None:
    for whole in (True, False):
        verdict = jail.install(data, "identity", jail.forged(good, data, whole=whole), good.listing)
        assert verdict.kind == "refused", verdict


ENTRIES = b"d\tMETA\nd\tapp\nd\tvenv\nd\tvenv/bin\n"
#: Content of META/entries, more lines of META/tree.sha256, more members; and what is said of a tree of a forger.
FORGED: list[tuple[bytes, bytes, list[Item], str]] = [
    (ENTRIES, b"", [], ""),
    (b"", b"", [], "META: became a directory"),
    (b"nonsense\n", b"", [], "became a directory"),
    (ENTRIES + b"\n", b"", [], "META/entries: no longer the sealed line"),
    (ENTRIES + b"d\n", b"", [], "META/entries: no longer the sealed directory"),
    (ENTRIES + b"\xff\tx\n", b"", [], "x: no longer the sealed line"),
    (ENTRIES + b"x\tapp/\x1b[2J\n", b"", [], r"app/\\x1b\[2J: no longer the sealed program"),
    (ENTRIES, b"0" * 64 + b"  app/missing\n", [], "app/missing: missing"),
    (ENTRIES, b"0" * 64 + b"  ../sentinel\n", [], r"\.\./sentinel: missing"),
    (ENTRIES, b"", [Item(b"app/more", b"0", b"x")], "app/more: was not sealed"),
    (ENTRIES, b"", [Item(b"app/more/", b"5", mode=0o755)], "app/more: became a directory"),
    (ENTRIES, b"", [Item(b"app/more", b"2", target=b"..", mode=0o777)], "app/more: became a link"),
    (ENTRIES, b"", [Item(b"venv/pyvenv.cfg", b"0", b"x")], "pyvenv.cfg: File exists"),
    (ENTRIES, b"", [Item(b"venv/bin/python", b"2", target=b"..", mode=0o777)], "python: File exists|File exists"),
]


@pytest.mark.parametrize("forged", FORGED, ids=[reason for *_, reason in FORGED])
def test_a_forger_of_the_whole_manifest_needs_a_tree_that_is_one(
    forged: tuple[bytes, bytes, list[Item], str], jail: Jail, good: Good
) -> None:
    entries, sums, more, reason = forged
    items = [Item(name, b"5", mode=0o755) for name in (b"META/", b"app/", b"venv/", b"venv/bin/")]
    said = hashlib.sha256(entries).hexdigest().encode() + b"  META/entries\n" + sums
    items += [Item(b"META/entries", b"0", entries), Item(b"META/tree.sha256", b"0", said), *more]
    data = archive(sorted(items, key=lambda item: item.name.rstrip(b"/")))
    verdict = jail.install(data, "identity", jail.forged(good, data, whole=True), None)
    assert verdict.kind == ("refused" if reason else "accepted"), verdict
    assert re.search(reason, verdict.why), verdict


def test_a_tree_without_venv_or_entries_is_refused(jail: Jail, good: Good) -> None:
    for items in (TINY, []):
        data = archive(items)
        assert jail.install(data, "identity", jail.forged(good, data, whole=True), None).kind == "refused"
    without = [item for item in good.items if item.name not in (b"META/entries", b"META/tree.sha256")]
    bare = archive(sorted([*without, Item(b"META/tree.sha256", b"0", b"")], key=lambda item: item.name.rstrip(b"/")))
    verdict = jail.install(bare, "identity", jail.forged(good, bare, whole=True), None)
    assert "META/entries: was never sealed" in verdict.why


LARGE = Item(b"app/large", b"0", os.urandom(3 * 4096) + bytes(30_000), mode=0o644)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_truncated_at_every_4_kib(encoding: str, jail: Jail, good: Good) -> None:
    data = archive(sorted([*good.items, LARGE], key=lambda item: item.name.rstrip(b"/")))
    if encoding == "zstd" and not shutil.which("zstd"):
        pytest.skip("no zstd program here")
    blob = {"identity": lambda: data, "gzip": lambda: gzip.compress(data), "zstd": lambda: archives.zstandard(data)}
    whole = blob[encoding]()
    cuts = [*range(0, len(whole), 4096), len(whole) - 1]
    assert len(cuts) > 4
    for cut in cuts:
        verdict = jail.install(whole[:cut], encoding, jail.forged(good, data, whole=True), None)
        assert verdict.reason in ("an end before the end", "damaged compression"), (cut, verdict)


@pytest.mark.exhaustive
def test_a_flipped_bit_in_any_byte_of_a_tar_is_refused_or_another_tree(jail: Jail) -> None:
    """One bit of each byte where members stand, of each eighth in the end; `make fuzz-artifact` flips them all."""
    data = archive(TINY)
    end = len(data.rstrip(b"\0")) + 1024
    taken = []
    for bit in (*range(0, end * 8, 7), *range(end * 8, len(data) * 8, 65)):
        verdict = jail.extract(archives.flipped(data, bit))
        assert verdict.kind in ("accepted", "refused"), (bit, verdict)
        taken += [bit] if verdict.kind == "accepted" else []
    # The content of a file, which only the digests of the manifest know, and the non-ASCII letter in a PAX header.
    content, letter = data.index(b"abc") * 8, data.index("ü".encode()) * 8
    assert taken
    assert all(content <= bit < content + 24 or letter <= bit < letter + 16 for bit in taken)


@pytest.mark.exhaustive
def test_a_flipped_bit_in_any_byte_of_a_gzip_blob_never_gives_another_tree(jail: Jail, good: Good) -> None:
    blob = good_blob(good)
    taken = []
    for at in range(len(blob)):
        verdict = jail.install(archives.flipped(blob, at * 8 + at % 8), "gzip", good.manifest, good.listing)
        assert verdict.kind in ("accepted", "refused"), (at, verdict)
        taken += [at] if verdict.kind == "accepted" else []
    # Time, level and system in the header, and what pads the last bits.
    assert len(taken) < 20, taken


def test_a_zstd_frame_that_wants_much_memory_is_refused_in_one_line(jail: Jail, bench: Bench) -> None:
    if not bench.frame:
        pytest.skip("no zstd program here")
    # The largest window that a header can name: 3.75 TiB (RFC 8878, 3.1.1.1.2).
    greedy = bench.frame[:5] + b"\xff" + bench.frame[6:]
    verdict = jail.install(greedy, "zstd", bench.good.manifest, bench.good.listing)
    assert verdict.kind == "refused", verdict
    assert "too much memory" in verdict.why


def test_the_jail_sees_what_it_is_there_for(monkeypatch: pytest.MonkeyPatch) -> None:
    deeds: list[tuple[t.Callable[[Path], object], str]] = [
        (lambda dest: dest.mkdir() or (dest / "way").symlink_to("../.."), "escape"),
        (lambda dest: dest.mkdir() or os.mkfifo(dest / "pipe"), "escape"),
        (lambda dest: dest.mkdir() or (dest / "x").touch() or (dest / "x").chmod(0o4755), "escape"),
        (lambda dest: dest.mkdir() or os.link("sentinel", dest / "x"), "escape"),
        (lambda dest: Path("sentinel").unlink() or Path("sentinel").write_text("untouched"), "escape"),
        (lambda dest: Path("evil").touch(), "escape"),
        (lambda dest: dest.parent.parent.joinpath("folder/file").write_text("touched"), "escape"),
        (lambda dest: dest.with_name("evil").touch(), "escape"),
        (lambda dest: dest.nothing, "crash"),  # type: ignore[attr-defined]
        (lambda dest: dest.mkdir(), "crash"),
    ]
    for deed, kind in deeds:
        monkeypatch.setattr("ansible_collections.containerless.django.tests.fuzz.jail.tar.extract", _faked(deed))
        with closing(Jail()) as other:
            assert other.extract(archive(TINY)).kind == kind


def _faked(deed: t.Callable[[Path], object]) -> t.Callable[..., None]:
    def extract(stream: object, dest: str, limits: object) -> None:
        deed(Path(dest))

    return extract
