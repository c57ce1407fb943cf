# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tar of an artifact: a writer whose bytes depend on the tree alone, and a reader that trusts nothing.

The reader takes what the writer writes (POSIX headers; directories, regular files and relative links; PAX records for
long and non-ASCII names) and refuses the rest by name: what it takes is, byte for byte, what `write_tar` makes of the
tree that came out. Neither uses `tarfile`: its headers changed with Python 3.9, it reads many more dialects than we
write, and the one of Debian 12 has no extraction filters.
"""

# Paths are bytes, as the disk has them; pathlib knows only text.

from __future__ import annotations

import os
import re
import stat
import struct
import typing as t
import unicodedata
from dataclasses import dataclass

from .._core.errors import ContainerlessError

BLOCK = 512
#: A tar ends on a multiple of this (POSIX pax, blocking factor 20).
RECORD = 20 * BLOCK
#: Octal numbers of a header have eleven digits; what needs more has no place in an artifact.
_MAX_NUMBER = 8**11
_MAX_PAX = 64 * 1024
_CHUNK = 1024 * 1024
_MAX_SHOWN = 200
# With the folder of a tree before them, paths stay below PATH_MAX (limits.h: 4096 bytes), and what removes a tree level
# by level (shutil.rmtree: one call and one descriptor each) below its own limits.
_LONGEST = 1024
_DEEPEST = 100
_FOLDER = 0o755
_MODES = {"file": (0o644, _FOLDER), "directory": (_FOLDER,), "link": (0o777,)}
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_MAGIC = b"ustar\x0000"
# A backslash would make sha256sum escape the name; controls, also those of direction, would let it lie in a terminal.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\\\\\u2028-\u202e\u2066-\u2069]")
_OCTAL = re.compile(rb"[0-7]{1,11}[ \x00]*")
_FLAGS = {"file": b"0", "directory": b"5", "link": b"2", "pax": b"x"}
_KINDS = {flag: kind for kind, flag in _FLAGS.items()}
_REFUSED_KINDS = {
    b"1": "a hard link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a fifo",
    b"S": "a sparse file",
    b"g": "a global PAX header",
    b"K": "a GNU long link",
    b"L": "a GNU long name",
}


@dataclass(frozen=True)
class Size:
    """Regular files of a tree and the sum of their bytes: a limit before extraction, a fact after it."""

    files: int
    bytes: int


class Member(t.NamedTuple):
    """One header of the archive, its name and link target as bytes that nobody has checked yet."""

    name: bytes
    kind: str
    mode: int
    size: int
    mtime: int
    target: bytes
    #: The blocks that said so, those of a PAX header included.
    blocks: bytes = b""


def shown(name: str | bytes) -> str:
    """Return a name as an error may print it: quoted, without control characters, not endless."""
    text = repr(name if isinstance(name, str) else name.decode("utf-8", "backslashreplace"))
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def name_fault(name: str) -> str | None:
    """Say what forbids a path below the root of a tree, or None."""
    parts = name.split("/")
    if not name or "" in parts[1:] or "." in parts:
        return "has an empty part or a single dot in its path"
    if not parts[0]:
        return "has an absolute path"
    if ".." in parts:
        return "has '..' in its path"
    if _FORBIDDEN.search(name):
        return "has a control character or a backslash in its name"
    if len(parts) > _DEEPEST or len(name.encode("utf-8", "surrogatepass")) > _LONGEST:
        return f"has a path of more than {_DEEPEST} parts or {_LONGEST} bytes"
    return None


def link_fault(name: str, target: str) -> str | None:
    """Say what forbids a symbolic link, or None.

    '..' may only stand at the start: from a real directory, and never more of them than its depth. What follows only
    descends, so no chain of such links leaves the root.
    """
    parts = [part for part in target.split("/") if part != "."]
    if not target or target.startswith("/"):
        return f"is a link to the absolute or empty path {shown(target)}"
    if _FORBIDDEN.search(target):
        return "is a link to a path with a control character or a backslash"
    ups = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    if ups > name.count("/"):
        return f"is a link to {shown(target)}, outside of the tree"
    if ".." in parts[ups:]:
        return f"is a link to {shown(target)}, which has '..' after a name"
    return None


def _folded(name: str) -> str:
    """Return what is equal for names that a disk may take for one (Unicode 3.13: canonical caseless matching)."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


