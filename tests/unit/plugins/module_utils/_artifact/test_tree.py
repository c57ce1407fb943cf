# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import tree
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from hypothesis import HealthCheck, given, settings, strategies as st

PROPERTY = settings(database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
POINTER = "version https://git-lfs.github.com/spec/v1"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"
FILES = {
    "app/manage.py": "print()\n",
    "app/ünï/settings.py": "DEBUG = False\n",
    "app/.env.example": "SECRET_KEY=\n",
    "app/.environment": "",
    "app/ca.pem": CERTIFICATE,
    "app/keys.py": f"HEADER = '{KEY.strip()}'\n",
    "static/two  spaces": "s",
    "venv/bin/gunicorn": "#!/bin/sh\n",
    "venv/lib/site-packages/certifi/cacert.pem": CERTIFICATE,
    "venv/lib/site-packages/trustme/server.key": KEY,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return planted(tmp_path / "tree")


def planted(root: Path) -> Path:
    for name, content in FILES.items():
        add(root, name, content)
    (root / "venv/bin/gunicorn").chmod(0o700)
    (root / "app/static").symlink_to("../static")
    (root / "app/void").mkdir(mode=0o700)
    return root


def add(root: Path, name: str, content: str = "") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def test_a_sealed_tree_verifies_and_sealing_again_changes_nothing(root: Path) -> None:
    sealed = tree.seal(str(root))
    sums = (root / tree.SUMS).read_bytes()
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sealed.sha256 == hashlib.sha256(sums).hexdigest()
    assert (sealed.files, sealed.bytes) == (len(FILES) + 2, sum(path.stat().st_size for path in files))
    assert tree.verify(str(root), sealed.sha256) == []
    assert tree.seal(str(root)) == sealed


def test_modes_are_normal_after_sealing(root: Path) -> None:
    (root / "app/manage.py").chmod(0o666)
    (root / "app/ünï").chmod(0o2777)
    tree.seal(str(root))
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in root.rglob("*") if not path.is_symlink()}
    assert modes == {0o755, 0o644}
    assert stat.S_IMODE((root / "venv/bin/gunicorn").stat().st_mode) == 0o755


def test_coreutils_alone_can_verify(root: Path) -> None:
    tree.seal(str(root))
    check = ["sha256sum", "--check", "--strict", tree.SUMS]
    done = subprocess.run(check, cwd=root, check=True, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == len(FILES) + 1
    (root / "app/manage.py").write_text("evil")
    assert subprocess.run(check, cwd=root, check=False, capture_output=True).returncode == 1


def test_what_sha256sum_cannot_say_stands_in_entries(root: Path) -> None:
    tree.seal(str(root))
    lines = (root / tree.ENTRIES).read_text(encoding="utf-8").splitlines()
    assert {"d\tapp/void", "d\tMETA", "x\tvenv/bin/gunicorn", "l\tapp/static\t../static"} < set(lines)
    assert lines == sorted(lines, key=str.encode)


def raw(root: Path, name: bytes) -> bytes:
    return os.path.join(os.fsencode(root), name)


UNFIT: list[tuple[t.Callable[[Path], object], str]] = [
    (lambda root: (root / "app/manage.py").chmod(0o4755), "'app/manage.py' can't .* setuid or setgid"),
    (lambda root: (root / "app/manage.py").chmod(0o2755), "setuid or setgid"),
    (lambda root: (root / "app/l").symlink_to("/etc/passwd"), "link to the absolute"),
    (lambda root: (root / "app/l").symlink_to("../../x"), "outside of the tree"),
    (lambda root: (root / "app/l").symlink_to("void/../x"), r"'\.\.' after a name"),
    (lambda root: os.mkfifo(root / "app/pipe"), "'app/pipe' can't .* neither file"),
    (lambda root: Path(os.fsdecode(raw(root, b"app/\xff"))).touch(), "not UTF-8"),
    (lambda root: os.symlink(b"\xff", raw(root, b"app/l")), "link to a path that is not UTF-8"),
    (lambda root: add(root, "app/a\nb"), "control character"),
    (lambda root: add(root, "app/MANAGE.py"), "only in upper and lower case"),
    (lambda root: add(root, "app/u\u0308ni\u0308/x"), "only in how Unicode writes its letters"),
    (lambda root: add(root, "app/txt.\u202eexe"), "control character"),
    (lambda root: add(root, "/".join(["d"] * 101)), "has a path of more than 100 parts or 1024 bytes"),
    (lambda root: add(root, "app/.git/config"), "'app/.git' can't .* part of a repository; take it out"),
    (lambda root: add(root, "app/lib/.git"), "part of a repository"),
    (lambda root: add(root, "venv/pyvenv.cfg"), "'venv/pyvenv.cfg' can't .* written on each host"),
    (lambda root: (root / "venv/bin/python").symlink_to("x"), "written on each host"),
    (
        lambda root: add(root, "app/cert/site.pem", CERTIFICATE + KEY),
        "'app/cert/site.pem' can't .* looks like a secret",
    ),
    (lambda root: add(root, "app/site.pem", "?"), "looks like a secret"),
    (lambda root: add(root, "app/deploy_key", f"\n{KEY}"), "looks like a secret"),
    (lambda root: add(root, "app/film.mp4", f"{POINTER}\noid sha256:0\n"), "'app/film.mp4' .* pointer of git-lfs"),
    *(
        ((lambda root, name=name: add(root, f"app/conf/{name}")), f"'app/conf/{name}' can't .* export-ignore")
        for name in (".env", ".env.production", "id_rsa", "id_ed25519", "ID_ECDSA_SK", "tls.key", "x.p12", ".netrc")
    ),
]


@pytest.mark.parametrize(("spoil", "reason"), UNFIT, ids=[reason for _, reason in UNFIT])
def test_what_must_not_be_in_a_tree_is_refused(spoil: t.Callable[[Path], object], reason: str, root: Path) -> None:
    spoil(root)
    with pytest.raises(ContainerlessError, match=reason) as caught:
        tree.seal(str(root))
    assert str(caught.value).isprintable()
    assert not (root / tree.SUMS).exists()


def test_host_files_are_known(root: Path) -> None:
    sealed = tree.seal(str(root))
    add(root, "venv/pyvenv.cfg", "home = /usr/bin\n")
    (root / "venv/bin/python").symlink_to("/usr/bin/python3")
    (root / "venv/bin/python3").symlink_to("python")
    assert tree.verify(str(root), sealed.sha256) == []
    (root / "venv/pyvenv.cfg").chmod(0o755)
    assert tree.verify(str(root), sealed.sha256) == ["venv/pyvenv.cfg: became a program"]
    (root / "venv/pyvenv.cfg").chmod(0o644)
    (root / "venv/bin/python").unlink()
    add(root, "venv/bin/python", "#!/bin/sh\n")
    assert tree.verify(str(root), sealed.sha256) == ["venv/bin/python: is not a link"]
    (root / "venv/bin/python").unlink()
    (root / "venv/pyvenv.cfg").unlink()
    (root / "venv/pyvenv.cfg").symlink_to("bin/gunicorn")
    assert tree.verify(str(root), sealed.sha256) == ["venv/pyvenv.cfg: is a link"]


def relink(root: Path) -> None:
    (root / "app/static").unlink()
    (root / "app/static").symlink_to("/etc")


def swap(root: Path) -> None:
    (root / "app/manage.py").unlink()
    (root / "app/manage.py").symlink_to("keys.py")


def as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DRIFT: list[tuple[t.Callable[[Path], object], list[str]]] = [
    (lambda root: add(root, "app/manage.py", "print(1)"), ["app/manage.py: changed"]),
    (lambda root: (root / "app/manage.py").unlink(), ["app/manage.py: missing"]),
    (lambda root: add(root, "app/new.py"), ["app/new.py: was not sealed"]),
    (lambda root: (root / "app/manage.py").chmod(0o666), ["app/manage.py: has mode 0666"]),
    (lambda root: (root / "app").chmod(0o777), ["app: has mode 0777"]),
    (lambda root: root.chmod(0o777), [".: has mode 0777"]),
    (lambda root: (root / "venv/bin/gunicorn").chmod(0o644), ["venv/bin/gunicorn: no longer the sealed program"]),
    (lambda root: (root / "app/manage.py").chmod(0o755), ["app/manage.py: became a program"]),
    (lambda root: (root / "app/void").rmdir(), ["app/void: no longer the sealed directory"]),
    (lambda root: (root / "app/more").mkdir(), ["app/more: became a directory"]),
    (relink, ["app/static: became a link", "app/static: no longer the sealed link"]),
    (swap, ["app/manage.py: became a link", "app/manage.py: missing"]),
    (lambda root: os.mkfifo(root / "app/pipe"), ["app/pipe: is neither file, directory nor link"]),
    (lambda root: Path(os.fsdecode(raw(root, b"app/\xff"))).touch(), [r"app/\xff: was not sealed"]),
    *(
        ((lambda root, text=text: (root / tree.ENTRIES).write_text(text)), ["META/entries: changed"])
        for text in ("", "nonsense", "d\tapp", "\n\n", "l\tapp\n", "x\n")
    ),
    (lambda root: (root / tree.ENTRIES).unlink(), ["META/entries: missing"]),
    (lambda root: (root / "app/a\nd\tb").mkdir(), [r"app/a\nd\tb: became a directory"]),
    (lambda root: (root / "app/\x1b[2J").touch(), [r"app/\x1b[2J: was not sealed"]),
    (lambda root: (root / "app/l").symlink_to("a\tb\nc"), ["app/l: became a link"]),
    (lambda root: (root / "app/\u202ecod.exe").touch(), [r"app/\u202ecod.exe: was not sealed"]),
    (lambda root: as_fifo(root / tree.SUMS), ["META/tree.sha256: changed"]),
    (lambda root: (root / tree.SUMS).write_text(""), ["META/tree.sha256: changed"]),
]


@pytest.mark.parametrize(("spoil", "lines"), DRIFT)
def test_drift_is_named(spoil: t.Callable[[Path], object], lines: list[str], root: Path) -> None:
    sealed = tree.seal(str(root))
    root.chmod(0o755)
    spoil(root)
    assert tree.verify(str(root), sealed.sha256) == lines


def test_another_tree_and_no_tree_are_drift(root: Path) -> None:
    tree.seal(str(root))
    assert tree.verify(str(root), "0" * 64) == ["META/tree.sha256: changed"]
    assert "No such file" in tree.verify(str(root / "nowhere"), "0" * 64)[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_drift(root: Path) -> None:
    sealed = tree.seal(str(root))
    os.chown(root / "app/manage.py", 65534, -1)
    assert tree.verify(str(root), sealed.sha256) == ["app/manage.py: belongs to user 65534"]


# --- any one change of a whole tree


def changed_content(path: Path, number: int) -> bool:
    data = bytearray(path.read_bytes())
    if not data:
        path.write_bytes(b"\0")
        return True
    data[number % len(data)] ^= 1 << number % 8
    path.write_bytes(data)
    return True


def changed_size(path: Path, number: int) -> bool:
    data = path.read_bytes()
    path.write_bytes(data[: number % len(data)] if data else b"x")
    return True


def changed_mode(path: Path, number: int) -> bool:
    before = stat.S_IMODE(path.stat().st_mode)
    path.chmod(before ^ 1 << number % 12)
    # What executes for one is a program, and programs have one mode.
    return stat.S_IMODE(path.stat().st_mode) != before


def changed_target(path: Path, number: int) -> bool:
    target = os.readlink(path)
    path.unlink()
    path.symlink_to(("x", target + "/", "./" + target, "a\tb", "a\nb", target + "\udcff")[number % 6])
    return True


def changed_kind(path: Path, number: int) -> bool:
    was = 0 if path.is_symlink() else 1 if path.is_dir() else 2
    data = path.read_bytes() if was == 2 else b""
    wanted = (was + 1 + number % 3) % 4
    gone(path, 0)
    (lambda: path.symlink_to("x"), path.mkdir, lambda: path.write_bytes(data), lambda: os.mkfifo(path))[wanted]()
    return True


def gone(path: Path, _: int) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return True


def renamed(path: Path, number: int) -> bool:
    path.rename(path.with_name(path.name + ("x", "\n", "\t", " ", "\udcff")[number % 5]))
    return True


def joined(path: Path, number: int) -> bool:
    """Something more stands beside it."""
    more = path.with_name(("new", "a\nb", "d\tx", "\x1b[2J", "\udcff")[number % 5])
    (more.touch, more.mkdir, lambda: more.symlink_to("x"), lambda: os.mkfifo(more))[number // 5 % 4]()
    return True


Change = t.Callable[[Path, int], bool]
OF_ALL: list[Change] = [changed_kind, gone, renamed, joined]


@PROPERTY
@given(where=st.integers(0), number=st.integers(0, 10**6), which=st.integers(0))
@pytest.mark.exhaustive
def test_any_single_change_is_found(where: int, number: int, which: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = planted(Path(folder) / "tree")
        sealed = tree.seal(str(root))
        assert tree.verify(str(root), sealed.sha256) == []
        paths = sorted(root.rglob("*"))
        path = paths[where % len(paths)]
        if path.is_symlink():
            changes = [changed_target, *OF_ALL]
        elif path.is_dir():
            changes = [changed_mode, *OF_ALL]
        else:
            changes = [changed_content, changed_content, changed_size, changed_mode, *OF_ALL]
        assert changes[which % len(changes)](path, number)
        drift = tree.verify(str(root), sealed.sha256)
        assert drift
        assert all(line.isprintable() for line in drift)


@pytest.mark.parametrize("changes", [1, 2])
def test_a_tree_changed_back_is_whole(changes: int, root: Path) -> None:
    sealed = tree.seal(str(root))
    for path in [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()]:
        for _ in range(changes):
            changed_content(path, 3) if path.stat().st_size else None
    assert (tree.verify(str(root), sealed.sha256) == []) == (changes == 2)
