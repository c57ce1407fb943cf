# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives archives to the reader and says what became of it: refused, taken, crashed, or out of its folder."""

from __future__ import annotations

import copy
import hashlib
import io
import os
import re
import shutil
import stat
import sys
import tempfile
import typing as t
from pathlib import Path

from ...plugins.module_utils._artifact import tar, tree, unpack
from ...plugins.module_utils._core.errors import ContainerlessError
from .archives import Item, archive

ROOMY = tar.Size(1000, 1_000_000)
_SHA = "0123456789abcdef" * 4
_SENTENCE = 600

#: Class of a refusal, and what its sentence says; the first that fits.
REASONS = [
    ("a path that leaves the tree, or no path", r"absolute path|has '\.\.'|empty part|single dot"),
    ("a link that leaves the tree", r"is a link to|'\.\.' after a name"),
    ("a name with control characters or no UTF-8", r"control character|not UTF-8"),
    ("a name that is too long or too deep", r"has a path of more than|File name too long"),
    ("a member twice, or a twin of another", r"stands there twice|differs from .* only in"),
    ("a member in no folder, or below a file or link", r"stands in no directory|stands below"),
    ("hard link, device, fifo, sparse, foreign type", r"is a (hard|char|block|fifo|sparse|global|GNU)|unknown type"),
    ("setuid, setgid, sticky, or another mode", r"setuid|has the mode"),
    ("more than the manifest names", r"more than the|is longer than"),
    ("a PAX header that does not belong there", r"PAX"),
    ("a foreign header, or a number that is none", r"no POSIX header|octal|says more than"),
    ("another order or time", r"out of order|another time"),
    ("damaged header", r"damaged header"),
    ("data where none belongs", r"belong to no member|with content|data after its end"),
    ("an end before the end", r"in the middle of|ends before"),
    ("damaged compression", r"is damaged"),
    ("another digest than the manifest's", r"SHA-256|says otherwise"),
    ("another tree than the one sealed", r"was sealed"),
    ("a tree without venv, or with a host's files", r"has no folder|File exists"),
]


def memory() -> str | None:
    """Return the folder whose files stand in memory, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Hang(BaseException):
    """One input took too long; no OSError, which the reader may catch."""


class Verdict(t.NamedTuple):
    """`kind` is accepted, refused, crash or escape; `why` a sentence."""

    kind: str
    why: str

    @property
    def reason(self) -> str:
        """The class of a refusal."""
        return next((name for name, words in REASONS if re.search(words, self.why)), "another reason")


class Jail:
    """A folder with sentinels around the one that the reader writes to.

    The working folder of the process is moved there, so that an absolute path through /proc/self/cwd is seen too.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._was = os.getcwd()
        self.base = Path(tempfile.mkdtemp(prefix="containerless-fuzz-", dir=folder or memory()))
        self.base.chmod(0o755)
        (self.base / "sentinel").write_text("untouched")
        (self.base / "folder").mkdir()
        (self.base / "folder/file").write_text("untouched")
        (self.base / "way").symlink_to("folder")
        self.inside = self.base / "inside"
        self.inside.mkdir()
        (self.inside / "sentinel").write_text("untouched")
        self.dest = self.inside / "dest"
        os.chdir(self.base)
        self._before = self._around()

    def close(self) -> None:
        """Go back to the folder that was the working one; remove all."""
        os.chdir(self._was)
        shutil.rmtree(self.base)

    def _around(self) -> dict[str, tuple[t.Any, ...]]:
        """Return all that stands around the target, with what a write would change."""
        found: dict[str, tuple[t.Any, ...]] = {}
        todo = [self.base]
        while todo:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.path == str(self.dest):
                        continue
                    facts = entry.stat(follow_symlinks=False)
                    found[entry.path] = (facts.st_mode, facts.st_ino)
                    # What else is known of the folder that the target stands in changes with it.
                    if entry.path != str(self.inside):
                        found[entry.path] += (facts.st_nlink, facts.st_size, facts.st_mtime_ns)
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(Path(entry.path))
        return found

    def _escape(self, links_out: t.Collection[str] = ()) -> str:
        """Say what the reader did where it should not have, or nothing."""
        if self._around() != self._before:
            return "something around the target was written to"
        if not os.path.lexists(self.dest):
            return ""
        top = os.path.realpath(self.dest)
        for raw, facts in tar.scan(str(self.dest)):
            path = os.path.join(os.fsencode(top), raw)
            if stat.S_ISLNK(facts.st_mode):
                # A link to itself leads nowhere, and realpath says so by leaving it as it is.
                real = os.path.realpath(path)
                if not (real + b"/").startswith(os.fsencode(top) + b"/") and os.fsdecode(raw) not in links_out:
                    return f"{tar.shown(raw)} leads out of the target"
            elif not (stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1) and not stat.S_ISDIR(facts.st_mode):
                return f"{tar.shown(raw)} is neither a file of its own nor a directory"
            elif facts.st_mode & 0o7022:
                return f"{tar.shown(raw)} has mode {stat.S_IMODE(facts.st_mode):o}"
        return ""

    def _judged(self, deed: t.Callable[[], str], links_out: t.Callable[[], t.Collection[str]] = tuple) -> Verdict:
        try:
            fault = deed()
            verdict = Verdict("crash", fault) if fault else Verdict("accepted", "")
        except ContainerlessError as exc:
            verdict = Verdict("refused", str(exc))
            if not verdict.why.isprintable() or len(verdict.why) > _SENTENCE:
                verdict = Verdict("crash", f"a refusal that is no plain sentence: {verdict.why[:80]!r}")
        except (Exception, Hang) as exc:  # noqa: BLE001 - this is what we look for
            verdict = Verdict("crash", f"{type(exc).__name__}: {exc}")
        escape = self._escape(links_out())
        return Verdict("escape", escape) if escape else verdict

    def _clear(self) -> None:
        shutil.rmtree(self.dest, ignore_errors=True)

    def extract(self, data: bytes) -> Verdict:
        """Give a tar to the reader. What it takes must be, byte for byte, what the writer makes of what came out."""

        def deed() -> str:
            tar.extract(io.BytesIO(data), str(self.dest), ROOMY)
            again = io.BytesIO()
            tar.write_tar(str(self.dest), again, mtime=_mtime(data))
            return "" if again.getvalue() == data else "taken, but the writer makes other bytes of it"

        self._clear()
        return self._judged(deed)

    def forged(self, good: Good, data: bytes, *, whole: bool) -> dict[str, t.Any]:
        """Return a manifest for this tar: of the good tree, as far as a tar can be forged, or of its own one."""
        manifest = {**good.manifest, "tar": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}
        self._clear()
        try:
            size = tar.extract(io.BytesIO(data), str(self.dest), ROOMY)
            sums = (self.dest / tree.SUMS).read_bytes()
        except Exception:  # noqa: BLE001 - installing it says what is wrong
            return manifest
        sha256 = hashlib.sha256(sums).hexdigest() if whole else good.manifest["tree"]["sha256"]
        return {**manifest, "tree": {"sha256": sha256, "files": size.files, "bytes": size.bytes}}

    def install(self, blob: bytes, encoding: str, manifest: dict[str, t.Any], listing: t.Any) -> Verdict:
        """Give a blob to the unpacker. A tree that it takes must be the one that `listing` says; None: any."""
        final: list[Path] = []

        def deed() -> str:
            # The program that reads zstd wants a file.
            with os.fdopen(os.memfd_create("blob"), "w+b") as file:
                file.write(blob)
                file.seek(0)
                facts: dict[str, t.Any] = {"manifest": manifest, "trees": str(self.dest), "interpreter": sys.executable}
                unpack.install(file, encoding=encoding, **facts)
            final.extend(self.dest.iterdir())
            found = {name: facts for name, facts in listed(final[0]).items() if name not in tree.HOST_FILES}
            return "" if listing in (found, None) and len(final) == 1 else "verified, but not the tree that was sealed"

        def hosts() -> list[str]:
            if final:
                return [f"{final[0].name}/{name}" for name in tree.HOST_FILES]
            left = list(self.dest.iterdir()) if self.dest.is_dir() else []
            return ["left behind"] if left else []

        self._clear()
        verdict = self._judged(deed, hosts)
        if verdict.kind == "refused" and self.dest.is_dir() and os.listdir(self.dest):
            return Verdict("escape", "a refused artifact left something behind")
        return verdict


