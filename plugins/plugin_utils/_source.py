# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The source of an artifact: one commit of a git checkout, never the files that happen to lie around it.

With `allow_dirty` the work tree is written into a git tree of its own, outside of the repository: what is built still
has a tree id that names every byte of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import typing as t
import weakref
from dataclasses import dataclass, field
from pathlib import Path

from ..module_utils._core.errors import ContainerlessError

# A person's settings must not reach the bytes of an archive.
_CONFIG = ("core.autocrlf=false", "core.eol=lf", f"core.attributesFile={os.devnull}", "tar.umask=0022")
_SUBMODULE = "160000"


def _git(
    path: Path, *args: str, env: dict[str, str] | None = None, stdout: t.IO[bytes] | None = None
) -> subprocess.CompletedProcess[bytes]:
    options = [part for setting in _CONFIG for part in ("-c", setting)]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        return subprocess.run(
            ["git", *options, "-C", str(path), *args],
            env={**kept, "LC_ALL": "C.UTF-8", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
    except FileNotFoundError:
        raise ContainerlessError("git is not installed on the control node; a build needs it") from None


def _text(path: Path, *args: str, env: dict[str, str] | None = None) -> str:
    done = _git(path, *args, env=env)
    if done.returncode:
        raise ContainerlessError(f"git {args[0]} failed in {path}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8", "surrogateescape").strip("\n")


@dataclass(frozen=True)
class Source:
    """A commit of the checkout at `path`; paths are relative to that folder, which may lie inside of the checkout."""

    path: Path
    commit: str
    tree: str
    time: int
    dirty: bool
    #: What git needs to find a tree that is in no repository.
    env: dict[str, str] = field(default_factory=dict)

    def read(self, name: str) -> bytes | None:
        """Return a committed file, or None when there is none."""
        done = _git(self.path, "cat-file", "blob", f"{self.tree}:{name}", env=self.env)
        return None if done.returncode else done.stdout

    def archive(self, dest: Path) -> None:
        """Write all files to a tar, as they stand in the commit: no filter and no attributes of this clone's own."""
        with tempfile.TemporaryDirectory(prefix="containerless-") as scratch:
            folder, env = self._bare(Path(scratch))
            # A commit, not its tree: $Format$ in a file that has the attribute export-subst stands for the commit.
            what = self.tree if self.dirty else self.commit
            with dest.open("wb") as out:
                done = _git(folder, "archive", "--format=tar", what, env=env, stdout=out)
            if done.returncode:
                said = done.stderr.decode("utf-8", "replace").strip()
                raise ContainerlessError(f"git archive failed in {self.path}: {said}")

    def _bare(self, scratch: Path) -> tuple[Path, dict[str, str]]:
        """Return a folder and an environment in which git has this repository's objects, and nobody's configuration."""
        nobodys = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        kind = _text(self.path, "rev-parse", "--show-object-format")
        _text(scratch, "init", "--quiet", "--bare", "--template=", f"--object-format={kind}", "git", env=nobodys)
        own = _text(self.path, "rev-parse", "--path-format=absolute", "--git-path", "objects")
        objects = [own, *filter(None, [self.env.get("GIT_OBJECT_DIRECTORY")])]
        scratch.joinpath("git/objects/info/alternates").write_text("".join(f"{each}\n" for each in objects))
        # git archives the current folder of a work tree, which is the one of the project.
        prefix = "" if self.dirty else _text(self.path, "rev-parse", "--show-prefix")
        folder = scratch / "work" / prefix
        folder.mkdir(parents=True)
        return folder, {**nobodys, "GIT_DIR": f"{scratch}/git", "GIT_WORK_TREE": f"{scratch}/work"}


def open_source(path: Path, ref: str, *, allow_dirty: bool) -> Source:
    """Return the commit that `ref` names. Raises when there is no checkout or ref, or when the tree is dirty."""
    _require_checkout(path)
    done = _git(path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if done.returncode:
        hint = "commit something first" if ref == "HEAD" else "fetch it, or change app_build_ref"
        raise ContainerlessError(f"{path} has no commit {ref!r}; {hint}")
    commit = done.stdout.decode().strip()
    time = int(_text(path, "log", "-1", "--format=%ct", commit))
    changes = _changes(path) if commit == _text(path, "rev-parse", "HEAD") else []
    if changes and not allow_dirty:
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        raise ContainerlessError(
            f"{path} has changes that are not committed ({', '.join(changes[:3])}{more}):"
            " commit them, let git ignore them, or set app_build_allow_dirty"
        )
    source = _work_tree(path, commit, time) if changes else _committed(path, ref, commit, time)
    _refuse_submodules(source)
    return source


def _require_checkout(path: Path) -> None:
    if not path.is_dir():
        raise ContainerlessError(f"app_src {path} is not a folder on the control node")
    done = _git(path, "rev-parse", "--is-inside-work-tree")
    if done.stdout.strip() != b"true":
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = f" ({said[0]})" if said and "not a git repository" not in said[0] else ""
        raise ContainerlessError(f"app_src {path} is not a git checkout{reason}; an artifact is built from a commit")


def _committed(path: Path, ref: str, commit: str, time: int) -> Source:
    done = _git(path, "rev-parse", "--verify", "--quiet", f"{commit}:./")
    if done.returncode:
        raise ContainerlessError(f"commit {ref!r} has no folder {path} (app_src, app_build_ref)")
    return Source(path, commit, done.stdout.decode().strip(), time, dirty=False)


def _changes(path: Path) -> list[str]:
    return _text(path, "status", "--porcelain", "--untracked-files=normal", "--", ".").splitlines()


def _work_tree(path: Path, commit: str, time: int) -> Source:
    """Write what stands in the folder, ignored files left out, into a tree beside the repository's own objects."""
    scratch = tempfile.mkdtemp(prefix="containerless-")
    objects = _text(path, "rev-parse", "--path-format=absolute", "--git-path", "objects")
    Path(scratch, "objects").mkdir()
    env = {
        "GIT_INDEX_FILE": f"{scratch}/index",
        "GIT_OBJECT_DIRECTORY": f"{scratch}/objects",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects,
    }
    _text(path, "read-tree", commit, env=env)
    _text(path, "add", "--all", "--", ".", env=env)
    root = _text(path, "write-tree", env=env)
    prefix = _text(path, "rev-parse", "--show-prefix")
    tree = _text(path, "rev-parse", f"{root}:{prefix}", env=env)
    source = Source(path, commit, tree, time, dirty=True, env=env)
    # The objects are read as long as somebody holds the source.
    weakref.finalize(source, shutil.rmtree, scratch, ignore_errors=True)
    return source


def _refuse_submodules(source: Source) -> None:
    for line in _text(source.path, "ls-tree", "-r", "--full-tree", source.tree, env=source.env).splitlines():
        if line.startswith(_SUBMODULE):
            name = line.partition("\t")[2]
            raise ContainerlessError(
                f"{name} in {source.path} is a git submodule, which an archive of a commit leaves out"
            )
