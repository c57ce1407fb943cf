# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives that are nearly good: valid ones, bent at members, headers, bytes and compression.

Random bytes end at the first checksum. Here most of an archive stays right, checksums are mended more often than not,
and what is wrong stands deep inside. Everything comes from one `random.Random`, so a seed and a number name an input.
"""

from __future__ import annotations

import gzip
import struct
import subprocess
import typing as t
import unicodedata
import zlib
from dataclasses import dataclass, replace
from random import Random

BLOCK = 512
RECORD = 20 * BLOCK
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12s")
#: Byte ranges of the fields of a header.
FIELDS = {
    "name": (0, 100),
    "mode": (100, 108),
    "uid": (108, 116),
    "gid": (116, 124),
    "size": (124, 136),
    "mtime": (136, 148),
    "checksum": (148, 156),
    "type": (156, 157),
    "target": (157, 257),
    "magic": (257, 265),
    "owner": (265, 297),
    "group": (297, 329),
    "major": (329, 337),
    "minor": (337, 345),
    "prefix": (345, 500),
    "rest": (500, 512),
}
# The working folder of the reader under test is the one around its target: what goes there is seen.
OUTSIDE = b"/proc/self/cwd/"
NAMES = [
    b"",
    b".",
    b"..",
    b"/",
    b"//x",
    b"./x",
    b"x/",
    b"x//y",
    b"../x",
    b"../../x",
    b"app/../../x",
    b"app/..",
    OUTSIDE + b"evil",
    OUTSIDE + b"sentinel",
    b"../sentinel",
    b"../../sentinel",
    b"app",
    b"APP",
    b"app/file",
    b"app/FILE",
    b"link",
    b"link/evil",
    b"link/../evil",
    b"up/sentinel",
    b"out/sentinel",
    b"META/tree.sha256",
    b"META/entries",
    b"venv/pyvenv.cfg",
    b"venv/bin/python",
    b"a\nb",
    b"a\x1b[2J",
    b"a\\b",
    b"\xff\xfe",
    b"a\x00b",
    "é".encode(),
    unicodedata.normalize("NFD", "é").encode(),
    "ﬁ".encode(),
    "a\u202eb".encode(),
    b"x" * 100,
    b"x" * 101,
    b"y" * 256,
    b"d/" * 60 + b"z",
    b"d/" * 1500 + b"z",
    b"n" * 70_000,
]
TARGETS = [
    b"",
    b".",
    b"..",
    b"../..",
    b"../../..",
    b"/",
    b"/etc",
    OUTSIDE,
    OUTSIDE + b"sentinel",
    b"app",
    b"app/file",
    b"app/..",
    b"app/../..",
    b"link/../..",
    b"../sentinel",
    b"./.././..",
    b"self",
    b"t" * 99,
    b"t" * 101,
    b"t" * 5000,
    b"a\nb",
    b"\xff",
    "ü".encode(),
]
TYPES = [bytes([number]) for number in b"\x0001234567xgKLSXVDAN "]
NUMBERS = [
    b"",
    b"0",
    b"00000000000\0",
    b"77777777777\0",
    b"777777777777",
    b"00000000001 ",
    b" 0000000001\0",
    b"-0000000001\0",
    b"0x000000010\0",
    b"99999999999\0",
    b"\x80" + bytes(7) + b"\x02\x54\x0b\xe4",
    b"\xff" * 12,
    b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
]
RECORDS = [
    (b"path", b"/etc/passwd"),
    (b"path", b"../../evil"),
    (b"path", OUTSIDE + b"evil"),
    (b"path", b""),
    (b"path", b"a\0b"),
    (b"linkpath", b"../.."),
    (b"linkpath", OUTSIDE),
    (b"size", b"0"),
    (b"size", b"10737418240"),
    (b"mtime", b"1.5"),
    (b"uid", b"0"),
    (b"hdrcharset", b"BINARY"),
    (b"comment", b"c"),
    (b"GNU.sparse.major", b"1"),
    (b"GNU.sparse.name", b"../evil"),
    (b"GNU.sparse.realsize", b"10737418240"),
    (b"GNU.sparse.map", b"0,1,10737418240,1"),
    (b"SCHILY.xattr.security.capability", b"\1"),
    (b"", b"x"),
]


@dataclass(frozen=True)
class Item:
    """One member as it will stand in the archive, right or not."""

    name: bytes
    kind: bytes = b"0"
    content: bytes = b""
    target: bytes = b""
    mode: int = 0o644
    mtime: int = 1
    #: Said in the header instead of the length of the content.
    size: int | None = None
    #: Instead of the records that long and non-ASCII names need.
    records: tuple[tuple[bytes, bytes], ...] | None = None

    @property
    def blocks(self) -> bytes:
        """Header, PAX header before it, and content."""
        needed = tuple(
            (key, text)
            for key, text in ((b"path", self.name), (b"linkpath", self.target))
            if len(text) > 100 or not text.isascii()
        )
        records = needed if self.records is None else self.records
        pax = b"".join(record(key, value) for key, value in records)
        head = header(b"././@PaxHeader", b"x", mode=0, size=len(pax), mtime=0) + padded(pax) if pax else b""
        names = [self.name, self.target]
        if needed and self.records is None:
            names = [text.decode("utf-8", "replace").encode("ascii", "replace") for text in names]
        size = len(self.content) if self.size is None else self.size
        facts = {"mode": self.mode, "size": size, "mtime": self.mtime}
        return head + header(names[0], self.kind, target=names[1], **facts) + padded(self.content)


def record(key: bytes, value: bytes) -> bytes:
    """Return a PAX record with the right length."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def header(name: bytes, kind: bytes, *, mode: int, size: int, mtime: int, target: bytes = b"") -> bytes:
    """Return a header with the right checksum, its numbers cut to their fields."""
    numbers = (b"%07o\0" % mode, b"0000000\0", b"0000000\0", b"%011o\0" % size, b"%011o\0" % mtime)
    block = _HEADER.pack(name, *numbers, b" " * 8, kind, target, b"ustar\x0000", b"", b"", b"", b"", b"", b"")
    return mended(block, 0)