def _mtime(data: bytes) -> int:
    """Return the time in the first header of an archive that was taken; PAX headers have none of their own."""
    start = 0
    while data[start + 156 : start + 157] == b"x":
        start += 512 + (int(data[start + 124 : start + 135], 8) + 511) // 512 * 512
    return int(data[start + 136 : start + 147].strip(b"\0") or b"0", 8)


def listed(root: Path) -> dict[str, tuple[int, str | bytes]]:
    """Return mode and content (of links the target) of all that stands below a folder."""
    found: dict[str, tuple[int, str | bytes]] = {}
    for raw, facts in tar.scan(str(root)):
        name = os.fsdecode(raw)
        path = root / name
        if stat.S_ISLNK(facts.st_mode):
            found[name] = (0, os.readlink(path))
        else:
            found[name] = (stat.S_IMODE(facts.st_mode), b"" if path.is_dir() else path.read_bytes())
    return found


class Good(t.NamedTuple):
    """A whole artifact: its members, tar, manifest, and what its tree holds."""

    items: list[Item]
    tar: bytes
    manifest: dict[str, t.Any]
    listing: dict[str, tuple[int, str | bytes]]


def make_good(folder: Path, manifest: dict[str, t.Any]) -> Good:
    """Seal a small tree with everything that an artifact may hold, and take it apart into members."""
    root = folder / "tree"
    for name, content in {
        "app/file": "abc",
        "app/manage.py": "#!python\n",
        "app/ünï.txt": "x" * 513,
        "venv/bin/gunicorn": "#!python\n",
        f"venv/{'l' * 60}/{'o' * 60}": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    (root / "venv/bin/gunicorn").chmod(0o755)
    (root / "link").symlink_to("app")
    (root / "app/up").symlink_to("../venv")
    (root / "void").mkdir()
    sealed = tree.seal(str(root))
    out = io.BytesIO()
    tar.write_tar(str(root), out, mtime=1)
    told = copy.deepcopy(manifest)
    told["tar"] = {"sha256": hashlib.sha256(out.getvalue()).hexdigest(), "size": len(out.getvalue())}
    told["tree"] = {"sha256": sealed.sha256, "files": sealed.files, "bytes": sealed.bytes}
    items = [_item(root, os.fsdecode(raw), facts) for raw, facts in tar.scan(str(root))]
    assert archive(items) == out.getvalue(), "the fuzzer's archives are not the writer's"
    return Good(items, out.getvalue(), told, listed(root))


def _item(root: Path, name: str, facts: os.stat_result) -> Item:
    if stat.S_ISLNK(facts.st_mode):
        return Item(name.encode(), b"2", target=os.readlink(root / name).encode(), mode=0o777)
    if stat.S_ISDIR(facts.st_mode):
        return Item(name.encode() + b"/", b"5", mode=0o755)
    return Item(name.encode(), b"0", (root / name).read_bytes(), mode=stat.S_IMODE(facts.st_mode))
