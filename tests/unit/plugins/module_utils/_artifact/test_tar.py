# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import stat
import subprocess
import tarfile
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import tar
from ansible_collections.containerless.django.plugins.module_utils._artifact.tar import Size
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.tests.fuzz.archives import Item, archive as archive_of
from hypothesis import HealthCheck, given, settings, strategies as st

GOLDEN = "e1936570a311a17d1b0f6b3243184a8708652b40d347eeeaabf0875748ade792"
MTIME = 1_700_000_000
ROOMY = Size(1000, 1_000_000)
PROPERTY = settings(database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = "d" * 60 + "/" + "e" * 60


def make(root: Path) -> Path:
    """A tree with all that an artifact may hold."""
    for name, content in {
        "app/manage.py": "print()\n",
        "app/a-b": "x" * 512,
        "app/a/b": "y" * 513,
        "app/ünï.txt": "ü",
        f"app/{LONG}": "long",
        "empty": "",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (root / "app/void").mkdir()
    (root / "app/manage.py").chmod(0o700)
    (root / "link").symlink_to("app/manage.py")
    (root / "app/up").symlink_to("../static")
    (root / "app/far").symlink_to(LONG)
    return root


def packed(root: Path) -> bytes:
    out = io.BytesIO()
    tar.write_tar(str(root), out, mtime=MTIME)
    return out.getvalue()


def extracted(data: bytes, dest: Path, limits: Size = ROOMY) -> Size:
    return tar.extract(io.BytesIO(data), str(dest), limits)


def listing(root: Path) -> dict[str, tuple[int, str | bytes]]:
    found: dict[str, tuple[int, str | bytes]] = {}
    for raw, facts in tar.scan(str(root)):
        path = root / os.fsdecode(raw)
        content = os.readlink(path) if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
        found[os.fsdecode(raw)] = (0 if path.is_symlink() else stat.S_IMODE(facts.st_mode), content)
    return found


def test_the_bytes_are_golden(tmp_path: Path) -> None:
    assert hashlib.sha256(packed(make(tmp_path))).hexdigest() == GOLDEN


class Backwards:
    """os.scandir in the reverse order of the names."""

    scandir = staticmethod(os.scandir)

    def __init__(self, path: t.Any) -> None:
        with self.scandir(path) as entries:
            self._entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

    def __enter__(self) -> t.Any:
        return iter(self._entries)

    def __exit__(self, *_: object) -> None: ...


@contextlib.contextmanager
def umask(mask: int) -> t.Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_the_bytes_depend_on_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = packed(make(tmp_path / "one"))
    with umask(0o077):
        other = make(tmp_path / "another/two")
    os.utime(other / "empty", (1, 1))
    monkeypatch.setattr(os, "scandir", Backwards)
    assert packed(other) == one


def test_a_tree_comes_back_with_normal_modes_and_times(tmp_path: Path) -> None:
    source, dest = make(tmp_path / "source"), tmp_path / "dest"
    mask = os.umask(0o077)
    try:
        assert extracted(packed(source), dest) == Size(6, 8 + 512 + 513 + 2 + 4)
    finally:
        os.umask(mask)
    before, after = listing(source), listing(dest)
    assert {name: facts[1] for name, facts in before.items()} == {name: facts[1] for name, facts in after.items()}
    modes = {name: mode for name, (mode, _) in after.items() if mode}
    assert {name for name, mode in modes.items() if mode == 0o755 and not (dest / name).is_dir()} == {"app/manage.py"}
    assert set(modes.values()) == {0o755, 0o644}
    assert stat.S_IMODE(dest.stat().st_mode) == 0o755
    assert (dest / "empty").stat().st_mtime == MTIME
    assert packed(dest) == packed(source)


def test_other_tools_read_it_too(tmp_path: Path) -> None:
    data = packed(make(tmp_path / "source"))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name: member for member in archive}
    assert members[f"app/{LONG}"].size == 4
    assert all((m.uid, m.gid, m.uname, m.gname, m.mtime) == (0, 0, "", "", MTIME) for m in members.values())
    (tmp_path / "gnu").mkdir()
    subprocess.run(["tar", "-x", "-C", tmp_path / "gnu"], input=data, check=True)
    extracted(data, tmp_path / "dest")
    assert listing(tmp_path / "gnu") == listing(tmp_path / "dest")


# Hostile archives. `extra` follows a good folder, file and link.
def info(name: str, **facts: t.Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode = 0o644
    for key, value in facts.items():
        setattr(member, key, value)
    return member


GOOD = [
    (info("app", type=tarfile.DIRTYPE, mode=0o755), b""),
    (info("app/file", size=3), b"abc"),
    (info("link", type=tarfile.SYMTYPE, mode=0o777, linkname="app"), b""),
]


def archive(*extra: tarfile.TarInfo | bytes, content: bytes = b"", form: t.Any = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    for member, data in GOOD:
        out.write(member.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512))
    for item in extra:
        out.write(item if isinstance(item, bytes) else item.tobuf(form, "utf-8", "surrogateescape"))
    out.write(content + bytes(-len(content) % 512) + bytes(1024))
    return out.getvalue() + bytes(-len(out.getvalue()) % tarfile.RECORDSIZE)


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    return info("pax", type=kind, size=len(records)).tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512)


HOSTILE = [
    (archive(info("/etc/passwd")), "'/etc/passwd' has an absolute path"),
    (archive(info("../evil")), r"'../evil' has '\.\.'"),
    (archive(info("app/../../evil")), r"has '\.\.'"),
    (archive(info("app//x")), "has an empty part"),
    (archive(info("./x")), "single dot"),
    (archive(info("x/")), "has an empty part"),
    (archive(info("")), "has an empty part"),
    (archive(info("/", type=tarfile.DIRTYPE)), "has an empty part"),
    (archive(info("hard", type=tarfile.LNKTYPE, linkname="app/file")), "'hard' is a hard link"),
    (archive(info("dev", type=tarfile.CHRTYPE)), "is a character device"),
    (archive(info("dev", type=tarfile.BLKTYPE)), "is a block device"),
    (archive(info("pipe", type=tarfile.FIFOTYPE)), "is a fifo"),
    (archive(info("s", type=tarfile.GNUTYPE_SPARSE)), "is a sparse file"),
    (archive(info("s", type=b"7")), "is of the unknown type"),
    (archive(info("x" * 120), form=tarfile.GNU_FORMAT), "has no POSIX header"),
    (archive(pax(b"20 comment=something", b"g")), "is a global PAX header"),
    (archive(pax(b"22 GNU.sparse.major=1\n"), info("s")), "PAX record 'GNU.sparse.major'"),
    (archive(pax(b"12 size=999\n"), info("s")), "PAX record 'size'"),
    (archive(pax(b"9 path=x\n9 path=y\n"), info("s")), "PAX record 'path'"),
    (archive(pax(b"99 path=x\n"), info("s")), "damaged PAX header"),
    (archive(pax(b"0 path=x\n"), info("s")), "damaged PAX header"),
    (archive(pax(b"path\n"), info("s")), "damaged PAX header"),
    (archive(pax(b"9 path=x\n"), pax(b"9 path=x\n"), info("s")), "PAX header without a member"),
    (archive(info("pax", type=b"x", size=1 << 20)), "PAX header of 1048576 bytes"),
    (archive(pax(b"15 path=/etc/x\n"), info("s")), "has an absolute path"),
    (archive(pax(b"13 path=a\0bc\n"), info("s")), "control character"),
    (archive(pax(b"20 linkpath=../../x\n"), info("s", type=tarfile.SYMTYPE)), "outside of the tree"),
    (archive(info("app/file")), "'app/file' stands there twice"),
    (archive(info("app", type=tarfile.DIRTYPE)), "'app' stands there twice"),
    (archive(info("app/FILE")), "differs from 'app/file' only in upper and lower case"),
    (archive(info("ÄPP"), info("äpp")), "only in upper and lower case"),
    (archive(info("straße"), info("strasse")), "only in upper and lower case"),
    (archive(info("\u00e9"), info("e\u0301")), "differs from '\u00e9' only in how Unicode writes its letters"),
    (archive(info("\u212b"), info("a\u030a")), "only in how Unicode writes its letters"),
    (archive(info("\u1e9b\u0323"), info("\u1e9b\u0323".casefold())), "only in upper and lower case"),
    (archive(info("bin", mode=0o4755)), "setuid, setgid or sticky"),
    (archive(info("bin", mode=0o2755)), "setuid, setgid or sticky"),
    (archive(info("bin", mode=0o1777, type=tarfile.DIRTYPE)), "setuid, setgid or sticky"),
    (archive(info("a\nb")), "control character"),
    (archive(info("a\x1b[2Jb")), "control character"),
    (archive(info("a\x9bb")), "control character"),
    (archive(info("a\\b")), "backslash"),
    (archive(info("txt.\u202eexe")), "control character"),
    (archive(info("a\u2066b")), "control character"),
    (archive(info("a\udcffb"), form=tarfile.USTAR_FORMAT), "not UTF-8"),
    (archive(info("a", type=tarfile.SYMTYPE, linkname="\udcff"), form=tarfile.USTAR_FORMAT), "not UTF-8"),
    (archive(info("app/file/x")), "stands below 'app/file', which is a file"),
    (archive(info("link/x")), "stands below 'link', which is a link"),
    (archive(info("link/x", type=tarfile.DIRTYPE)), "stands below 'link', which is a link"),
    (archive(info("nowhere/x")), "stands in no directory"),
    (archive(info("l", type=tarfile.SYMTYPE, linkname="/etc")), "is a link to the absolute"),
    (archive(info("l", type=tarfile.SYMTYPE, linkname="")), "is a link to the absolute or empty"),
    (archive(info("l", type=tarfile.SYMTYPE, linkname="..")), "outside of the tree"),
    (archive(info("app/l", type=tarfile.SYMTYPE, linkname="../../x")), "outside of the tree"),
    (archive(info("app/l", type=tarfile.SYMTYPE, linkname=".././../x")), "outside of the tree"),
    (archive(info("l", type=tarfile.SYMTYPE, linkname="app/../../x")), r"has '\.\.' after a name"),
    (archive(info("l", type=tarfile.SYMTYPE, linkname="link/../x")), r"has '\.\.' after a name"),
    (archive(info("l", type=tarfile.SYMTYPE, linkname="a\nb")), "control character or a backslash"),
    (archive(info("d", type=tarfile.DIRTYPE, size=5), content=b"12345"), "is a directory with content"),
    (archive(info("big", size=1_000_000), content=b"x"), "'big' is more than the 1000 files and 1000000 bytes"),
    (archive(info("big", size=8**11 - 1), content=b"x"), "is more than the"),
    (archive(info("big", size=8**11), form=tarfile.GNU_FORMAT), "has no POSIX header"),
    (archive(info("z", size=900_000), content=b"x"), "ends after 'z', in the middle of its content"),
    (archive(info("z", size=1), content=b"xy"), "'z' is followed by bytes that belong to no member"),
    (archive(info("z", linkname="app")), "'z' has a header that says more"),
    (archive(info("z", uid=1)), "says more"),
    (archive(info("z", gid=1)), "says more"),
    (archive(info("z", uname="root")), "says more"),
    (archive(pax(b"11 path=zz\n"), info("z")), "says more"),
    (archive(info("z", mode=0o600)), "'z' has the mode 0600, which no file"),
    (archive(info("z", mode=0o644, type=tarfile.DIRTYPE)), "'z' has the mode 0644, which no directory"),
    (archive(info("z", mode=0o755, type=tarfile.SYMTYPE, linkname="app")), "'z' has the mode 0755, which no link"),
    (archive(info("z", mtime=1)), "'z' has another time than the members before it"),
    (archive(info("k")), "'k' stands after 'link', out of order"),
    (archive() + b"x", "data after its end"),
    (archive() + bytes(10240), "data after its end"),
    (archive()[:-512], "ends after 'link', in the middle of its end"),
    (archive()[:1100], "ends after 'app/file', in the middle of its content"),
    (archive()[:100], "ends at its start, in the middle of a header"),
    (b"", "ends at its start, in the middle of a header"),
    (b"\x1f\x8b" + bytes(1000), "damaged header|octal"),
    (archive(info("x" * 99 + "/" + "y" * 300)), "stands in no directory"),
    (archive(info("y" * 300)), "can't unpack 'yyy.*File name too long"),
    (archive(info("y" * 1025)), "'yyy.* has a path of more than 100 parts or 1024 bytes"),
    (archive(info("ü" * 513)), "has a path of more than 100 parts or 1024 bytes"),
    (archive(info("/".join("d" * 101))), "'d/d.* has a path of more than 100 parts"),
    (archive(info("d/" * 30_000 + "d")), "'d/d.* has a path of more than 100 parts"),
    (archive(info("d" * 70_000)), "PAX header of 70012 bytes after 'link'"),
    (archive(info("s", type=tarfile.GNUTYPE_SPARSE, size=10 * 2**30), form=tarfile.GNU_FORMAT), "'s' has no POSIX"),
    (archive(pax(b"26 GNU.sparse.name=/etc/x\n"), info("s")), "PAX record 'GNU.sparse.name' after 'link'"),
    (archive(pax(b"31 GNU.sparse.realsize=1000000\n"), info("s")), "PAX record 'GNU.sparse.realsize'"),
    (archive(info("big", size=10 * 2**30), form=tarfile.GNU_FORMAT), "'big' has no POSIX header"),
    (archive(pax(b"20 size=10737418240\n"), info("big", size=1)), "PAX record 'size' after 'link'"),
    (archive(info("k" * 101, type=tarfile.SYMTYPE, linkname="x"), form=tarfile.GNU_FORMAT), "has no POSIX header"),
    (archive(info("hard", type=tarfile.LNKTYPE, linkname="/etc/passwd")), "'hard' is a hard link"),
    (
        archive(info("way", type=tarfile.SYMTYPE, mode=0o777, linkname="app"), info("way/evil")),
        "'way/evil' stands below 'way', which is a link",
    ),
    (
        archive(
            info("one", type=tarfile.SYMTYPE, mode=0o777, linkname="app"),
            info("two", type=tarfile.SYMTYPE, mode=0o777, linkname="one/.."),
        ),
        r"'two' is a link to 'one/..', which has '..' after a name",
    ),
    (archive(info("link", type=tarfile.SYMTYPE, mode=0o777, linkname="/etc")), "'link' is a link to the absolute"),
    (archive(info("app", size=1), content=b"x"), "'app' stands there twice"),
]


@pytest.mark.parametrize(("data", "reason"), HOSTILE, ids=[reason for _, reason in HOSTILE])
def test_hostile_archives_are_refused_in_one_sentence_and_stay_inside(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "jail").mkdir()
    with pytest.raises(ContainerlessError, match=reason) as caught:
        extracted(data, tmp_path / "jail/dest")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    # It names a member, the one before, or there is none.
    assert re.search(r"(?<!\w)'|at its start|after its end", str(caught.value))
    assert os.listdir(tmp_path) == ["jail"]
    assert set(os.listdir(tmp_path / "jail")) <= {"dest"}


@pytest.mark.parametrize("field", [slice(100, 108), slice(124, 136), slice(136, 148), slice(148, 156)])
def test_numbers_are_octal(field: slice, tmp_path: Path) -> None:
    block = bytearray(info("x").tobuf(tarfile.USTAR_FORMAT))
    block[field] = b"\x80" + bytes(len(block[field]) - 1)
    if field.start != 148:
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(ContainerlessError, match="not an octal number"):
        extracted(archive(bytes(block)), tmp_path / "dest")


@pytest.mark.parametrize("limits", [Size(0, 1000), Size(1000, 2)])
def test_limits_of_the_manifest_hold(limits: Size, tmp_path: Path) -> None:
    with pytest.raises(ContainerlessError, match=f"more than the {limits.files} files and {limits.bytes} bytes"):
        extracted(archive(), tmp_path / "dest", limits)
    assert not (tmp_path / "dest/app/file").exists()


def test_what_stands_there_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "dest").symlink_to("real")
    with pytest.raises(ContainerlessError, match="can't unpack .*dest.*File exists"):
        extracted(archive(), tmp_path / "dest")
    assert not list((tmp_path / "real").iterdir())


