# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a project may look like: each is built, unpacked as a host does it, and what it serves is asked for."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import typing as t
from pathlib import Path

import pytest

from . import projects
from .harness import PYTHON, Artifact, Builder, Host, environment, serve
from .index import PASSWORD, private_index
from .projects import DJANGO, WSGI, below, commit, locked, make_sdist, make_wheel, write

Src = t.Callable[..., Path]
CSS = re.compile(r"blog /static/(blog/a\.[0-9a-f]{12}\.css)")


def check(artifact: Artifact, tmp_path: Path, encoding: str = "gzip") -> Path:
    """Unpack a Django artifact; its page, its static file and its migrations have to be there. Return the tree."""
    tree = artifact.install(tmp_path / "trees", encoding)
    with serve(artifact, tree) as ask:
        status, body = ask("/")
    found = CSS.fullmatch(body)
    assert (status, bool(found)) == (200, True), body
    assert found
    assert (tree / "static" / found[1]).read_text() == DJANGO["blog/static/blog/a.css"]
    assert [item["name"] for item in artifact.manifest["django"]["migrations"]] == ["0001_initial"]
    return tree


def says_hello(artifact: Artifact, tmp_path: Path) -> Path:
    """Unpack an artifact of the small WSGI application and ask it. Return the tree."""
    tree = artifact.install(tmp_path / "trees")
    with serve(artifact, tree) as ask:
        assert ask("/") == (200, "hello from hello.py")
    return tree


# Locks.


def test_requirements(builder: Builder, src: Src, tmp_path: Path) -> None:
    built = builder.build(src(DJANGO))
    assert built.manifest["lock"]["kind"] == "requirements"
    assert built.manifest["django"]["settings_module"] == "blog.settings"
    check(built, tmp_path)


@pytest.mark.parametrize("kind", ["uv", "pylock"])
def test_locks_of_uv(builder: Builder, src: Src, tmp_path: Path, uv_locks: dict[str, str], kind: str) -> None:
    name = {"uv": "uv.lock", "pylock": "pylock.toml"}[kind]
    built = builder.build(
        src(DJANGO, {"requirements.txt": None, "pyproject.toml": uv_locks["pyproject.toml"], name: uv_locks[name]})
    )
    assert built.manifest["lock"]["kind"] == kind
    assert "django" in built.distributions
    check(built, tmp_path)
    assert "blog" not in built.distributions, "the project is no package"


# Where things stand.


def test_a_project_in_a_folder_of_the_repository(builder: Builder, src: Src, tmp_path: Path) -> None:
    repository = src(below("sites/blog", DJANGO), {"README": "not in the artifact"})
    tree = check(builder.build(repository / "sites/blog"), tmp_path)
    assert not list(tree.rglob("README"))


def test_manage_py_and_the_code_in_src(builder: Builder, src: Src, tmp_path: Path) -> None:
    code = {name: data for name, data in DJANGO.items() if name.startswith("blog/") or name == "manage.py"}
    here: projects.Files = {
        "Procfile": "web: gunicorn --chdir src blog.wsgi\n",
        "requirements.txt": DJANGO["requirements.txt"],
        "pyproject.toml": '[tool.containerless]\nmanage = "src/manage.py"\n',
    }
    built = builder.build(src(below("src", code), here))
    assert built.manifest["django"]["manage"] == "app/src/manage.py"
    check(built, tmp_path)


PACKAGE = """
[project]
name = "the-blog"
version = "3.1"
description = "A blog."
requires-python = ">=3.11"
scripts = {the-blog = "blog:main"}
[build-system]
requires = ["flit_core>=3.9,<4"]
build-backend = "flit_core.buildapi"
[tool.flit.module]
name = "blog"
[tool.containerless]
package = true
settings = "blog.settings"
[tool.containerless.processes]
web = "gunicorn blog.wsgi"
hello = "the-blog --loud"
"""
MAIN = 'def main():\n    import sys\n    print("the blog says", sys.argv[1:])\n'


