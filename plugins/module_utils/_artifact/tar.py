# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tar of an artifact: a writer whose bytes depend on the tree alone, and a reader that trusts nothing.

The reader takes what the writer writes (POSIX headers; directories, regular files and relative links; PAX records for
long and non-ASCII names) and refuses the rest by name. It does not use `tarfile`: that module reads many more dialects
than we write, and the one of Debian 12 has no extraction filters.
"""

# Paths are bytes, as the disk has them; pathlib knows only text.

from __future__ import annotations

import os
import re
import stat
import struct
import tarfile
import typing as t
from dataclasses import dataclass

from .._core.errors import ContainerlessError

BLOCK = 512
#: Octal numbers of a header have eleven digits; what needs more has no place in an artifact.
_MAX_NUMBER = 8**11
_MAX_PAX = 64 * 1024
_CHUNK = 1024 * 1024
_MAX_SHOWN = 200
_FOLDER = 0o755
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_MAGIC = b"ustar\x0000"
# A backslash would make sha256sum escape the name; control characters would let a name lie in a terminal.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\\\\\u2028\u2029]")
_KINDS = {b"0": "file", b"5": "directory", b"2": "link", b"x": "pax"}
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


@dataclass(frozen=True)
class Member:
    """One header of the archive, its name and link target as bytes that nobody has checked yet."""

    name: bytes
    kind: str
    mode: int
    size: int
    mtime: int
    target: bytes


def shown(name: str | bytes) -> str:
    """Return a name as an error may print it: quoted, without control characters, not endless."""
    text = repr(name)
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


class Names:
    """The members so far, and what forbids one more: every name once, in whatever case, in a known directory."""

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
        other = self._folded.setdefault(name.casefold(), name)
        if other != name:
            return f"differs from {shown(other)} only in upper and lower case"
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
        info = _tarinfo(raw, path, facts, names)
        info.mtime = mtime
        header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
        out.write(header)
        written += len(header)
        if info.isreg():
            written += _append(path, info.size, out)
    out.write(bytes(2 * BLOCK + -(written + 2 * BLOCK) % tarfile.RECORDSIZE))


def _tarinfo(raw: bytes, path: bytes, facts: os.stat_result, names: Names) -> tarfile.TarInfo:
    kind = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}.get(stat.S_IFMT(facts.st_mode))
    name = _text(raw, "path")
    target = _text(os.readlink(path), "link target") if kind == "link" else ""
    fault = name_fault(name) or (None if kind else "is neither file, directory nor link")
    fault = fault or (link_fault(name, target) if kind == "link" else None) or names.fault(name, kind or "")
    if fault or facts.st_size >= _MAX_NUMBER:
        raise ContainerlessError(f"{shown(name)} can't be in an artifact: it {fault or 'is larger than 8 GiB'}")
    info = tarfile.TarInfo(name)
    info.type = {"directory": tarfile.DIRTYPE, "file": tarfile.REGTYPE, "link": tarfile.SYMTYPE}[kind or ""]
    info.mode = 0o777 if kind == "link" else normal_mode(facts.st_mode)
    info.size = facts.st_size if kind == "file" else 0
    info.linkname = target
    return info


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


def _exactly(stream: t.BinaryIO, size: int, what: str) -> bytes:
    data = stream.read(size)
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise ContainerlessError(f"the artifact's tar ends in the middle of {what}; fetch it again")
        data += more
    return data


def _number(field: bytes, what: str) -> int:
    if not re.fullmatch(rb"[0-7]{1,12}[ \x00]*", field):
        raise ContainerlessError(f"the artifact's tar has a header with a {what} that is not an octal number")
    return int(field.rstrip(b" \x00"), 8)


def _header(block: bytes) -> Member:
    """Return the facts of one header block, PAX headers included."""
    name, mode, _uid, _gid, size, mtime, check, kind, target, magic, *_owner, prefix = _HEADER.unpack(block)
    if sum(block) - sum(check) + 8 * 0x20 != _number(check, "checksum"):
        raise ContainerlessError("the artifact's tar has a damaged header; fetch it again")
    name, prefix = name.partition(b"\0")[0], prefix.partition(b"\0")[0]
    name = prefix + b"/" + name if prefix else name
    if magic != _MAGIC:
        raise ContainerlessError(f"tar member {shown(name)} has no POSIX header")
    if kind not in _KINDS:
        raise ContainerlessError(
            f"tar member {shown(name)} is {_REFUSED_KINDS.get(kind, f'of the unknown type {kind!r}')}"
        )
    return Member(
        name=name,
        kind=_KINDS[kind],
        mode=_number(mode, "mode"),
        size=_number(size, "size"),
        mtime=_number(mtime, "time"),
        target=target.partition(b"\0")[0],
    )


def _pax(stream: t.BinaryIO, header: Member) -> dict[bytes, bytes]:
    """Return the records of a PAX header: `path` and `linkpath`, nothing else (sparse files hide in other ones)."""
    if header.size > _MAX_PAX:
        raise ContainerlessError(f"tar member {shown(header.name)} is a PAX header of {header.size} bytes")
    data = _exactly(stream, header.size + -header.size % BLOCK, "a PAX header")[: header.size]
    records: dict[bytes, bytes] = {}
    while data:
        digits = re.match(rb"([1-9][0-9]{0,5}) ", data)
        length = int(digits.group(1)) if digits else 0
        record = data[digits.end() : length] if digits else b""
        key, equals, value = record[:-1].partition(b"=")
        if not equals or len(data) < length or record[-1:] != b"\n":
            raise ContainerlessError("the artifact's tar has a damaged PAX header; fetch it again")
        if key not in (b"path", b"linkpath") or key in records:
            raise ContainerlessError(
                f"the artifact's tar has a PAX record {shown(key)}, which has no place in an artifact"
            )
        records[key] = value
        data = data[length:]
    return records


def _headers(stream: t.BinaryIO) -> t.Iterator[Member]:
    """Yield each member; the taker reads its content before it asks for the next one."""
    zero = bytes(BLOCK)
    while True:
        block = _exactly(stream, BLOCK, "a header")
        if block == zero:
            break
        member = _header(block)
        if member.kind == "pax":
            records = _pax(stream, member)
            member = _header(_exactly(stream, BLOCK, "a header"))
            if member.kind == "pax":
                raise ContainerlessError("the artifact's tar has a PAX header without a member")
            member = Member(
                name=records.get(b"path", member.name),
                kind=member.kind,
                mode=member.mode,
                size=member.size,
                mtime=member.mtime,
                target=records.get(b"linkpath", member.target),
            )
        yield member
    rest = _exactly(stream, BLOCK, "its end")
    while rest:
        if rest.strip(b"\0"):
            raise ContainerlessError("the artifact's tar has data after its end")
        rest = stream.read(_CHUNK)


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


def extract(stream: t.BinaryIO, dest: str, limits: Size) -> Size:
    """Extract a tar into the folder `dest`, which must not exist yet, and read the stream to its end.

    Returns what was written. Raises ContainerlessError, naming the member, for anything that `write_tar` does not
    write, and as soon as more files or bytes are announced than `limits` allows; the caller then removes `dest`.
    """
    names = Names()
    files = size = 0
    name = dest
    try:
        os.mkdir(dest, 0o700)
        top = os.fsencode(dest)
        for member in _headers(stream):
            name, target = _checked(member, names)
            path = os.path.join(top, name.encode("utf-8"))
            if member.kind == "directory":
                os.mkdir(path, 0o700)
                os.chmod(path, _FOLDER)
            elif member.kind == "link":
                os.symlink(target.encode("utf-8"), path)
            else:
                files, size = files + 1, size + member.size
                if files > limits.files or size > limits.bytes:
                    raise ContainerlessError(
                        f"tar member {shown(name)} is more than the {limits.files} files and {limits.bytes} bytes"
                        " that the manifest names"
                    )
                _extract_file(stream, path, name, member)
        os.chmod(dest, _FOLDER)
    except OSError as exc:
        raise ContainerlessError(f"can't unpack {shown(name)}: {exc.strerror or exc}") from None
    return Size(files, size)


def _extract_file(stream: t.BinaryIO, path: bytes, name: str, member: Member) -> None:
    # Made by this call and by nobody else: neither an existing file nor a link is ever written through.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        left = member.size
        while left:
            data = _exactly(stream, min(left, _CHUNK), shown(name))
            left -= len(data)
            while data:
                data = data[os.write(fd, data) :]
        os.fchmod(fd, normal_mode(member.mode))
        # Whitenoise and the like make Last-Modified of it, which has to be equal on all hosts of a fleet.
        os.utime(fd, (member.mtime, member.mtime))
    finally:
        os.close(fd)
    padding = -member.size % BLOCK
    if _exactly(stream, padding, shown(name)).strip(b"\0"):
        raise ContainerlessError(f"tar member {shown(name)} is followed by bytes that belong to no member")