class Names:
    """The members so far, and what forbids one more: every name once, however written, in a known directory."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {"": "directory"}
        self._folded: dict[str, str] = {}

    def fault(self, name: str, kind: str) -> str | None:
        """Take the member, or say why not."""
        if name in self._kinds:
            return "stands there twice"
        parent = name.rpartition("/")[0]
        if self._kinds.get(parent) != "directory":
            found = self._kinds.get(parent)
            return (
                f"stands below {shown(parent)}, which is a {found}"
                if found
                else "stands in no directory of the archive"
            )
        other = self._folded.setdefault(_folded(name), name)
        if other != name:
            how = "upper and lower case" if other.casefold() == name.casefold() else "how Unicode writes its letters"
            return f"differs from {shown(other)} only in {how}"
        self._kinds[name] = kind
        return None


def normal_mode(mode: int) -> int:
    """Return the one mode that a directory or file has in an artifact."""
    return _FOLDER if stat.S_ISDIR(mode) or mode & 0o111 else 0o644


def scan(root: str) -> list[tuple[bytes, os.stat_result]]:
    """Return everything below a folder, sorted by byte path, links not followed, names as the disk has them."""
    found: list[tuple[bytes, os.stat_result]] = []
    top = os.fsencode(root)
    todo = [b""]
    while todo:
        folder = todo.pop()
        with os.scandir(os.path.join(top, folder)) as entries:
            for entry in entries:
                name = folder + b"/" + entry.name if folder else entry.name
                facts = entry.stat(follow_symlinks=False)
                found.append((name, facts))
                if stat.S_ISDIR(facts.st_mode):
                    todo.append(name)
    return sorted(found, key=lambda item: item[0])


def write_tar(root: str, out: t.BinaryIO, *, mtime: int) -> None:
    """Write the tree as a tar whose bytes depend on names, contents, links and executable bits alone.

    Raises ContainerlessError for what `extract` would refuse.
    """
    if not 0 <= mtime < _MAX_NUMBER:
        raise ContainerlessError(f"the time {mtime} of the commit does not fit into a tar")
    names = Names()
    written = 0
    for raw, facts in scan(root):
        path = os.path.join(os.fsencode(root), raw)
        member = _member(raw, path, facts, names)._replace(mtime=mtime)
        blocks = _blocks(member)
        out.write(blocks)
        written += len(blocks)
        if member.kind == "file":
            written += _append(path, member.size, out)
    out.write(bytes(2 * BLOCK + -(written + 2 * BLOCK) % RECORD))


def _member(raw: bytes, path: bytes, facts: os.stat_result, names: Names) -> Member:
    """Return what is written of a path, its time left open, or raise with what is wrong with it."""
    kind = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}.get(stat.S_IFMT(facts.st_mode), "")
    name = _text(raw, "path")
    target = os.readlink(path) if kind == "link" else b""
    fault = name_fault(name) or (None if kind else "is neither file, directory nor link")
    fault = fault or (link_fault(name, _text(target, "link target")) if kind == "link" else None)
    fault = fault or names.fault(name, kind)
    if fault or facts.st_size >= _MAX_NUMBER:
        raise ContainerlessError(f"{shown(name)} can't be in an artifact: it {fault or 'is larger than 8 GiB'}")
    mode = 0o777 if kind == "link" else normal_mode(facts.st_mode)
    return Member(raw, kind, mode, size=facts.st_size if kind == "file" else 0, mtime=0, target=target)


def _blocks(member: Member) -> bytes:
    """Return the only header that a member can have: a POSIX block, before it a PAX header where a name needs one."""
    name = member.name + b"/" if member.kind == "directory" and not member.name.endswith(b"/") else member.name
    target = member.target if member.kind == "link" else b""
    records = b""
    for key, text in ((b"path", name), (b"linkpath", target)):
        if len(text) > 100 or not text.isascii():
            records += _record(key, text)
    if not records:
        return _block(member, name, target)
    pax = Member(b"././@PaxHeader", "pax", 0, len(records), 0, b"")
    return _block(pax, pax.name, b"") + _padded(records) + _block(member, _plain(name), _plain(target))


def _plain(name: bytes) -> bytes:
    return name.decode("utf-8").encode("ascii", "replace")


def _block(member: Member, name: bytes, target: bytes) -> bytes:
    """Return a POSIX header. What is too long for its field is cut: a PAX header has it whole."""
    none, owner = b"", b"0000000\0"
    numbers = (b"%07o\0" % member.mode, owner, owner, b"%011o\0" % member.size, b"%011o\0" % member.mtime)
    names = (_FLAGS[member.kind], target, _MAGIC)
    block = _HEADER.pack(name, *numbers, b" " * 8, *names, none, none, none, none, none)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _record(key: bytes, value: bytes) -> bytes:
    """Return a PAX record, whose first number is its own length, that number included."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode("ascii") + rest


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def _append(path: bytes, size: int, out: t.BinaryIO) -> int:
    left = size
    with open(path, "rb") as source:
        while left:
            data = source.read(min(left, _CHUNK))
            if not data:
                break
            out.write(data)
            left -= len(data)
        if left or source.read(1):
            raise ContainerlessError(f"{shown(os.fsdecode(path))} changed while it was written into the artifact")
    padding = -size % BLOCK
    out.write(bytes(padding))
    return size + padding


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ContainerlessError(f"{shown(raw)} can't be in an artifact: its {what} is not UTF-8") from None


