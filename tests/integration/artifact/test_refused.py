# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused, in a sentence that names the file or the option, with nothing left; and what is not believed."""

from __future__ import annotations

import os
import shutil
import typing as t
import zipfile
from pathlib import Path

import pytest

from .harness import Builder
from .projects import DJANGO, WSGI, Files, checkout, commit, history, make_sdist, make_wheel, pin, write

Src = t.Callable[..., Path]


def with_lock(*lines: str) -> Files:
    """Return a lock with lines of the test's own."""
    return {"requirements.txt": "".join(lines) + WSGI["requirements.txt"]}


def settings(code: str) -> Files:
    """Return the settings with more at their end."""
    return {"blog/settings.py": DJANGO["blog/settings.py"] + code}


def build_command(code: str) -> Files:
    """Return what makes a project run code of its own while it is built."""
    return {"pyproject.toml": '[tool.containerless]\nbuild = ["python make.py"]\n', "make.py": code}


# What stands in the commit.

PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"
COMMITS: dict[str, tuple[list[Files], list[str]]] = {
    ".env": ([WSGI, {"conf/.env": "PASSWORD=1\n"}], ["app/conf/.env", "secret"]),
    "a key": ([WSGI, {"tls/site.pem": PEM}], ["app/tls/site.pem", "secret"]),
    "an ssh key": ([WSGI, {"id_rsa": "x\n"}], ["app/id_rsa", "secret"]),
    "an incomplete lock": (
        [
            DJANGO,
            {"requirements.txt": DJANGO["requirements.txt"].replace("sqlparse==", "h11==").split("h11==")[0]},
        ],
        ["requirements.txt", "sqlparse"],
    ),
    "settings that write": (
        [DJANGO, settings('open(__file__ + ".log", "w").close()\n')],
        ["blog.settings", "app/blog/settings.py.log", "read-only"],
    ),
    "settings whose storage looks elsewhere": (
        [DJANGO, settings('STATIC_ROOT = "/srv/static"\n')],
        ["blog.settings", "/srv/static", 'os.environ["STATIC_ROOT"]'],
    ),
    "settings that fail": ([DJANGO, settings("import nothing_there\n")], ["blog.settings", "nothing_there"]),
    "a build command that writes where it is": (
        [WSGI, build_command("import os; open('where', 'w').write(os.getcwd())\n")],
        ["app/where", "build folder"],
    ),
    "a build command that writes its home": (
        [WSGI, build_command("import os; open('home', 'w').write(os.environ['HOME'])\n")],
        ["app/home", "build folder"],
    ),
    "a build command that links to where it is": (
        [WSGI, build_command("import os; os.symlink(os.getcwd() + '/hello.py', 'link')\n")],
        ["app/link"],
    ),
    "a build command that fails": (
        [WSGI, build_command("import sys; sys.exit('no bundle today')\n")],
        ["python make.py", "no bundle today", "[tool.containerless]"],
    ),
    "a build command that makes a setuid program": (
        [WSGI, build_command("import os; open('su', 'w').close(); os.chmod('su', 0o4755)\n")],
        ["app/su", "setuid"],
    ),
    "a build command that changes the environment": (
        [WSGI, build_command("import gunicorn; open(gunicorn.__path__[0] + '/more.py', 'w').close()\n")],
        ["python make.py", "gunicorn/more.py"],
    ),
    "a server that is not locked": ([WSGI, {"Procfile": "web: uvicorn hello:application\n"}], ["uvicorn", "lock"]),
    "no lock": ([{**WSGI, "requirements.txt": None}], ["requirements.txt"]),
    "an unknown key": ([WSGI, {"pyproject.toml": "[tool.containerless]\nbiuld = []\n"}], ["biuld", "pyproject.toml"]),
}


@pytest.mark.parametrize("name", COMMITS)
def test_a_commit_is_refused(builder: Builder, src: Src, tmp_path: Path, name: str) -> None:
    layers, words = COMMITS[name]
    said = builder.refusal(src(*layers), tmp_path / "store")
    assert [word for word in words if word not in said] == [], said


def test_a_name_that_is_not_utf8(builder: Builder, src: Src, tmp_path: Path) -> None:
    repository = src(WSGI)
    Path(os.fsdecode(os.fsencode(repository) + b"/caf\xe9.txt")).write_text("x")
    commit(repository, {})
    assert "xe9.txt" in builder.refusal(repository, tmp_path / "store")


def test_a_dirty_tree(builder: Builder, src: Src, tmp_path: Path) -> None:
    repository = write(src(WSGI), {"hello.py": "changed = True\n"})
    said = builder.refusal(repository, tmp_path / "store")
    assert "hello.py" in said
    assert "app_build_allow_dirty" in said


def test_a_lock_that_is_older_than_its_project(
    builder: Builder, src: Src, tmp_path: Path, uv_locks: dict[str, str]
) -> None:
    project = uv_locks["pyproject.toml"].replace("gunicorn==", "whitenoise>=6', 'gunicorn==")
    files: Files = {"requirements.txt": None, "pyproject.toml": project, "uv.lock": uv_locks["uv.lock"]}
    said = builder.refusal(src({**DJANGO, **files}), tmp_path / "store")
    assert [word for word in ("uv.lock", "pyproject.toml", "uv lock") if word not in said] == [], said


# What the distributions are.