def test_a_project_that_is_a_package_itself(builder: Builder, src: Src, tmp_path: Path) -> None:
    code = {name: data for name, data in DJANGO.items() if name.startswith("blog/")}
    files = {"pyproject.toml": PACKAGE, "requirements.txt": DJANGO["requirements.txt"], "src/blog/__init__.py": MAIN}
    repository = src(below("src", code), files)
    built = builder.build(repository)
    mine = built.distributions["the-blog"]
    assert (mine["version"], mine["built_from"]["kind"]) == ("3.1", "project")
    assert built.manifest["version"].startswith("3.1.g")
    assert built.manifest["django"]["manage"] is None
    tree = check(built, tmp_path)
    asked = [str(tree / "venv/bin/python"), str(tree / "venv/bin/the-blog"), "--loud"]
    done = subprocess.run(
        asked, env=environment(built, tree, tmp_path / "state"), capture_output=True, text=True, check=True
    )
    assert done.stdout == "the blog says ['--loud']\n"
    # The next commit takes the environment over, with its own code in it.
    commit(repository, {"src/blog/__init__.py": MAIN.replace("says", "sings")})
    warm = builder.build(repository)
    assert warm.layer
    assert warm.content_id == builder.build(repository, store=tmp_path / "store", warm=False).content_id
    tree = check(warm, tmp_path)
    assert "sings" in next(tree.glob("venv/lib/*/site-packages/blog/__init__.py")).read_text()


def test_a_thin_project(builder: Builder, src: Src, stock: Path, tmp_path: Path) -> None:
    """The application comes from an index; the project is a lock, a settings module and a Procfile."""
    application = {name: data for name, data in DJANGO.items() if name.startswith("blog/")}
    line = make_wheel(stock, "the_blog", application, requires=("django",))
    files = {
        "Procfile": "web: gunicorn blog.wsgi\n",
        "production.py": "from blog.settings import *\nTIME_ZONE = 'Europe/Berlin'\n",
        "pyproject.toml": '[tool.containerless]\nsettings = "production"\n',
        "requirements.txt": line + DJANGO["requirements.txt"],
    }
    built = builder.build(src(files), wheelhouse=stock)
    assert built.manifest["django"]["manage"] is None
    assert built.manifest["django"]["settings_module"] == "production"
    assert "TIME_ZONE" in built.manifest["django"]["settings"]
    check(built, tmp_path)


def test_asgi(builder: Builder, src: Src, tmp_path: Path) -> None:
    lock = DJANGO["requirements.txt"] + locked("uvicorn", "click", "h11")
    check(
        builder.build(src(DJANGO, {"Procfile": "web: uvicorn blog.asgi:application\n", "requirements.txt": lock})),
        tmp_path,
    )


# What the commit is.


def test_a_tag_names_the_commit(builder: Builder, src: Src, tmp_path: Path) -> None:
    repository = src(WSGI)
    projects.history.git("tag", "--annotate", "--message", "one", "v1", repo=repository, date=projects.DATE)
    head = projects.history.git("rev-parse", "HEAD", repo=repository)
    commit(repository, {"hello.py": None})
    built = builder.build(repository, ref="v1")
    assert built.manifest["source"]["commit"] == head
    says_hello(built, tmp_path)


def test_a_dirty_tree_says_so(builder: Builder, src: Src, tmp_path: Path) -> None:
    repository = src(WSGI)
    clean = builder.build(repository)
    write(repository, {"new.txt": "not committed\n"})
    built = builder.build(repository, allow_dirty=True)
    assert built.manifest["source"]["dirty"]
    assert built.manifest["version"] == clean.manifest["version"] + ".dirty"
    assert (says_hello(built, tmp_path) / "app/new.txt").exists()


# What a project declares.