class _Source:
    """The stream of a tar, and how far we are in it."""

    def __init__(self, stream: t.BinaryIO) -> None:
        self._stream = stream
        self.read = 0
        #: Name of the last member; what is damaged stands after it.
        self.last = b""

    @property
    def where(self) -> str:
        return f"after {shown(self.last)}" if self.last else "at its start"

    def exactly(self, size: int, what: str) -> bytes:
        data = self._stream.read(size)
        while len(data) < size:
            more = self._stream.read(size - len(data))
            if not more:
                raise ContainerlessError(
                    f"the artifact's tar ends {self.where}, in the middle of {what}; fetch it again"
                )
            data += more
        self.read += size
        return data

    def end(self) -> None:
        """Read what follows the first block of the end: zeros up to a full record, and nothing else."""
        if self.exactly(BLOCK + -(self.read + BLOCK) % RECORD, "its end").strip(b"\0") or self._stream.read(1):
            raise ContainerlessError("the artifact's tar has data after its end")


def _number(field: bytes, name: bytes, what: str) -> int:
    if not _OCTAL.fullmatch(field):
        raise ContainerlessError(f"tar member {shown(name)} has a {what} that is not an octal number")
    return int(field.rstrip(b" \x00"), 8)


def _header(block: bytes, source: _Source) -> Member:
    """Return the facts of one header block, PAX headers included."""
    name, mode, _uid, _gid, size, mtime, check, flag, target, magic, *_owner, prefix = _HEADER.unpack(block)
    name, prefix = name.partition(b"\0")[0], prefix.partition(b"\0")[0]
    name = prefix + b"/" + name if prefix else name
    if sum(block) - sum(check) + 8 * 0x20 != _number(check, name, "checksum"):
        raise ContainerlessError(f"the artifact's tar has a damaged header {source.where}; fetch it again")
    if magic != _MAGIC:
        raise ContainerlessError(f"tar member {shown(name)} has no POSIX header")
    if flag not in _KINDS:
        raise ContainerlessError(
            f"tar member {shown(name)} is {_REFUSED_KINDS.get(flag, f'of the unknown type {flag!r}')}"
        )
    return Member(
        name=name,
        kind=_KINDS[flag],
        mode=_number(mode, name, "mode"),
        size=_number(size, name, "size"),
        mtime=_number(mtime, name, "time"),
        target=target.partition(b"\0")[0],
        blocks=block,
    )


def _pax(data: bytes, where: str) -> dict[bytes, bytes]:
    """Return the records of a PAX header: `path` and `linkpath`, nothing else (sparse files hide in other ones)."""
    records: dict[bytes, bytes] = {}
    while data:
        digits = re.match(rb"([1-9][0-9]{0,5}) ", data)
        length = int(digits.group(1)) if digits else 0
        record = data[digits.end() : length] if digits else b""
        key, equals, value = record[:-1].partition(b"=")
        if not equals or len(data) < length or record[-1:] != b"\n":
            raise ContainerlessError(f"the artifact's tar has a damaged PAX header {where}; fetch it again")
        if key not in (b"path", b"linkpath") or key in records:
            raise ContainerlessError(
                f"the artifact's tar has a PAX record {shown(key)} {where}, which has no place in an artifact"
            )
        records[key] = value
        data = data[length:]
    return records


def _members(source: _Source) -> t.Iterator[Member]:
    """Yield each member; the taker reads its content before it asks for the next one."""
    zero = bytes(BLOCK)
    while True:
        block = source.exactly(BLOCK, "a header")
        if block == zero:
            break
        member = _header(block, source)
        if member.kind == "pax":
            member = _long_member(source, member)
        source.last = member.name
        yield member
    source.end()


