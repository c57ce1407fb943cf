# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tree of an artifact: sealed once by the builder, verified on every host.

META/tree.sha256 holds a line for every regular file but itself, so `sha256sum -c META/tree.sha256` verifies a tree with
coreutils alone. META/entries, one of those files, holds what sha256sum can't say: directories (d), executable files (x)
and links (l), with tabs in between.
"""

# Paths are bytes, as the disk has them; pathlib knows only text.

from __future__ import annotations

import hashlib
import os
import re
import stat
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .._core.errors import ContainerlessError
from .tar import Names, link_fault, name_fault, normal_mode, scan, shown

SUMS = "META/tree.sha256"
ENTRIES = "META/entries"
#: Written on the host, never part of the tree that was built.
HOST_FILES = ("venv/pyvenv.cfg", "venv/bin/python", "venv/bin/python3")
_CHUNK = 256 * 1024
_THREADS = min(4, os.cpu_count() or 1)
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")

_KEY_NAMES = re.compile(
    r"id_(rsa|dsa|ecdsa|ed25519)(_sk)?|.*\.(key|p12|pfx|jks|keystore|kdbx|ppk)|\.netrc|\.pgpass|\.pypirc|\.git-credentials"
)
# Templates of a .env are meant to be shared.
_ENV_NAMES = re.compile(r"\.env(?!.*\.(example|sample|template|dist)$)(\..*)?")
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----")
#: First line of a pointer (git-lfs docs/spec.md); an archive of a commit runs no filter that would replace it.
_POINTER = b"version https://git-lfs."
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True)
class TreeSummary:
    """What the manifest says of a tree: SHA-256 of META/tree.sha256, number and bytes of all regular files."""

    sha256: str
    files: int
    bytes: int


class _Tree(t.NamedTuple):
    """A tree as it stands on the disk; names that are not UTF-8 are shown escaped."""

    files: dict[str, os.stat_result]
    directories: dict[str, os.stat_result]
    links: dict[str, str]
    special: list[str]


def _read(root: str) -> _Tree:
    tree = _Tree({}, {}, {}, [])
    top = os.fsencode(root)
    for raw, facts in scan(root):
        name = raw.decode("utf-8", "backslashreplace")
        if stat.S_ISREG(facts.st_mode):
            tree.files[name] = facts
        elif stat.S_ISDIR(facts.st_mode):
            tree.directories[name] = facts
        elif stat.S_ISLNK(facts.st_mode):
            tree.links[name] = os.readlink(os.path.join(top, raw)).decode("utf-8", "backslashreplace")
        else:
            tree.special.append(name)
    return tree


def _path(root: str, name: str) -> bytes:
    return os.path.join(os.fsencode(root), name.encode("utf-8"))


def _chunks(path: bytes) -> t.Iterator[bytes]:
    # Not blocking, and links not followed: what was a file a moment ago may have been swapped.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        data = os.read(fd, _CHUNK)
        while data:
            yield data
            data = os.read(fd, _CHUNK)
    finally:
        os.close(fd)


def _digest(path: bytes) -> str:
    digest = hashlib.sha256()
    for data in _chunks(path):
        digest.update(data)
    return digest.hexdigest()


def _digests(root: str, names: t.Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each file; hashing releases the GIL, so threads share the work."""
    ordered = list(names)
    shares = [ordered[start::_THREADS] for start in range(_THREADS)]

    def work(share: list[str]) -> dict[str, str]:
        return {name: _digest(_path(root, name)) for name in share}

    with ThreadPoolExecutor(_THREADS) as pool:
        return {name: digest for part in pool.map(work, shares) for name, digest in part.items()}


def _by_bytes(names: t.Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: name.encode("utf-8"))


def _entries(tree: _Tree) -> list[tuple[str, ...]]:
    """Return what sha256sum can't say, each as the parts of its line."""
    return [
        *(("d", name) for name in tree.directories),
        *(("x", name) for name, facts in tree.files.items() if _is_program(facts)),
        *(("l", name, target) for name, target in tree.links.items()),
    ]


