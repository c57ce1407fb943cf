# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a project's own code may not do to its build, to the environment that others share, and to the build host."""

from __future__ import annotations

import json
import os
import time
import typing as t
from pathlib import Path

import pytest

from .harness import Builder, Host
from .projects import DJANGO, WSGI, Files, commit, locked, make_wheel
from .test_refused import build_command, settings

Src = t.Callable[..., Path]

BACKEND = """
import base64, hashlib, os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = "the_blog-1.0.dist-info/"
    files = {name: open(name).read() for name in open("wheel.txt").read().split()}
    files[info + "METADATA"] = "Metadata-Version: 2.1\\nName: the-blog\\nVersion: 1.0\\n"
    files[info + "WHEEL"] = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    digest = lambda text: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    rows = [f"{name},sha256={digest(text)},{len(text)}\\n" for name, text in files.items()]
    files[info + "RECORD"] = "".join([*rows, info + "RECORD,,\\n"])
    with zipfile.ZipFile(os.path.join(folder, "the_blog-1.0-py3-none-any.whl"), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(zipfile.ZipInfo(name), text)
    return "the_blog-1.0-py3-none-any.whl"
"""
PACKAGE = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[tool.containerless]
package = true
"""


def package(*modules: str) -> Files:
    """Return a project that is a distribution of these modules."""
    return {
        "pyproject.toml": PACKAGE,
        "backend.py": BACKEND,
        "wheel.txt": " ".join(modules),
        **{name: f"X = {name!r}\n" for name in modules},
    }


AFTER: dict[str, tuple[Files, Files]] = {
    "of one module": (package("single.py"), {"single.py": "X = 2\n"}),
    "whose module got another name": (package("single.py"), package("other.py")),
    "that is no distribution any more": (package("single.py"), {"pyproject.toml": ""}),
    "in a folder that it shares with a distribution": (package("shared/blog.py"), {"shared/blog.py": "X = 2\n"}),
    "with a file that it shares with a distribution": (
        package("shared/__init__.py", "shared/blog.py"),
        package("shared/blog.py"),
    ),
}


@pytest.mark.parametrize("name", AFTER)
def test_an_earlier_project_leaves_the_environment_whole(
    builder: Builder, src: Src, stock: Path, tmp_path: Path, name: str
) -> None:
    """A build from the environment of an earlier artifact is one from wheels, whatever project was in there."""
    first, second = AFTER[name]
    line = make_wheel(
        stock, "shared", {"shared/words.py": "W = 1\n", "shared/__init__.py": "X = 'shared/__init__.py'\n"}
    )
    lock = WSGI["requirements.txt"] + locked("typing-extensions") + line
    repository = src(WSGI, first, {"requirements.txt": lock})
    builder.build(repository, store=tmp_path / "store", wheelhouse=stock, warm=False)
    commit(repository, second)
    warm = builder.build(repository, store=tmp_path / "store", wheelhouse=stock)
    assert warm.layer
    cold = builder.build(repository, store=tmp_path / "other", wheelhouse=stock, warm=False)
    one, two = (
        builder.repository(tmp_path / store).listing(built.content_id)
        for store, built in (("store", warm), ("other", cold))
    )
    assert one == two
    assert warm.content_id == cold.content_id


BESIDE: dict[str, tuple[list[Files], list[str]]] = {
    "a build command beside the code": (
        [WSGI, build_command("open('../beside.txt', 'w').write('x')\n")],
        ["python make.py", "beside.txt"],
    ),
    "settings beside the code": (
        [DJANGO, settings("import pathlib\npathlib.Path(__file__).parents[2].joinpath('media').mkdir()\n")],
        ["blog.settings", "media"],
    ),
    "settings that make a folder": (
        [DJANGO, settings("import pathlib\npathlib.Path(__file__).with_name('logs').mkdir()\n")],
        ["blog.settings", "app/blog/logs"],
    ),
    "a build command that makes a file of the environment a program": (
        [WSGI, build_command("import gunicorn, os; os.chmod(gunicorn.__file__, 0o755)\n")],
        ["python make.py", "gunicorn/__init__.py"],
    ),
    "a build command that makes a folder in the environment": (
        [WSGI, build_command("import gunicorn, os; os.mkdir(gunicorn.__path__[0] + '/more')\n")],
        ["python make.py", "gunicorn/more"],
    ),
    "a build command that puts a file's time back": (
        [
            WSGI,
            build_command(
                "import gunicorn, os; path = gunicorn.__file__; facts = os.stat(path); text = open(path).read()\n"
                "open(path, 'w').write(text.replace('version', 'noisrev'))\n"
                "os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))\n"
            ),
        ],
        ["python make.py", "gunicorn/__init__.py"],
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_nothing_is_written_where_it_does_not_belong(builder: Builder, src: Src, tmp_path: Path, name: str) -> None:
    layers, words = BESIDE[name]
    said = builder.refusal(src(*layers), tmp_path / "store")
    assert [word for word in words if word not in said] == [], said


BYTECODE = """
import gunicorn, importlib.util, pathlib, time
path = pathlib.Path(importlib.util.cache_from_source(gunicorn.__file__))
for _ in range(600):
    if path.exists():
        break
    time.sleep(0.1)