DECLARED = """
[tool.containerless]
build = ["python make.py 'a b'"]
exclude = ["frontend", "*.md", "blog/**/*.src"]
[tool.containerless.static]
ignore = ["notes.txt"]
[tool.containerless.processes]
web = "gunicorn blog.wsgi"
worker = "python manage.py check"
[tool.containerless.timers.nightly]
command = "python manage.py clearsessions"
schedule = "*-*-* 03:00:00"
"""
MAKE = """
import django, os, pathlib, socket, sys
assert sys.argv[1:] == ["a b"]
assert os.geteuid() != 0
pathlib.Path("blog/static/blog/bundle.js").write_text(pathlib.Path("frontend/main.js").read_text().upper())
try:
    socket.create_connection(("127.0.0.1", PORT), timeout=5)
except OSError as exc:
    print("no network:", exc)
else:
    sys.exit("there is a network")
"""


def test_what_a_project_declares(builder: Builder, src: Src, tmp_path: Path) -> None:
    """Build commands see no network: a server that everybody on this machine reaches is not there for them."""
    with private_index(tmp_path) as url:
        files: projects.Files = {
            "Procfile": None,
            "pyproject.toml": DECLARED,
            "make.py": MAKE.replace("PORT", url.rpartition(":")[2].partition("/")[0]),
            "frontend/main.js": "hello\n",
            "README.md": "read me\n",
            "blog/deep/down.src": "source\n",
        }
        built = builder.build(src(DJANGO, files))
    manifest = built.manifest
    assert manifest["processes"] == {
        "web": ["gunicorn", "blog.wsgi"],
        "worker": ["python", "manage.py", "check"],
    }
    assert manifest["timers"] == {
        "nightly": {"argv": ["python", "manage.py", "clearsessions"], "schedule": "*-*-* 03:00:00"}
    }
    tree = check(built, tmp_path)
    assert [path.read_text() for path in tree.glob("static/blog/bundle.*.js")] == ["HELLO\n"]
    assert not list(tree.glob("static/blog/notes*"))
    assert not (tree / "app/frontend").exists()
    assert not (tree / "app/README.md").exists()
    assert not (tree / "app/blog/deep/down.src").exists()


# Where distributions come from.

BACKEND = """
import base64, hashlib, os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    files = {"plain.py": open("plain.py").read(),
             "plain-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: plain\\nVersion: 1.0\\n",
             "plain-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}
    digest = lambda text: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    rows = [f"{name},sha256={digest(text)},{len(text)}\\n" for name, text in files.items()]
    files["plain-1.0.dist-info/RECORD"] = "".join([*rows, "plain-1.0.dist-info/RECORD,,\\n"])
    with zipfile.ZipFile(os.path.join(folder, "plain-1.0-py3-none-any.whl"), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(zipfile.ZipInfo(name), text)
    return "plain-1.0-py3-none-any.whl"
"""
SDIST: projects.Files = {
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "backend.py": BACKEND,
    "plain.py": "WORDS = 'plain'\n",
}
PLAIN: projects.Files = {"hello.py": "import plain\n" + WSGI["hello.py"]}


def test_a_sdist_is_built_when_it_is_named(builder: Builder, src: Src, stock: Path, tmp_path: Path) -> None:
    line = make_sdist(stock, "plain", SDIST)
    repository = src(WSGI, PLAIN, {"requirements.txt": line + WSGI["requirements.txt"]})
    said = builder.refusal(repository, tmp_path / "store", wheelhouse=stock)
    assert 'sdists = ["plain"]' in said
    assert "pyproject.toml" in said
    commit(repository, {"pyproject.toml": '[tool.containerless]\nsdists = ["plain"]\n'})
    built = builder.build(repository, wheelhouse=stock)
    made = built.distributions["plain"]
    assert (made["built_from"]["kind"], made["built_from"]["file"]) == ("sdist", "plain-1.0.tar.gz")
    assert made["built_from"]["sha256"] in line
    assert made["file"] == "plain-1.0-py3-none-any.whl"
    says_hello(built, tmp_path)
    host = Host(umask=0o077, env={"TZ": "Asia/Tokyo"})
    other = builder.build(repository, store=tmp_path / "store", warm=False, host=host, wheelhouse=stock)
    assert other.content_id == built.content_id