def _write(path: bytes, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as out:
        out.write(text)
    os.chmod(path, 0o644)


def seal(root: str) -> TreeSummary:
    """Refuse what must not be in an artifact, make modes normal, write META/entries and META/tree.sha256.

    Sealing a sealed tree again changes nothing.
    """
    try:
        os.makedirs(os.path.join(root, "META"), exist_ok=True)
        for name in (ENTRIES, SUMS):
            if os.path.lexists(os.path.join(root, name)):
                os.unlink(os.path.join(root, name))
        found = scan(root)
        _refuse(root, found)
        for raw, facts in found:
            if not stat.S_ISLNK(facts.st_mode) and stat.S_IMODE(facts.st_mode) != normal_mode(facts.st_mode):
                os.chmod(os.path.join(os.fsencode(root), raw), normal_mode(facts.st_mode))
        lines = ["\t".join(entry) + "\n" for entry in _entries(_read(root))]
        _write(_path(root, ENTRIES), "".join(_by_bytes(lines)))
        digests = _digests(root, _read(root).files)
        sums = "".join(f"{digests[name]}  {name}\n" for name in _by_bytes(digests))
        _write(_path(root, SUMS), sums)
        files = _read(root).files
    except OSError as exc:
        raise ContainerlessError(f"can't seal the tree {shown(root)}: {exc.strerror or exc}") from None
    return TreeSummary(
        sha256=hashlib.sha256(sums.encode("utf-8")).hexdigest(),
        files=len(files),
        bytes=sum(facts.st_size for facts in files.values()),
    )


def _refuse(root: str, found: list[tuple[bytes, os.stat_result]]) -> None:
    names = Names()
    for raw, facts in found:
        fault = _fault(root, raw, facts, names)
        if fault:
            name = raw.decode("utf-8", "backslashreplace")
            raise ContainerlessError(f"{shown(name)} can't be in an artifact: it {fault}")


def _fault(root: str, raw: bytes, facts: os.stat_result, names: Names) -> str | None:
    """Say what forbids an entry of the tree, or None."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "has a name that is not UTF-8"
    fault = name_fault(name)
    path = os.path.join(os.fsencode(root), raw)
    if fault or name in HOST_FILES:
        return fault or "is written on each host"
    if stat.S_ISLNK(facts.st_mode):
        kind = "link"
        try:
            fault = link_fault(name, os.readlink(path).decode("utf-8"))
        except UnicodeDecodeError:
            fault = "is a link to a path that is not UTF-8"
    elif stat.S_ISDIR(facts.st_mode):
        kind = "directory"
    elif stat.S_ISREG(facts.st_mode):
        kind = "file"
        # A directory may have inherited setgid from where the build stands; a program got it on purpose.
        fault = "has a setuid or setgid bit" if facts.st_mode & (stat.S_ISUID | stat.S_ISGID) else None
    else:
        return "is neither file, directory nor link"
    return fault or names.fault(name, kind) or _secret_fault(name, kind, path)


def _secret_fault(name: str, kind: str, path: bytes) -> str | None:
    """Say what looks like a secret or a repository inside app/, or None; packages ship certificates and test keys."""
    if not name.startswith("app/"):
        return None
    last = name.rpartition("/")[2]
    way_out = "; take it out of the repository, or give it the attribute export-ignore in .gitattributes"
    if last == ".git":
        return "is part of a repository" + way_out
    if kind == "file" and (_ENV_NAMES.fullmatch(last) or _KEY_NAMES.fullmatch(last.lower()) or _holds_key(last, path)):
        return "looks like a secret" + way_out
    if kind == "file" and _begins(path, _POINTER):
        return "is a pointer of git-lfs and not the file; commit the file itself, or exclude it in [tool.containerless]"
    return None


def _begins(path: bytes, text: bytes) -> bool:
    with open(path, "rb") as source:
        return source.read(len(text)) == text


def _holds_key(last: str, path: bytes) -> bool:
    """Whether a file starts as a private key, or is a .pem that is more than certificates."""
    with open(path, "rb") as source:
        if not last.lower().endswith(".pem"):
            return bool(_PRIVATE_KEY.match(source.read(256).lstrip()))
        data = source.read()
    return _CERTIFICATE not in data or bool(_PRIVATE_KEY.search(data))


def verify(root: str, sha256: str) -> list[str]:
    """Return what differs from the tree as it was sealed, one printable line each; empty means whole.

    The files of HOST_FILES may be there, as the kind of file that they are; what stands in them depends on the host.
    """
    try:
        sums = b"".join(_chunks(_path(root, SUMS)))
        if hashlib.sha256(sums).hexdigest() != sha256:
            return [f"{SUMS}: changed"]
        tree, owner = _read(root), os.lstat(root)
        drift = _drift_of_modes(tree, owner)
        for name in HOST_FILES:
            tree.files.pop(name, None)
            tree.links.pop(name, None)
        sealed = parse_sums(sums)
        drift += _drift_of_files(root, tree, sealed)
        drift += _drift_of_entries(root, tree, sealed.get(ENTRIES))
    except OSError as exc:
        return [f"{shown(exc.filename or root)}: {exc.strerror or exc}"]
    return sorted(line if line.isprintable() else shown(line)[1:-1] for line in drift)


def parse_sums(sums: bytes) -> dict[str, str]:
    """Return path and SHA-256 of each file that a META/tree.sha256 lists; its own digest has to be checked before."""
    lines = [_LINE.fullmatch(line) for line in sums.decode("utf-8", "backslashreplace").split("\n")]
    return {line.group(2): line.group(1) for line in lines if line}


def _drift_of_modes(tree: _Tree, owner: os.stat_result) -> list[str]:
    drift = [f"{name}: is neither file, directory nor link" for name in tree.special]
    for name, facts in (("", owner), *tree.directories.items(), *tree.files.items()):
        mode = stat.S_IMODE(facts.st_mode)
        if mode != normal_mode(facts.st_mode):
            drift.append(f"{name or '.'}: has mode {mode:04o}")
        if facts.st_uid != owner.st_uid:
            drift.append(f"{name}: belongs to user {facts.st_uid}")
    drift += [f"{name}: became a program" for name in HOST_FILES[:1] if _is_program(tree.files.get(name))]
    drift += [f"{name}: is not a link" for name in HOST_FILES[1:] if name in tree.files]
    drift += [f"{name}: is a link" for name in HOST_FILES[:1] if name in tree.links]
    return drift


def _is_program(facts: os.stat_result | None) -> bool:
    return facts is not None and bool(facts.st_mode & 0o111)


def _drift_of_files(root: str, tree: _Tree, sealed: dict[str, str]) -> list[str]:
    here = tree.files.keys() - {SUMS}
    digests = _digests(root, here & sealed.keys())
    drift = [f"{name}: changed" for name, digest in digests.items() if digest != sealed[name]]
    drift += [f"{name}: missing" for name in sealed.keys() - here]
    return drift + [f"{name}: was not sealed" for name in here - sealed.keys()]


def _drift_of_entries(root: str, tree: _Tree, sha256: str | None) -> list[str]:
    """Compare what META/entries says; one that is missing or changed says nothing, and has been reported before."""
    if sha256 is None:
        return [f"{ENTRIES}: was never sealed"]
    text = b"".join(_chunks(_path(root, ENTRIES))) if ENTRIES in tree.files else b""
    if hashlib.sha256(text).hexdigest() != sha256:
        return []
    sealed = {tuple(line.split("\t")) for line in text.decode("utf-8", "backslashreplace").split("\n")[:-1]}
    here = set(_entries(tree))
    words = {"d": "directory", "x": "program", "l": "link"}
    return [
        *(f"{_named(entry)}: no longer the sealed {words.get(entry[0], 'line')}" for entry in sealed - here),
        *(f"{entry[1]}: became a {words[entry[0]]}" for entry in here - sealed),
    ]


def _named(entry: tuple[str, ...]) -> str:
    return entry[1] if len(entry) > 1 else ENTRIES