def mended(data: bytes, start: int) -> bytes:
    """Return the archive with the checksum of the block at `start` made right."""
    block = data[start : start + BLOCK]
    if len(block) < BLOCK:
        return data
    total = sum(block[:148]) + 8 * 0x20 + sum(block[156:])
    return data[: start + 148] + b"%06o\0 " % total + data[start + 156 :]


def archive(items: t.Iterable[Item]) -> bytes:
    """Return a tar of these members, with the end that it has to have."""
    data = b"".join(item.blocks for item in items) + bytes(2 * BLOCK)
    return data + bytes(-len(data) % RECORD)


def bent_items(random: Random, items: list[Item]) -> list[Item]:
    """Return the members with one of them changed, added, moved or missing."""
    at = random.randrange(len(items))
    return random.choice(_ITEM_DEEDS)(random, items[:at], items[at], items[at + 1 :])


Deed = t.Callable[[Random, "list[Item]", Item, "list[Item]"], "list[Item]"]


def _other_name(random: Random, item: Item) -> bytes:
    text = item.name.decode("utf-8", "replace")
    return random.choice(
        [
            random.choice(NAMES),
            random.choice(NAMES),
            text.swapcase().encode(),
            unicodedata.normalize("NFD", text).encode(),
            item.name + b"/",
            item.name + b"/below",
            item.name + b"/../../x",
            b"./" + item.name,
            b"/" + item.name,
            b"../" + item.name,
            item.name.rpartition(b"/")[0],
        ]
    )