def test_a_sdist_that_the_build_of_another_needs_is_built_first(builder: Builder, src: Src, stock: Path) -> None:
    needy = {
        "pyproject.toml": '[build-system]\nrequires = ["plain"]\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": "import plain\n" + BACKEND.replace("plain", "eager"),
        "eager.py": "",
    }
    lines = make_sdist(stock, "plain", SDIST) + make_sdist(stock, "eager", needy)
    asked = {"pyproject.toml": '[tool.containerless]\nsdists = ["eager", "plain"]\n'}
    repository = src(WSGI, PLAIN, asked, {"requirements.txt": lines + WSGI["requirements.txt"]})
    built = builder.build(repository, wheelhouse=stock)
    assert {built.distributions[name]["built_from"]["kind"] for name in ("eager", "plain")} == {"sdist"}


def test_a_wheelhouse_needs_no_index(
    builder: Builder, src: Src, stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index that is configured does not answer; the cache is cold."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    line = make_wheel(stock, "own")
    repository = src(WSGI, {"requirements.txt": line + WSGI["requirements.txt"]})
    built = builder.build(repository, wheelhouse=stock, cache=tmp_path / "cache", warm=False)
    assert built.fetched == 2
    says_hello(built, tmp_path)


def test_a_private_index_and_its_credentials(
    builder: Builder, src: Src, stock: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = make_wheel(stock, "own")
    repository = src(WSGI, {"requirements.txt": line + WSGI["requirements.txt"]})
    with private_index(stock) as url:
        said = builder.refusal(
            repository, tmp_path / "store", url=url.replace(PASSWORD, "wrong-one"), cache=tmp_path / "cache"
        )
        assert "app_build_index_url" in said
        assert "wrong-one" not in said
        built = builder.build(repository, store=tmp_path / "store", url=url, cache=tmp_path / "cache", warm=False)
    assert built.fetched == 2
    tree = says_hello(built, tmp_path)
    places = [built.out, tree, tmp_path / "cache", tmp_path / "store"]
    held = [
        path
        for place in places
        for path in place.rglob("*")
        if path.is_file() and PASSWORD.encode() in path.read_bytes()
    ]
    assert held == []
    with gzip.open(built.blob()) as tar:
        assert PASSWORD.encode() not in tar.read()
    texts = [
        *built.documents.values(),
        json.dumps([built.said, built.warnings]).encode(),
        "".join(capfd.readouterr()).encode(),
    ]
    assert not [text for text in texts if PASSWORD.encode() in text]


# How it is packed.


def test_zstd_beside_gzip(builder: Builder, src: Src, tmp_path: Path) -> None:
    repository = src(WSGI)
    plain = builder.build(repository)
    both = builder.build(repository, store=tmp_path / "store", encodings=("gzip", "zstd"))
    assert both.content_id == plain.content_id
    assert [blob["encoding"] for blob in both.provenance["blobs"]] == ["gzip", "zstd"]
    for encoding in ("gzip", "zstd"):
        assert (both.install(tmp_path / encoding, encoding) / "app/hello.py").exists()


def test_the_project_runs_on_what_was_built_alone(builder: Builder, src: Src, tmp_path: Path) -> None:
    """The build host's own packages are not in reach of the tree."""
    tree = builder.build(src(WSGI)).install(tmp_path)
    code = "import sys, json; print(json.dumps([sys.path, sys.prefix]))"
    done = subprocess.run(
        [str(tree / "venv/bin/python"), "-c", code], env={}, capture_output=True, text=True, check=True
    )
    path, prefix = json.loads(done.stdout)
    assert prefix == str(tree / "venv")
    assert not [entry for entry in path if "dist-packages" in entry or "/local/" in entry]
    assert PYTHON