@pytest.mark.parametrize("link", [True, False])
def test_a_file_is_made_and_never_opened(link: bool, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    path = tmp_path / ("link" if link else "old")
    if link:
        path.symlink_to("old")
    member = tar.Member(b"x", "file", 0o644, 3, 0, b"")
    with pytest.raises(FileExistsError):
        tar._extract_file(tar._Source(io.BytesIO(b"new" + bytes(509))), os.fsencode(path), "x", member)
    assert (tmp_path / "old").read_text() == "old"


UNFIT: list[tuple[t.Callable[[Path], object], str]] = [
    (lambda root: os.mkfifo(root / "pipe"), "'pipe' can't be in an artifact: it is neither file, directory nor link"),
    (lambda root: (root / "l").symlink_to("/etc"), "'l' can't .* the absolute"),
    (lambda root: (root / "l").symlink_to("../x"), "outside of the tree"),
    (lambda root: (root / "EMPTY").touch(), "only in upper and lower case"),
    (lambda root: (root / "a\nb").touch(), "control character"),
    (lambda root: (root / "a\\b").touch(), "backslash"),
    (lambda root: Path(os.fsdecode(os.fsencode(root) + b"/\xff")).touch(), "not UTF-8"),
    (lambda root: os.symlink(b"\xff", os.fsencode(root) + b"/l"), "link target is not UTF-8"),
]


@pytest.mark.parametrize(("spoil", "reason"), UNFIT, ids=[reason for _, reason in UNFIT])
def test_the_writer_refuses_what_the_reader_would(
    spoil: t.Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    spoil(make(tmp_path))
    with pytest.raises(ContainerlessError, match=reason):
        packed(tmp_path)


@pytest.mark.parametrize("mtime", [-1, 8**11])
def test_a_time_that_does_not_fit_is_refused(mtime: int, tmp_path: Path) -> None:
    with pytest.raises(ContainerlessError, match="does not fit into a tar"):
        tar.write_tar(str(tmp_path), io.BytesIO(), mtime=mtime)


PARTS = st.sampled_from(
    [
        "a",
        "A",
        "b-c",
        "ü",
        "u\u0308",
        "x" * 120,
        " ",
        "日本",
        "a.b",
        "-rf",
        "~",
        "'",
        "a\nb",
        "a\\b",
        "\udcff",
        "\u202e",
    ]
)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map(tuple)
TARGETS = st.sampled_from(["a", "a/A", ".", "..", "../a", "../../a", "a/..", "/etc", "x" * 101, "ü", "\udcff", "a\nb"])
NODES = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=1100), st.sampled_from([0o600, 0o640, 0o700, 0o4755])),
    st.tuples(st.just("folder"), st.just(b""), st.sampled_from([0o700, 0o2755, 0o777])),
    st.tuples(st.just("link"), TARGETS, st.just(0)),
)
Node = tuple[str, t.Any, int]


