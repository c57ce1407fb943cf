# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel refused to a program, out of what strace(1) wrote down. Pure: text in, facts out.

Read is the output of `strace -f -Y -y -e status=failed`: whole lines of calls that failed, and how each process ended.
Nothing of a call is kept but what names the thing that was refused: no buffer, no argument of a program.
"""

from __future__ import annotations

import posixpath
import re
import typing as t
from dataclasses import dataclass, field

_LINE = re.compile(r"^(?P<pid>\d+)(?:<(?P<process>[^>]*)>)?\s+(?P<call>\w+)\((?P<words>.*)\)\s+= -1 (?P<errno>E\w+) ")
_END = re.compile(r"^(?P<pid>\d+)(?:<[^>]*>)?\s+\+\+\+ (?:exited with (?P<code>\d+)|killed by (?P<signal>\w+))")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FOLDER = re.compile(r"^(?:AT_FDCWD|\d+)<(?P<path>/[^>]*)>, \"")
_FILE = re.compile(r"\b\d+<(?P<path>/[^>]*)>")
_FAMILY = re.compile(r"^(AF_\w+)")
_PEER = re.compile(r'sin6?_port=htons\((?P<port>\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )"(?P<host>[^"]+)"')
_UNIX = re.compile(r'sun_path=(?P<abstract>@?)"(?P<path>(?:[^"\\]|\\.)*)"')
_FLAG = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b")
_MODE = re.compile(r"\b0[0-7]{3,5}\b")

_SOCKETS = ("socket", "socketpair")
_PEERS = ("connect", "sendto", "sendmsg", "sendmmsg", "bind")
#: Calls on a file by its name that change something, whatever their flags say.
_CHANGING = frozenset(
    {
        *("chmod", "chown", "creat", "fchmodat", "fchmodat2", "fchownat", "futimesat", "lchown", "link", "linkat"),
        *(
            "mkdir",
            "mkdirat",
            "mknod",
            "mknodat",
            "removexattr",
            "rename",
            "renameat",
            "renameat2",
            "rmdir",
            "setxattr",
        ),
        *("symlink", "symlinkat", "truncate", "unlink", "unlinkat", "utime", "utimensat", "utimes"),
    }
)
_WRITING = frozenset(("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "W_OK"))


@dataclass(frozen=True)
class Refusal:
    """A call that failed. `subject` is what it was about: a path, a family, a peer; empty where nothing was named."""

    process: str
    call: str
    errno: str
    subject: str = ""
    kind: str = "call"
    writes: bool = False
    #: Words in capitals (PROT_EXEC, CLONE_NEWUSER) and set-id bits as "set-id": what a directive looks at.
    flags: frozenset[str] = field(default_factory=frozenset)


def read(lines: t.Iterable[str]) -> list[Refusal]:
    """Return what was refused, each once, in the order in which it first was."""
    matches = (_LINE.match(line) for line in lines)
    return list(dict.fromkeys(_refusal(match) for match in matches if match))


def ended(lines: t.Iterable[str], pid: int) -> str:
    """Return how a process ended: "0", "1", "SIGKILL"; empty while nobody knows."""
    for line in lines:
        match = _END.match(line)
        if match and int(match["pid"]) == pid:
            return match["code"] or match["signal"]
    return ""


def _refusal(match: t.Match[str]) -> Refusal:
    call, words = match["call"], match["words"]
    kind, subject = _subject(call, words)
    flags = set(_FLAG.findall(_TEXT.sub("", words)))
    if any(int(mode, 8) & 0o6000 for mode in _MODE.findall(_TEXT.sub("", words))):
        flags.add("set-id")
    writes = call in _CHANGING or bool(flags & _WRITING)
    return Refusal(match["process"] or "?", call, match["errno"], subject, kind, writes, frozenset(flags))


def _subject(call: str, words: str) -> tuple[str, str]:
    if call in _SOCKETS:
        family = _FAMILY.match(words)
        return "family", family[1] if family else "unknown"
    if call in _PEERS:
        return _peer(words)
    text = _TEXT.search(words)
    if text and (call in _CHANGING or words.startswith('"') or _FOLDER.match(words)):
        return "path", _path(words, _unescaped(text[1]))
    file = _FILE.search(words)
    return ("path", file["path"]) if file else ("call", "")


def _peer(words: str) -> tuple[str, str]:
    unix, peer = _UNIX.search(words), _PEER.search(words)
    if unix:
        return ("abstract", _unescaped(unix["path"])) if unix["abstract"] else ("unix", _unescaped(unix["path"]))
    if peer:
        host = f"[{peer['host']}]" if ":" in peer["host"] else peer["host"]
        return "peer", f"{host}:{peer['port']}"
    return "call", ""


def _path(words: str, name: str) -> str:
    folder = _FOLDER.match(words)
    return posixpath.normpath(posixpath.join(folder["path"], name) if folder else name) if name else ""


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text)