def _long_member(source: _Source, head: Member) -> Member:
    """Return the member whose long or non-ASCII names stand in the PAX header `head`."""
    if head.size > _MAX_PAX:
        raise ContainerlessError(f"tar member {shown(head.name)} is a PAX header of {head.size} bytes {source.where}")
    data = source.exactly(head.size + -head.size % BLOCK, "a PAX header")
    records = _pax(data[: head.size], source.where)
    member = _header(source.exactly(BLOCK, "a header"), source)
    if member.kind == "pax":
        raise ContainerlessError(f"the artifact's tar has a PAX header without a member {source.where}")
    return member._replace(
        name=records.get(b"path", member.name),
        target=records.get(b"linkpath", member.target),
        blocks=head.blocks + data + member.blocks,
    )


def _checked(member: Member, names: Names) -> tuple[str, str]:
    """Return name and link target of a member that may be extracted, or raise with what is wrong with it."""
    raw = member.name[:-1] if member.kind == "directory" and member.name.endswith(b"/") else member.name
    try:
        name, target = raw.decode("utf-8"), member.target.decode("utf-8")
    except UnicodeDecodeError:
        raise ContainerlessError(f"tar member {shown(raw)} has a name or link target that is not UTF-8") from None
    fault = name_fault(name)
    if not fault and member.mode & ~0o777:
        fault = "has a setuid, setgid or sticky bit"
    if not fault and member.kind != "file" and member.size:
        fault = f"is a {member.kind} with content"
    if not fault and member.kind == "link":
        fault = link_fault(name, target)
    fault = fault or names.fault(name, member.kind)
    if fault:
        raise ContainerlessError(f"tar member {shown(name)} {fault}")
    return name, target


class _Form:
    """Holds that a tree has one tar alone: members in order, one time, normal modes, headers as we write them."""

    def __init__(self) -> None:
        self._mtime: int | None = None
        self._last = ""

    def refuse(self, member: Member, name: str) -> None:
        mtime = member.mtime if self._mtime is None else self._mtime
        fault = None
        if member.mode not in _MODES[member.kind]:
            fault = f"has the mode {member.mode:04o}, which no {member.kind} of an artifact has"
        elif member.mtime != mtime:
            fault = "has another time than the members before it"
        elif name < self._last:  # By code points, as the bytes of UTF-8 sort.
            fault = f"stands after {shown(self._last)}, out of order"
        elif member.blocks != _blocks(member):
            fault = "has a header that says more than an artifact's does"
        if fault:
            raise ContainerlessError(f"tar member {shown(name)} {fault}")
        self._mtime, self._last = mtime, name


def extract(stream: t.BinaryIO, dest: str, limits: Size) -> Size:
    """Extract a tar into the folder `dest`, which must not exist yet, and read the stream to its end.

    Returns what was written. Raises ContainerlessError, naming the member or the one before it, for anything that
    `write_tar` does not write, and as soon as more files or bytes are announced than `limits` allows; the caller then
    removes `dest`.
    """
    names, form, source = Names(), _Form(), _Source(stream)
    files = size = 0
    name = dest
    try:
        os.mkdir(dest, 0o700)
        top = os.fsencode(dest)
        for member in _members(source):
            name, target = _checked(member, names)
            if member.kind == "file":
                files, size = files + 1, size + member.size
                if files > limits.files or size > limits.bytes:
                    raise ContainerlessError(
                        f"tar member {shown(name)} is more than the {limits.files} files and {limits.bytes} bytes"
                        " that the manifest names"
                    )
            form.refuse(member, name)
            path = os.path.join(top, name.encode("utf-8"))
            if member.kind == "directory":
                os.mkdir(path, 0o700)
                os.chmod(path, _FOLDER)
            elif member.kind == "link":
                os.symlink(target.encode("utf-8"), path)
            else:
                _extract_file(source, path, name, member)
        os.chmod(dest, _FOLDER)
    except OverflowError as exc:  # A host whose times have 32 bits.
        raise ContainerlessError(f"can't unpack {shown(name)}: its time {exc}") from None
    except OSError as exc:
        raise ContainerlessError(f"can't unpack {shown(name)}: {exc.strerror or exc}") from None
    return Size(files, size)


def _extract_file(source: _Source, path: bytes, name: str, member: Member) -> None:
    # Made by this call and by nobody else: neither an existing file nor a link is ever written through.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        left = member.size
        while left:
            data = source.exactly(min(left, _CHUNK), "its content")
            left -= len(data)
            while data:
                data = data[os.write(fd, data) :]
        os.fchmod(fd, normal_mode(member.mode))
        # Whitenoise and the like make Last-Modified of it, which has to be equal on all hosts of a fleet.
        os.utime(fd, (member.mtime, member.mtime))
    finally:
        os.close(fd)
    padding = -member.size % BLOCK
    if source.exactly(padding, "its content").strip(b"\0"):
        raise ContainerlessError(f"tar member {shown(name)} is followed by bytes that belong to no member")