def plant(root: Path, tree: dict[tuple[str, ...], Node]) -> None:
    """Make a tree on the disk; what stands below a file or link is left out."""
    root.mkdir()
    for parts, (kind, content, mode) in sorted(tree.items()):
        path = root.joinpath(*parts)
        if os.path.lexists(path) or any(up.is_symlink() or up.is_file() for up in path.parents if up != root):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "link":
            path.symlink_to(content)
        elif kind == "folder":
            path.mkdir()
            path.chmod(mode)
        else:
            path.write_bytes(content)
            path.chmod(mode)


def as_it_is(root: Path) -> bytes:
    """Return a tar of whatever stands on the disk, by a writer that refuses nothing."""
    items = []
    for raw, facts in tar.scan(str(root)):
        path = os.path.join(os.fsencode(root), raw)
        if stat.S_ISLNK(facts.st_mode):
            items.append(Item(raw, b"2", target=os.readlink(path), mode=0o777, mtime=MTIME))
        elif stat.S_ISDIR(facts.st_mode):
            items.append(Item(raw + b"/", b"5", mode=0o755, mtime=MTIME))
        else:
            mode = 0o755 if facts.st_mode & 0o111 else 0o644
            items.append(Item(raw, b"0", Path(os.fsdecode(path)).read_bytes(), mode=mode, mtime=MTIME))
    return archive_of(items)