def _renamed(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    return [*before, replace(item, name=_other_name(random, item)), *after]


def _retargeted(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    kind = random.choice([b"2", b"2", b"1", item.kind])
    mode, content = (0o777, b"") if kind == b"2" else (item.mode, item.content)
    return [*before, replace(item, kind=kind, mode=mode, content=content, target=random.choice(TARGETS)), *after]


def _of_another_type(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    return [*before, replace(item, kind=random.choice(TYPES)), *after]


def _of_another_mode(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    mode = random.choice([0, 0o600, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o1777, 0o7777, 0o100644, 8**7 - 1])
    return [*before, replace(item, mode=mode), *after]


def _of_another_time(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    mtime = random.choice([0, 1, 2, 2**31 - 1, 2**31, 2**32, 8**11 - 1])
    if random.random() < 0.5:
        return [replace(one, mtime=mtime) for one in (*before, item, *after)]
    return [*before, replace(item, mtime=mtime), *after]


def _of_another_size(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    size = random.choice([0, 1, len(item.content) + 1, 511, 512, 513, 1024, 10 * 2**30, 8**11 - 1, 8**12 - 1])
    return [*before, replace(item, size=size), *after]


def _of_other_content(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    content = random.choice([b"", b"\0", b"x" * 511, b"x" * 512, b"x" * 513, item.content + b"\n", item.content[1:]])
    return [*before, replace(item, content=content), *after]


def _with_records(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    records = [random.choice(RECORDS) for _ in range(random.randint(1, 3))]
    if random.random() < 0.3:
        records.append((b"path", item.name))
    return [*before, replace(item, records=tuple(records)), *after]


def _twice(_: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    return [*before, item, item, *after]


def _without(_: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    return [*before, *after] or [item]


def _moved(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    rest = [*before, *after]
    rest.insert(random.randint(0, len(rest)), item)
    return rest


def _sorted(_: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    return sorted([*before, item, *after], key=lambda one: one.name)


def _through_a_link(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    """A link, perhaps a chain of them, then a member below it."""
    target = random.choice(TARGETS)
    chain = [Item(b"out", b"2", target=target, mode=0o777)]
    if random.random() < 0.5:
        chain.append(Item(b"out2", b"2", target=b"out/" + random.choice([b"..", b"app", b"../..", b"x"]), mode=0o777))
    name = chain[-1].name + random.choice([b"/evil", b"", b"/sentinel", b"/"])
    below = random.choice(
        [
            Item(name, b"0", b"evil"),
            Item(name + b"/", b"5", mode=0o755),
            Item(name, b"2", target=b"x", mode=0o777),
            Item(name, b"1", target=b"app/file"),
        ]
    )
    return [*before, item, *chain, below, *after]


def _deep(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    depth = random.choice([5, 30, 99, 100, 101, 150])
    part = random.choice([b"d", "ü".encode(), b"name" * 20])
    return [*before, item, *(Item(b"/".join([part] * n), b"5", mode=0o755) for n in range(1, depth)), *after]


def _with_a_gnu_name(random: Random, before: list[Item], item: Item, after: list[Item]) -> list[Item]:
    extra = Item(b"././@LongLink", random.choice([b"L", b"K", b"g", b"x", b"V"]), random.choice(NAMES) + b"\0")
    return [*before, extra, item, *after]


_ITEM_DEEDS: list[Deed] = [
    _renamed,
    _renamed,
    _renamed,
    _retargeted,
    _retargeted,
    _of_another_type,
    _of_another_mode,
    _of_another_time,
    _of_another_size,
    _of_other_content,
    _with_records,
    _twice,
    _without,
    _moved,
    _sorted,
    _through_a_link,
    _through_a_link,
    _deep,
    _with_a_gnu_name,
]


def bent_bytes(random: Random, data: bytes) -> bytes:
    """Return the archive with some of its bytes changed; a header's checksum is made right more often than not."""
    start = random.randrange(max(1, len(data) // BLOCK)) * BLOCK
    if random.random() < 0.7:
        # Most of a small archive is its end, where little can go wrong.
        start = min(start, random.randrange(1, 30) * BLOCK)
    return random.choice(_BYTE_DEEDS)(random, data, start)


def _with_a_field(random: Random, data: bytes, start: int) -> bytes:
    first, last = FIELDS[random.choice(list(FIELDS))]
    value = random.choice([*NUMBERS, *NAMES[:30], *TYPES, b"ustar  \0", b"\0", bytes([random.randrange(256)])])
    field = value[: last - first].ljust(last - first, random.choice([b"\0", b" ", b"0"]))
    bent = data[: start + first] + field + data[start + last :]
    return mended(bent, start) if random.random() < 0.8 else bent


def _with_a_bit(random: Random, data: bytes, _: int) -> bytes:
    return flipped(data, random.randrange(max(1, len(data) * 8)))


def _with_a_bit_of_a_header(random: Random, data: bytes, start: int) -> bytes:
    return mended(flipped(data, (start + random.randrange(BLOCK)) * 8 + random.randrange(8)), start)


def _cut(random: Random, data: bytes, start: int) -> bytes:
    return data[: random.choice([start, random.randrange(len(data) + 1), len(data) // 4096 * 4096])]


def _longer(random: Random, data: bytes, _: int) -> bytes:
    return data + random.choice([b"\0", b"x", bytes(BLOCK), bytes(RECORD), data])


def _with_a_block(random: Random, data: bytes, start: int) -> bytes:
    return data[:start] + random.choice([bytes(BLOCK), data[start : start + BLOCK]]) + data[start:]


def _without_blocks(random: Random, data: bytes, start: int) -> bytes:
    return data[:start] + data[start + BLOCK * random.randint(1, 3) :]


_BYTE_DEEDS: list[t.Callable[[Random, bytes, int], bytes]] = [
    _with_a_field,
    _with_a_field,
    _with_a_field,
    _with_a_bit,
    _with_a_bit_of_a_header,
    _cut,
    _longer,
    _with_a_block,
    _without_blocks,
]


def flipped(data: bytes, bit: int) -> bytes:
    """Return the bytes with one bit changed."""
    if not data:
        return data
    at = bit // 8 % len(data)
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]


def bent_archive(random: Random, items: t.Sequence[Item]) -> bytes:
    """Return a tar with one to four faults, or none that matters."""
    bent = list(items)
    members = random.choice([0, 1, 1, 1, 2, 3])
    for _ in range(members):
        bent = bent_items(random, bent)
    if random.random() < 0.6:
        # In the order that the reader asks for, or it would look no further.
        bent.sort(key=lambda item: item.name.rstrip(b"/"))
    data = archive(bent)
    for _ in range(random.choice([0, 0, 1]) if members else 1):
        data = bent_bytes(random, data)
    return data


def gzipped(data: bytes, *, flags: int = 0, extra: bytes = b"", level: int = 6, window: int = 15) -> bytes:
    """Return a gzip member with a header of one's own (RFC 1952)."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -window)
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(4) + b"\x00\xff" + extra
    return head + packer.compress(data) + packer.flush() + struct.pack("<II", zlib.crc32(data), len(data) % 2**32)


def zstandard(data: bytes, *options: str) -> bytes:
    """Return a zstd frame, made by the program."""
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE, check=True).stdout


def bent_zstandard(random: Random, data: bytes) -> bytes:
    """Return a zstd blob of a tar that is damaged, strangely made, or both."""
    half = random.randrange(len(data) + 1)
    skipped = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 9) + bytes(9)
    shapes: list[t.Callable[[], bytes]] = [
        lambda: zstandard(data),
        lambda: zstandard(data, random.choice(["--no-check", "-1", "-19", "--no-content-size", "--long=27"])),
        lambda: zstandard(data[:half]) + zstandard(data[half:]),
        lambda: zstandard(b"") + zstandard(data),
        lambda: skipped + zstandard(data),
        lambda: zstandard(data) + skipped,
        lambda: zstandard(data + bytes(random.choice([1, 512, 10_000_000]))),
    ]
    return bent_blob(random, random.choice(shapes)())


def bent_gzip(random: Random, data: bytes) -> bytes:
    """Return a gzip blob of a tar that is damaged, strangely made, or both."""
    half = random.randrange(len(data) + 1)
    long = b"x" * random.randrange(70_000) + b"\0"
    shapes: list[t.Callable[[], bytes]] = [
        lambda: gzip.compress(data, 6, mtime=0),
        lambda: gzipped(data, level=random.choice([0, 1, 9]), window=random.choice([9, 12, 15])),
        lambda: gzipped(data, flags=8, extra=long),
        lambda: gzipped(data, flags=16, extra=long),
        lambda: gzipped(data, flags=4, extra=struct.pack("<H", 300) + bytes(300)),
        lambda: gzipped(data, flags=random.randrange(256), extra=long[-20:]),
        lambda: gzip.compress(data[:half], mtime=0) + gzip.compress(data[half:], mtime=0),
        lambda: gzip.compress(b"", mtime=0) + gzip.compress(data, mtime=0),
        lambda: gzip.compress(data, mtime=0) + bytes(random.randrange(1, 600)),
        lambda: gzip.compress(data + bytes(random.choice([1, 512, 10_000_000])), 1, mtime=0),
        lambda: zlib.compress(data),
    ]
    blob = random.choice(shapes)()
    return bent_blob(random, blob)


def bent_blob(random: Random, blob: bytes) -> bytes:
    """Return compressed bytes with a fault, or as they are."""
    deed = random.randrange(6)
    at = random.randrange(len(blob))
    if deed <= 1:
        return flipped(blob, random.randrange(len(blob) * 8))
    if deed == 2:
        return blob[:at]
    if deed == 3:
        return blob[:at] + bytes(random.randrange(256) for _ in range(random.randint(1, 8))) + blob[at + 4 :]
    if deed == 4:
        return blob[:at] + blob[random.randrange(len(blob)) :]
    return blob