path.write_bytes(path.read_bytes() + b"more")
"""


@pytest.mark.parametrize("warm", [True, False])
def test_bytecode_of_the_environment_is_nobodys_to_change(
    builder: Builder, src: Src, tmp_path: Path, warm: bool
) -> None:
    repository = src(WSGI)
    builder.build(repository, store=tmp_path / "store")
    commit(repository, build_command(BYTECODE))
    with pytest.raises(Exception, match=r"python make\.py.*gunicorn"):
        builder.build(repository, store=tmp_path / "store", warm=warm)


def test_a_pattern_does_not_lead_out_of_the_code(builder: Builder, src: Src, tmp_path: Path) -> None:
    """The builder may be root, and the link anybody's."""
    victim = builder.folder / "victim" / "kept"
    victim.parent.mkdir(exist_ok=True)
    victim.write_text("x")
    files = {"pyproject.toml": '[tool.containerless]\nexclude = ["out/*", "out"]\n'}
    repository = src(WSGI, files)
    (repository / "out").symlink_to(victim.parent)
    commit(repository, {})
    built = builder.build(repository, store=tmp_path / "store")
    assert victim.exists()
    assert "app/out" not in (builder.repository(tmp_path / "store").listing(built.content_id) or {})
    assert any("'out/*'" in warning for warning in built.warnings)


COMPILE = """
import compileall, pathlib, py_compile
pathlib.Path("made.py").write_text("X = 1\\n")
compileall.compile_dir(".", quiet=1, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
"""


def test_bytecode_that_a_build_command_writes_is_written_anew(builder: Builder, src: Src, tmp_path: Path) -> None:
    """It holds the time of the file that it was made of."""
    built = builder.build(src(WSGI, build_command(COMPILE)), store=tmp_path / "store")
    tree = built.install(tmp_path / "trees")
    flags = {path.name: path.read_bytes()[4] for path in tree.glob("app/__pycache__/*.pyc")}
    assert flags
    assert set(flags.values()) == {1}, flags


DAEMON = """
import os, subprocess, sys
if sys.argv[1:]:
    import time
    time.sleep(40)
    os._exit(0)
subprocess.Popen([sys.executable, "make.py", "MARK"], start_new_session=True, KEEP)
"""


@pytest.mark.parametrize("keep", ["stdin=-3, stdout=-3, stderr=-3", "stdin=-3"])
def test_what_a_build_command_leaves_running_ends_with_it(
    builder: Builder, src: Src, tmp_path: Path, keep: str
) -> None:
    mark = f"left-by-{tmp_path.name}"
    begin = time.monotonic()
    builder.build(
        src(WSGI, build_command(DAEMON.replace("MARK", mark).replace("KEEP", keep))), store=tmp_path / "store"
    )
    assert time.monotonic() - begin < 40, "waited for what was left"
    assert [pid for pid in os.listdir("/proc") if pid.isdigit() and mark in _argv(pid)] == []


def _argv(pid: str) -> str:
    try:
        return Path("/proc", pid, "cmdline").read_text()
    except OSError:
        return ""


READ_ONLY = """
import os
folder = os.environ["HOME"] + "/modules/one"
os.makedirs(folder)
open(folder + "/file", "w").close()
os.chmod(folder, 0o555)
"""


def test_read_only_folders_do_not_stay(builder: Builder, src: Src, tmp_path: Path) -> None:
    """Go's modules are such; who is not root can't remove what stands in them."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    builder.build(src(WSGI, build_command(READ_ONLY)), store=tmp_path / "store", host=Host(user=12345))


def test_root_writes_to_no_place_of_the_builds_choice(builder: Builder, src: Src, tmp_path: Path) -> None:
    """What is not ours runs as nobody; what is ours must not follow it as root."""
    victim = builder.folder / "kept.txt"
    victim.write_text("x")
    trap = f"import os; os.makedirs('../../credentials'); os.symlink({str(victim)!r}, '../../credentials/SECRET_KEY')\n"
    try:
        builder.build(src(DJANGO, build_command(trap)), store=tmp_path / "store")
    except Exception as exc:  # noqa: BLE001 - a refusal is as good
        print(exc)
    assert victim.read_text() == "x"


def test_the_bytes_do_not_depend_on_a_persons_git(builder: Builder, src: Src, tmp_path: Path) -> None:
    repository = src(WSGI, {".gitattributes": "*.big filter=big\n", "data.big": "pointer\n", "READ.md": "x"})
    one = builder.build(repository, store=tmp_path / "one")
    with (repository / ".git/config").open("a") as config:
        config.write('[filter "big"]\n\tsmudge = tr a-z A-Z\n')
    (repository / ".git/info").mkdir(exist_ok=True)
    (repository / ".git/info/attributes").write_text("*.md export-ignore\n")
    two = builder.build(repository, store=tmp_path / "two")
    tree = two.install(tmp_path / "trees")
    found = {path.name: path.read_text() for path in (tree / "app").iterdir() if path.suffix in (".big", ".md")}
    assert found == {"data.big": "pointer\n", "READ.md": "x"}
    assert json.dumps(one.manifest["tar"]) == json.dumps(two.manifest["tar"])


def test_a_build_host_without_zstd_gets_no_environment_that_is_packed_with_it(
    builder: Builder, src: Src, tmp_path: Path
) -> None:
    """Who takes zstd out of app_build_encodings builds on machines that lack the program."""
    repository, store = src(WSGI), tmp_path / "store"
    builder.build(repository, store=store, encodings=("zstd",))
    commit(repository, {"more.txt": "x\n"})
    assert builder.build(repository, store=store, encodings=("zstd",)).layer
    commit(repository, {"more.txt": "y\n"})
    assert not builder.build(repository, store=store).layer
    commit(repository, {"more.txt": "z\n"})
    assert builder.build(repository, store=store).layer