@PROPERTY
@given(tree=st.dictionaries(PATHS, NODES, max_size=6))
@pytest.mark.exhaustive
def test_writer_and_reader_agree_on_any_tree(tree: dict[tuple[str, ...], Node]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, dest = Path(folder, "source"), Path(folder, "dest")
        plant(source, tree)
        lenient = as_it_is(source)
        try:
            data = packed(source)
        except ContainerlessError:
            with pytest.raises(ContainerlessError):
                extracted(lenient, dest)
            return
        assert data == lenient
        assert len(data) % 10240 == 0
        extracted(data, dest)
        before = {
            name: (tar.normal_mode(mode) if mode else 0, content) for name, (mode, content) in listing(source).items()
        }
        folders = {name for name in before if (source / name).is_dir() and not (source / name).is_symlink()}
        assert listing(dest) == {
            name: (0o755 if name in folders else mode, content) for name, (mode, content) in before.items()
        }
        with umask(0o077), pytest.MonkeyPatch.context() as patch:
            plant(Path(folder, "again"), dict(reversed(tree.items())))
            patch.setattr(os, "scandir", Backwards)
            assert packed(Path(folder, "again")) == packed(dest) == data


@PROPERTY
@given(
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=130).filter(
        lambda n: n[-1] != "/"
    ),
    kind=st.sampled_from(["file", "directory", "link"]),
    mode=st.sampled_from([0o644, 0o755, 0o777]),
    size=st.integers(0, 8**11 - 1),
    mtime=st.integers(0, 8**11 - 1),
    target=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=130),
)
def test_a_header_is_the_one_that_tarfile_writes(name: str, kind: str, target: str, **numbers: int) -> None:
    target = target if kind == "link" else ""
    told = info(name, type=tar._FLAGS[kind], linkname=target, **numbers)
    member = tar.Member(name.encode(), kind, told.mode, told.size, t.cast("int", told.mtime), target.encode())
    assert tar._blocks(member) == told.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