def outside(folder: Path) -> str:
    """Write a wheel with a member above of where it is installed."""
    return make_wheel(folder, "evil", {"evil.py": "", "../../../../../evil.txt": "x"})


def in_the_environment(folder: Path) -> str:
    """Write a wheel whose data goes where an interpreter looks for its configuration."""
    return make_wheel(folder, "evil", {"evil.py": "", "evil-1.0.data/data/../../app/evil.txt": "x"})


def over_the_interpreter(folder: Path) -> str:
    """Write a wheel whose data takes the name of what a host writes."""
    return make_wheel(folder, "evil", {"evil.py": "", "evil-1.0.data/data/pyvenv.cfg": "home = /evil\n"})


def same_script(folder: Path) -> str:
    """Write two wheels that claim one console script."""
    lines = [make_wheel(folder, name, scripts={"tool": f"{name}:main"}) for name in ("evil", "other")]
    return "".join(lines)


def same_module(folder: Path) -> str:
    """Write two wheels that claim one module."""
    return "".join(make_wheel(folder, name, {"shared.py": f"# {name}\n"}) for name in ("evil", "other"))


def needs_more(folder: Path) -> str:
    """Write a wheel that needs what the lock does not hold."""
    return make_wheel(folder, "evil", requires=("not-there>=2",))


def sdist_alone(folder: Path) -> str:
    """Write two distributions that have no wheel."""
    return make_sdist(folder, "evil", {"setup.py": ""}) + make_sdist(folder, "other", {"setup.py": ""})


WHEELS: dict[str, tuple[t.Callable[[Path], str], list[str]]] = {
    "a member outside": (outside, ["evil"]),
    "data outside": (in_the_environment, ["evil"]),
    "data over the interpreter": (over_the_interpreter, ["evil", "pyvenv.cfg"]),
    "one script twice": (same_script, ["evil", "other", "bin/tool"]),
    "one module twice": (same_module, ["evil", "other", "shared.py"]),
    "an incomplete lock": (needs_more, ["requirements.txt", "evil", "not-there"]),
    "sdists that are not named": (sdist_alone, ['sdists = ["evil", "other"]', "pyproject.toml"]),
}


@pytest.mark.parametrize("name", WHEELS)
def test_a_distribution_is_refused(builder: Builder, src: Src, stock: Path, tmp_path: Path, name: str) -> None:
    make, words = WHEELS[name]
    repository = src(WSGI, with_lock(make(stock)))
    said = builder.refusal(repository, tmp_path / "store", cache=tmp_path / "cache", wheelhouse=stock)
    assert [word for word in words if word not in said] == [], said


def test_a_wheel_that_is_not_the_locked_one(builder: Builder, src: Src, stock: Path, tmp_path: Path) -> None:
    line = make_wheel(stock, "own")
    make_wheel(stock, "own", {"own.py": "import os\n"})
    said = builder.refusal(src(WSGI, with_lock(line)), tmp_path / "store", cache=tmp_path / "cache", wheelhouse=stock)
    assert "own" in said


def test_a_wheel_whose_files_are_not_those_of_its_record(
    builder: Builder, src: Src, stock: Path, tmp_path: Path
) -> None:
    make_wheel(stock, "own", {"own.py": "HONEST = 1\n"})
    path = stock / "own-1.0-py3-none-any.whl"
    # Stored, not compressed, so that one word can be exchanged; the archive's own checksum goes with it.
    rewrite(path, "own.py", "HACKED = 1\n")
    lock = with_lock(pin(path, "own"))
    said = builder.refusal(src(WSGI, lock), tmp_path / "store", cache=tmp_path / "cache", wheelhouse=stock)
    assert "own" in said
    assert "RECORD" in said


def rewrite(path: Path, member: str, text: str) -> None:
    """Exchange a member of an archive."""
    with zipfile.ZipFile(path) as old:
        contents = {info: old.read(info) for info in old.infolist()}
    with zipfile.ZipFile(path, "w") as new:
        for info, data in contents.items():
            new.writestr(info, text if info.filename == member else data)


# What lies in caches is not believed.


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def test_a_wheel_that_was_changed_in_the_cache_reaches_no_artifact(builder: Builder, src: Src, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(builder.cache, cache)
    repository = src(WSGI)
    honest = builder.build(repository, store=tmp_path / "store", cache=cache)
    for wheel in cache.rglob("*.whl"):
        flip(wheel)
    built = builder.build(repository, store=tmp_path / "other", cache=cache)
    assert built.fetched == len(built.distributions)
    assert built.content_id == honest.content_id


def test_an_environment_that_was_changed_in_the_store_reaches_no_artifact(
    builder: Builder, src: Src, tmp_path: Path
) -> None:
    repository, store = src(WSGI), tmp_path / "store"
    builder.build(repository, store=store)
    (blob,) = store.glob("hello/blobs/sha256/*/*")
    flip(blob)
    commit(repository, {"more.txt": "x\n"})
    built = builder.build(repository, store=store)
    assert not built.layer
    assert any(blob.name in warning for warning in built.warnings), built.warnings
    assert built.content_id == builder.build(repository, store=tmp_path / "other").content_id


def test_git_is_asked_alone(tmp_path: Path) -> None:
    """The tests' own commits depend on nothing but their files."""
    one, two = (checkout(tmp_path / name, WSGI) for name in ("one", "two"))
    assert history.git("rev-parse", "HEAD", repo=one) == history.git("rev-parse", "HEAD", repo=two)