@pytest.mark.parametrize("length", [98, 99, 100, 101])
@pytest.mark.parametrize("letter", ["x", "ü"])
@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_where_a_header_needs_a_pax_header(length: int, letter: str, kind: str) -> None:
    for name, target in ((letter * length, "x"), ("x", letter * length)):
        told = info(name, type=tar._FLAGS[kind], linkname=target if kind == "link" else "")
        member = tar.Member(name.encode(), kind, told.mode, 0, 0, told.linkname.encode())
        assert tar._blocks(member) == told.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


@PROPERTY
@given(
    at=st.integers(0, len(archive()) - 1),
    patch=st.binary(min_size=1, max_size=40),
    cut=st.integers(0, len(archive())) | st.none(),
    mend=st.booleans(),
)
def test_tampered_bytes_are_refused_or_stay_inside(at: int, patch: bytes, cut: int | None, mend: bool) -> None:
    data = bytearray(archive(pax(b"11 path=ab\n"), info("x"))[:cut])
    data[at : at + len(patch)] = patch
    start = at - at % 512
    if mend and len(data) >= start + 512:
        # A right checksum gets the damage past the first check.
        data[start + 148 : start + 156] = b" " * 8
        data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    with tempfile.TemporaryDirectory() as folder:
        jail = Path(folder, "jail")
        jail.mkdir()
        try:
            extracted(bytes(data), jail / "dest")
        except ContainerlessError as exc:
            refusal = str(exc)
        else:
            refusal = ""
        assert not refusal or refusal.isprintable()
        assert os.listdir(folder) == ["jail"]
        assert set(os.listdir(jail)) <= {"dest"}
        for raw, _ in tar.scan(str(jail)):
            path = jail / os.fsdecode(raw)
            assert jail.resolve() / "dest" in (path.resolve(), *path.resolve().parents)
